"""Look Closer's losses against loops written from the paper, and training on made-up streams."""

import math

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.proficiency.look_closer import LookCloserConfig, LookCloserOutput
from training.proficiency.look_closer import (
    IGNORE,
    PAPER_WEIGHTS,
    LookCloserSettings,
    StreamClip,
    aspect_loss,
    collate,
    consistency_loss,
    look_closer_losses,
    predict,
    router_loss,
    train_look_closer,
)

BATCH, BRANCHES = 5, 4
ACTIVITY = [0, 1, 0, 1, 1]
LEVEL = [0, 3, IGNORE, 1, 2]


def output(seed: int = 0) -> LookCloserOutput:
    """Random, with the first branch absent in the second clip."""
    rng = np.random.default_rng(seed)
    present = np.ones((BATCH, BRANCHES), bool)
    present[1, 0] = False
    router = rng.random((BATCH, BRANCHES)) * present
    prior = rng.random((2, BRANCHES))[ACTIVITY] * present
    parts = (
        rng.normal(size=(BATCH, 4)),
        rng.normal(size=(BATCH, BRANCHES, 3)),
        router / router.sum(1, keepdims=True),
        prior / prior.sum(1, keepdims=True),
        rng.normal(size=(BATCH, 8)),
        present,
    )
    return LookCloserOutput(*map(torch.from_numpy, parts))


def softmax(x: np.ndarray) -> list[float]:
    e = [math.exp(v) for v in x]
    return [v / sum(e) for v in e]


def test_l_cls_is_the_cross_entropy_of_the_level() -> None:
    out = output()
    found = look_closer_losses(
        out, torch.tensor(ACTIVITY), torch.tensor(LEVEL), torch.full((BATCH, BRANCHES), IGNORE)
    )
    terms = [-math.log(softmax(out.level[i].numpy())[y]) for i, y in enumerate(LEVEL) if y >= 0]
    assert float(found["class"]) == pytest.approx(sum(terms) / len(terms))
    assert float(found["aspect"]) == 0


def test_l_asp_is_the_cross_entropy_of_labelled_polarities() -> None:
    out, rng = output(), np.random.default_rng(1)
    labels = rng.integers(0, 3, (BATCH, BRANCHES))
    labels[3] = IGNORE
    terms = []
    for i in range(BATCH):
        for a in range(BRANCHES):
            if labels[i, a] != IGNORE and bool(out.present[i, a]):
                p_a = softmax(out.polarity[i, a].numpy())
                terms.append(-math.log(p_a[labels[i, a]]))
    assert len(terms) == 15
    expected = sum(terms) / len(terms)
    assert float(aspect_loss(out, torch.from_numpy(labels))) == pytest.approx(expected)


def test_l_rtr_is_the_divergence_of_the_mean_weight_from_the_prior() -> None:
    out = output()
    expected = 0.0
    for activity in (0, 1):
        mine = [i for i in range(BATCH) if ACTIVITY[i] == activity]
        for a in range(BRANCHES):
            mean = sum(float(out.router[i, a]) for i in mine) / len(mine)
            pi = sum(float(out.prior[i, a]) for i in mine) / len(mine)
            expected += len(mine) / BATCH * mean * math.log(mean / pi)
    assert float(router_loss(out, torch.tensor(ACTIVITY))) == pytest.approx(expected)
    out.router = out.prior
    assert float(router_loss(out, torch.tensor(ACTIVITY))) == pytest.approx(0, abs=1e-12)


def test_l_con_asks_the_weighted_polarity_for_the_upper_half_of_levels() -> None:
    out = output()
    terms = []
    for i, level in enumerate(LEVEL):
        if level == IGNORE:
            continue
        margin = 0.0
        for a in range(BRANCHES):
            p_a = softmax(out.polarity[i, a].numpy())
            margin += float(out.router[i, a]) * (p_a[2] - p_a[0])
        chance = (1 + margin) / 2
        terms.append(-math.log(chance if level >= 2 else 1 - chance))
    found = float(consistency_loss(out, torch.tensor(LEVEL)))
    assert found == pytest.approx(sum(terms) / len(terms))


def test_defaults_are_what_the_paper_prints() -> None:
    """Section III-A."""
    settings = LookCloserSettings()
    assert PAPER_WEIGHTS == {"aspect": 0.5, "router": 0.01, "consistency": 0.1}
    assert (settings.aspect, settings.router, settings.consistency) == (0.5, 0.01, 0.1)
    assert (settings.learning_rate, settings.weight_decay) == (2e-4, 1e-4)
    assert (settings.batch_size, settings.clip, settings.bf16) == (8, 1.0, True)


def clips(count: int, seed: int) -> list[StreamClip]:
    """The level is the offset of one column of the exo stream, in its later half."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        level, frames = i % 4, int(rng.integers(6, 10))
        exo = rng.normal(size=(frames, 5)).astype(np.float32)
        exo[frames // 2 :, 2] += 2.0 * level - 3
        some = {"exo": exo, "gaze": rng.normal(size=(frames, 2)).astype(np.float32)}
        if i % 3:
            some["ego"] = rng.normal(size=(7, 4)).astype(np.float32)
        aspects = np.array([1, 1, 2 if level >= 2 else 0, 1]) if i % 2 else np.full(4, IGNORE)
        found.append(StreamClip(some, i % 2, level, f"p{i}", aspects))
    return found


CONFIG = LookCloserConfig({"ego": 4, "exo": 5, "gaze": 2}, 2, width=16, heads=2, feedforward=32)


def test_collate_pads_and_leaves_out_what_no_clip_has() -> None:
    some = clips(4, 0)
    streams, activity = collate(some, ("ego", "exo", "pose"))
    assert set(streams) == {"ego", "exo"} and activity.tolist() == [0, 1, 0, 1]
    values, valid = streams["exo"]
    for row, clip in enumerate(some):
        length = len(clip.streams["exo"])
        assert valid[row].sum() == length and valid[row, :length].all()
        assert torch.equal(values[row, :length], torch.from_numpy(clip.streams["exo"]))
        assert (values[row, length:] == 0).all()
    assert not streams["ego"][1][0].any() and streams["ego"][1][1].sum() == 7


def test_training_learns_a_planted_level_and_repeats_itself() -> None:
    settings = LookCloserSettings(epochs=5, learning_rate=1e-2, modality_dropout=0.2, bf16=False)
    nets = [train_look_closer(clips(64, 0), CONFIG, settings, 4, lambda text: None)
            for _ in range(2)]  # fmt: skip
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, two)
    test = clips(60, 9)
    p = predict(nets[0], test)
    assert p.shape == (60, 4) and p.sum(1) == pytest.approx(np.ones(60))
    assert (p.argmax(1) == [c.level for c in test]).mean() > 0.5
    # The commentary of the second activity speaks of the body alone; the first has none.
    body = list(nets[0].config.branches).index("body")
    assert nets[0].prior[1].argmax() == body
    assert nets[0].prior[0].tolist() == [0.25] * 4


def test_clips_without_any_of_its_modalities_are_refused() -> None:
    some = [StreamClip({"pose": np.zeros((3, 2), np.float32)}, 0, 1, "a")]
    with pytest.raises(PoiseError, match="1 of 1 clips without"):
        train_look_closer(some, CONFIG, LookCloserSettings(), 0, print)
