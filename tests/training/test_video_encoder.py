"""Windows are labelled by what they show, and the encoder that learns from them sees faults."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.video.encoder import VideoEncoder
from data_prep.drills.film import span_pictures
from data_prep.drills.simulate import simulate_many
from prompts.vocabulary import REGIONS
from training.video_encoder import (
    VideoEncoderSettings,
    build_encoder,
    initialise,
    train_video_encoder,
    vary_colours,
)
from training.video_heads import TrainingHeads, patch_of
from training.video_windows import (
    IGNORE,
    foreign_films,
    render_windows,
    window_of,
    window_polarity,
)

TINY = VideoEncoderSettings(
    image_size=16, patch_size=8, hidden_size=16, layers=1, heads=2, intermediate_size=32,
    clips=24, steps=3, batch_size=8, held_out_share=0.4, bf16=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def drills():
    return simulate_many(8, 3, 0, split="train", distractor_share=0.3)


@pytest.fixture(scope="module")
def trained(drills):
    return train_video_encoder(drills, TINY, seed=1)


def faulty(drills):
    return next(drill for drill in drills if drill.faults)


def test_windows_hold_both_views_and_their_truth(drills) -> None:
    activities = sorted({drill.activity for drill in drills})
    windows = render_windows(drills[:5], activities, frames=4, size=16, seed=0)
    assert windows.frames.shape == (10, 4, 16, 16, 3) and windows.frames.dtype == np.uint8
    assert windows.joints.shape == (10, 4, 17, 3)
    assert windows.view.tolist() == [0, 1] * 5
    for row, drill in enumerate(drills[:5]):
        assert windows.participant[2 * row] == drill.participant_id
        assert windows.level[2 * row] == (IGNORE if drill.level is None else drill.level)
        assert activities[windows.activity[2 * row]] == drill.activity


def test_joints_are_in_camera_axes_and_keep_the_body_s_size(drills) -> None:
    """A rotation: distances from the pelvis are those of the world, the head is up (-y)."""
    windows = render_windows(drills[:3], sorted({d.activity for d in drills}), frames=4, size=16,
                             seed=0)  # fmt: skip
    exo = windows.joints[windows.view == 1]
    assert np.abs((exo[:, :, 11] + exo[:, :, 12]) / 2).max() < 1e-5
    assert (exo[:, :, 0, 1] < exo[:, :, 11, 1]).all()
    ego = windows.joints[windows.view == 0]
    assert np.linalg.norm(ego, axis=-1) == pytest.approx(np.linalg.norm(exo, axis=-1), abs=1e-4)


def test_windows_do_not_depend_on_the_number_of_workers(drills) -> None:
    activities = sorted({drill.activity for drill in drills})
    one, two = (
        render_windows(drills[:4], activities, frames=2, size=16, seed=3, workers=workers)
        for workers in (1, 2)
    )
    assert np.array_equal(one.frames, two.frames)


def test_a_fault_counts_where_the_window_shows_it(drills) -> None:
    drill = faulty(drills)
    fault = replace(drill.faults[0], region="arms", start=2.0, end=3.0)
    drill = replace(drill, faults=(fault,), regions={**dict.fromkeys(REGIONS, 2), "arms": 0})
    arms = REGIONS.index("arms")
    assert window_polarity(drill, (1.9, 3.1))[arms] == 0
    assert window_polarity(drill, (2.4, 4.0))[arms] == 0
    assert window_polarity(drill, (2.6, 4.0))[arms] == IGNORE
    others = np.delete(window_polarity(drill, (2.6, 4.0)), arms)
    assert (others == 2).all()
    assert (window_polarity(replace(drill, level=None), (0, 9)) == IGNORE).all()


def test_windows_lie_inside_the_clip(drills) -> None:
    rng = np.random.default_rng(0)
    for drill in drills:
        for _ in range(20):
            start, end = window_of(drill, rng)
            assert 0 <= start < end <= max(drill.pose.duration, 2.0) + 1e-6


def test_foreign_films_differ_from_their_renderings(drills) -> None:
    films = span_pictures(faulty(drills).pose, ["exo1"] * 1, (0, 2), size=32)
    rng = np.random.default_rng(0)
    many = foreign_films(np.repeat(films, 40, axis=0), rng)
    assert many.shape == (40, 8, 32, 32, 3) and many.dtype == np.uint8
    difference = np.abs(many.astype(int) - films).mean(axis=(1, 2, 3, 4))
    assert (difference > 3).mean() > 0.9


def test_colours_vary_between_films_and_not_within_one() -> None:
    pixels = torch.full((3, 2, 3, 4, 4), 0.5)
    varied = vary_colours(pixels, np.random.default_rng(0))
    assert torch.equal(varied[:, 0], varied[:, 1])
    assert not torch.allclose(varied[0], varied[1])
    assert varied.min() >= 0 and varied.max() <= 1


def test_training_is_reproducible_and_complete(drills, trained) -> None:
    encoder, report = trained
    again, same = train_video_encoder(drills, TINY, seed=1)
    assert report == same
    for one, two in zip(encoder.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)
    other, _ = train_video_encoder(drills, replace(TINY, steps=1), seed=2)
    assert not torch.equal(next(encoder.parameters()), next(other.parameters()))
    assert not any(p.requires_grad for p in encoder.parameters()) and not encoder.training
    for view in ("ego", "exo"):
        assert 0 <= report[f"{view}_activity_accuracy"] <= 1
        assert f"{view}_level_majority" in report
    assert encoder.normality is not None and encoder.normality.threshold > 0


def test_a_fault_changes_the_feature(drills, trained) -> None:
    """The twin, filmed by the same cameras, must not look the same to the encoder."""
    encoder, _ = trained
    drill = faulty(drills)
    span = (drill.faults[0].start, drill.faults[0].end)
    learner, twin, again = (
        encoder.encode(span_pictures(pose, ["exo1"], span, size=16, seed=4))
        for pose in (drill.pose, drill.twin, drill.pose)
    )
    assert np.array_equal(learner, again)
    assert np.abs(learner - twin).max() > 1e-3


def test_a_saved_encoder_answers_the_same(trained, drills, tmp_path) -> None:
    encoder, _ = trained
    encoder.save_pretrained(tmp_path)
    again = VideoEncoder.from_pretrained(tmp_path)
    pictures = span_pictures(faulty(drills).pose, ["ego", "exo1"], (0, 2), size=16)
    features = encoder.encode(pictures)
    assert np.array_equal(features, again.encode(pictures))
    assert np.array_equal(encoder.in_distribution(features), again.in_distribution(features))


def test_the_mini_is_small_and_its_branches_start_alive() -> None:
    settings = VideoEncoderSettings()
    torch.manual_seed(0)
    encoder = build_encoder(settings).freeze()
    assert sum(p.numel() for p in encoder.parameters()) <= 2_000_000
    layer = encoder.backbone.encoder.layer[0]
    states = torch.randn(1, 1 + settings.frames * 16, settings.hidden_size)
    library = (layer(states)[0] - states).std()
    initialise(encoder)
    assert (layer(states)[0] - states).std() > 3 * library


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(PoiseError, match=r"steps 0.*held_out_share 1\.5.*hidden_size 31"):
        VideoEncoderSettings(steps=0, held_out_share=1.5, hidden_size=31)


def test_one_performer_is_too_few(drills) -> None:
    alone = [drill for drill in drills if drill.participant_id == drills[0].participant_id]
    with pytest.raises(PoiseError, match="too few performers"):
        train_video_encoder(alone, TINY)


def test_joints_are_assigned_to_the_patch_that_holds_them() -> None:
    places = torch.tensor([[0.0, 0.0], [0.99, 0.0], [0.3, 0.6], [1.0, 0.5], [-0.01, 0.5]])
    assert patch_of(places, 16).tolist() == [0, 3, 9, IGNORE, IGNORE]


def test_losses_are_those_of_a_plain_loop(drills) -> None:
    """Foreign rows count for `rendered` only, and ignored targets for nothing."""
    activities = sorted({drill.activity for drill in drills})
    batch = render_windows(drills[:4], activities, frames=2, size=16, seed=0)
    torch.manual_seed(0)
    heads, tokens = TrainingHeads(8, len(activities)), torch.randn(8, 2, 4, 8)
    losses, said = heads.losses(tokens, batch, foreign=3), heads(tokens)
    level, place, rendered = [], [], []
    for row in range(8):
        chance = torch.sigmoid(said["rendered"][row])
        rendered.append(-torch.log(chance if row >= 3 else 1 - chance))
        if row < 3:
            continue
        if batch.level[row] != IGNORE:
            level.append(-said["level"][row].log_softmax(-1)[batch.level[row]])
        for frame in range(2):
            for joint in range(17):
                x, y = batch.places[row, frame, joint]
                if 0 <= x < 1 and 0 <= y < 1:
                    logits = said["places"][row, frame, :, joint]
                    place.append(-logits.log_softmax(-1)[int(y * 2) * 2 + int(x * 2)])
    for name, terms in (("level", level), ("places", place), ("rendered", rendered)):
        assert losses[name].item() == pytest.approx(torch.stack(terms).mean().item(), rel=1e-4)


@pytest.mark.slow
def test_minutes_of_training_tell_activities_apart_and_noise_from_renderings() -> None:
    """About a minute on a free core: a quarter of the shipped steps must already beat majority."""
    drills = simulate_many(120, 4, 5, split="train", distractor_share=0.25)
    settings = VideoEncoderSettings(clips=480, steps=500)
    encoder, report = train_video_encoder(drills, settings, seed=0)
    for view in ("ego", "exo"):
        assert report[f"{view}_activity_accuracy"] > report[f"{view}_activity_majority"] + 0.1
    assert report["accepted_renderings"] >= 0.9
    assert report["accepted_foreign"] <= 0.6
    noise = np.random.default_rng(0).integers(0, 256, (10, 8, 64, 64, 3), dtype=np.uint8)
    assert not encoder.in_distribution(encoder.encode(noise)).any()
