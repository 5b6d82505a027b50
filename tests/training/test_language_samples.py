"""From clips to conversations: windows of twins, gold demonstrations, library, experts."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from assistant.demos.cut import with_unconditional
from assistant.demos.library import Library
from assistant.errors import PoiseError
from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.perception import Perception, turned
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.kinematics import QUANTITIES, measure_repetitions
from assistant.pose.normalise import PERCEPTION_FPS, normalise, rotate_yaw
from assistant.tasks.window import cut_window
from data_prep.drills.records import Drill
from prompts.render import render_messages, render_pose_codes
from prompts.vocabulary import (
    CORRECT,
    LEVELS,
    POSE_FRAME_END,
    POSE_SEQUENCE_END,
    REGIONS,
    TURN_END,
    pose_code,
)
from training.experts import experts
from training.language_samples import (
    Pairs,
    PerceivedClip,
    correction_messages,
    fault_order,
    ignore_guide,
    library_frames,
    nearest_items,
    retrieval_messages,
    supervise,
    token_sample,
    twin_windows,
)
from training.language_stage import by_task, multitask_samples
from training.recipe import LanguageSettings, load_recipe
from training.run import learner_poses


def test_windows_become_features_and_codes(perception: Perception, drills: list[Drill]) -> None:
    windows = [cut_window(normalise(d.pose), 1.0) for d in drills[:3]]
    features, codes = perception.encode_windows(windows)
    assert features.shape == (3, 10, 3 * 4 + 3) and codes.shape == (3, 10, 3)
    assert codes.min() >= 0 and codes.max() < 16
    one, its_codes = perception.encode_window(windows[1])
    assert one == pytest.approx(features[1], abs=1e-5) and np.array_equal(its_codes, codes[1])
    assert features[..., -3:] == pytest.approx(np.stack([w.heights for w in windows]))


def test_the_twin_is_seen_at_the_learners_moment_and_heading(drills: list[Drill]) -> None:
    drill = next(d for d in drills if d.faults)
    window = cut_window(turned(normalise(drill.pose), 0.9), 2.0)
    (twin,) = twin_windows(drill, [window])
    assert (twin.start, twin.yaw) == (window.start, 0.9)
    assert drill.twin is not None
    world = rotate_yaw(drill.twin.joints[60] - drill.twin.joints[60, [11, 12]].mean(0), -0.9)
    assert twin.joints[0] == pytest.approx(world, abs=1e-3)


def test_a_clip_without_a_twin_is_an_error(drills: list[Drill]) -> None:
    drill = replace(drills[0], twin=None)
    with pytest.raises(PoiseError, match="no fault-free twin"):
        twin_windows(drill, [cut_window(normalise(drill.pose), 0.0)])


def test_the_library_holds_fault_free_windows(library: Library, drills: list[Drill]) -> None:
    clips = {d.sample_id: d for d in drills}
    assert len(library) > 3
    for item in library.items:
        drill = clips[item.demonstration_id.split("@")[0]]
        assert not drill.faults and drill.level
        assert (item.activity, item.level) == (drill.activity, LEVELS[drill.level])
        assert item.joints.shape == (30, 17, 3) and item.fps == PERCEPTION_FPS
        assert item.codes.shape == (10, 3)
        assert item.end - item.start == pytest.approx(2.0)
        assert item.start >= 0 and item.end <= drill.pose.duration
        assert set(item.correct_regions) == {r for r, p in drill.regions.items() if p == CORRECT}
    assert len({item.demonstration_id for item in library.items}) == len(library)


def test_a_librarys_frames_are_those_of_its_codes(library: Library, perception: Perception) -> None:
    frames = library_frames(library.items)
    assert frames.shape == (len(library), 10, 17, 3)
    with torch.inference_mode():
        embedded = perception.pose_tokenizer.encode(torch.from_numpy(frames).flatten(0, 1))
        codes, _ = perception.pose_tokenizer.quantise(embedded)
    same = codes.reshape(len(library), 10, 3).numpy() == np.stack([i.codes for i in library.items])
    assert same.mean() > 0.99  # two ways to interpolate the same instants


def test_the_gold_item_is_the_nearest_after_alignment(library: Library) -> None:
    frames = library_frames(library.items)
    turn = rotate_yaw(frames[2], 0.4).astype(np.float32) * 1.1
    rng = np.random.default_rng(0)
    other = frames[0] + rng.normal(0, 0.1, frames[0].shape)
    errors = [pa_mpjpe(candidate, other).mean() for candidate in frames]
    places, millimetres = nearest_items(np.stack([turn, other]).astype(np.float32), frames)
    assert places.tolist() == [2, int(np.argmin(errors))]
    assert millimetres == pytest.approx([0.0, min(errors)], rel=1e-3, abs=0.5)


class CountingEngine:
    """The sum of a continuation is its number of tokens times a tenth, negative."""

    class model:
        class config:
            retrieval_stride = 1
            pose_code_start, pose_frame_end_id, pose_sequence_end_id = 100, 98, 99

    def score(self, prompt: Any, continuations: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
        assert not any(prompt.inputs.counts().values())
        counts = np.array([len(c) for c in continuations])
        return -0.1 * counts - np.arange(len(counts)), counts


def test_unconditional_likelihoods_are_means_per_token(library: Library) -> None:
    engine: Any = CountingEngine()
    config: Any = CountingEngine.model.config
    rated = with_unconditional(library.items, engine, config)
    tokens = 10 * (3 + 1) + 1
    expected = [-0.1 - i / tokens for i in range(len(library))]
    assert [item.unconditional for item in rated] == pytest.approx(expected)
    assert [item.demonstration_id for item in rated] == [
        item.demonstration_id for item in library.items
    ]


def test_experts_are_measured_on_fault_free_clips_of_late_experts(drills: list[Drill]) -> None:
    table = experts(drills).table
    known = [d for d in drills if d.level == 3 and not d.faults]
    squats = [d for d in known if d.activity == "bodyweight_squat"]
    values = []
    for drill in squats:
        span = (drill.repetitions[0][0], drill.repetitions[-1][1])
        found = measure_repetitions(drill.pose, drill.activity, span)
        values += [m.value for m in found if m.quantity == "knee_flexion_max"]
    knee = table["bodyweight_squat"]["knee_flexion_max"]
    assert knee.n == len(values) >= len(squats) > 1
    assert (knee.mean, knee.std) == pytest.approx((np.mean(values), np.std(values)))
    assert (knee.region, knee.unit) == ("legs", QUANTITIES["knee_flexion_max"].unit)
    assert set(table) == {d.activity for d in known}


def test_learners_are_seen_with_noise_and_some_by_one_camera(drills: list[Drill]) -> None:
    poses = learner_poses(drills, 5)
    again, other = learner_poses(drills, 5), learner_poses(drills, 6)
    share = np.mean([pose.source == "mediapipe" for pose in poses])
    assert 0.02 < share < 0.5
    for pose, same in zip(poses, again, strict=True):
        assert np.array_equal(pose.joints, same.joints)
    assert any(not np.array_equal(a.joints, b.joints) for a, b in zip(poses, other, strict=True))
    assert all((pose.root_path is None) == (pose.source == "mediapipe") for pose in poses)


def perceived(drill: Drill, gold: int) -> PerceivedClip:
    codes = np.arange(30).reshape(10, 3) % 16
    window = cut_window(normalise(drill.pose), 0.0)
    return PerceivedClip(
        drill=drill,
        window=window,
        twin=window.joints,
        inputs=ModelInputs(score=np.zeros(14, np.float32)),
        learner_codes=codes,
        target_codes=(codes + 1) % 16,
        gold=gold,
        answer="Proficiency Level: Novice. Proficiency Commentary:\nLegs (correct): Deep.",
    )


def test_regions_are_told_by_falling_probability_of_a_fault(drills: list[Drill]) -> None:
    regions = np.tile([0.1, 0.6, 0.3], (6, 1))
    regions[3, 0], regions[1, 0] = 0.9, 0.5
    expected = (REGIONS[3], REGIONS[1], *(r for i, r in enumerate(REGIONS) if i not in (1, 3)))
    assert fault_order(regions.ravel()) == expected and fault_order(None) == ()
    codes, window = np.zeros((10, 3), int), cut_window(normalise(drills[0].pose), 0.0)
    for given, order in (
        (ModelInputs(regions=regions.ravel()), expected),
        (ModelInputs(regions=regions.ravel(), numbers="none"), ()),
        (ModelInputs(), ()),
    ):
        clip = PerceivedClip(drills[0], window, window.joints, given, codes, codes, 0)
        assert clip.order == order


def test_conversations_hold_what_their_task_needs(drills: list[Drill]) -> None:
    drill = next(d for d in drills if d.level is not None)
    clip, shown = perceived(drill, 0), np.full((10, 3), 15)
    fixed = correction_messages(clip, clip.answer, demonstration=shown, supervised=True)
    assert [m["role"] for m in fixed] == ["system", "user", "assistant", "user", "assistant"]
    assert fixed[1]["content"].count("<|pose_15|>") == 30  # F_t sees the demonstration
    assert fixed[2]["content"] == clip.answer
    assert fixed[4]["content"].startswith(
        "<|pose_0|><|pose_1|><|pose_2|><|pose_frame_end|>"  # the learner's first frame
        "<|pose_1|><|pose_2|><|pose_3|><|pose_frame_end|>"  # and its correction
        "<|pose_3|><|pose_4|><|pose_5|><|pose_frame_end|>"
    )
    assert not any("supervised" in m for m in fixed)
    given = correction_messages(clip, clip.answer, demonstration=None, supervised=False)
    assert given[2]["supervised"] is False
    asked = retrieval_messages(clip, clip.answer, shown, 2, supervised=True)
    assert "<|pose_15|>" not in asked[1]["content"]  # else F_r would copy it
    assert asked[-1]["content"].count("<|pose_15|>") == 15  # every second frame
    assert asked[3]["content"].startswith(
        "The motion frame by frame: <|pose_0|><|pose_1|><|pose_2|><|pose_frame_end|><|pose_6|>"
    )
    assert asked[3]["content"].count("<|pose_frame_end|>") == 5


def test_pairs_are_aligned_any_or_one_for_everybody(drills: list[Drill], library: Library) -> None:
    squats = library.of_activity("bodyweight_squat")
    assert len(squats) > 2
    places = [library.items.index(item) for item in squats]
    drill = next(d for d in drills if d.activity == "bodyweight_squat")
    clips = [perceived(drill, place) for place in places for _ in range(4)]

    def shown(kind: str, seed: int = 0) -> list[bytes]:
        pairs = Pairs(library, kind, seed)
        found = [pairs.pair(i, clip) for i, clip in enumerate(clips)]
        for (codes, learned), clip in zip(found, clips, strict=True):
            # F_g learns the twin in step, or where nothing is aligned the same demonstration.
            target = clip.target_codes if kind == "aligned" else codes
            assert np.array_equal(learned.target_codes, target)
        return [codes.tobytes() for codes, _ in found]

    assert shown("aligned") == [item.codes.tobytes() for item in squats for _ in range(4)]
    anyone = shown("unaligned")
    assert len(set(anyone)) > 1 and anyone == shown("unaligned") != shown("unaligned", seed=1)
    assert set(anyone) <= {item.codes.tobytes() for item in squats}
    frames = library_frames(squats)
    spread = [np.mean([pa_mpjpe(b, a).mean() for b in frames]) for a in frames]
    assert set(shown("global")) == {squats[int(np.argmin(spread))].codes.tobytes()}


def test_only_the_corrected_frames_are_learned(processor: PoiseProcessor) -> None:
    learner, target = [[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]
    messages = render_messages(
        "correction", commentary="Slow.", learner_codes=learner, target=target
    )
    sample = token_sample(processor, supervise(messages), ModelInputs())
    found = ignore_guide(sample, frames=2, tokens_per_frame=3)
    assert found.ids == sample.ids
    learned = [i for i, label in zip(found.ids, found.labels, strict=True) if label != IGNORED]
    one, two = ("".join(map(pose_code, codes)) + POSE_FRAME_END for codes in target)
    expected = f"Slow.{TURN_END}{one}{two}{POSE_SEQUENCE_END}{TURN_END}"
    assert processor.tokenizer.decode(learned) == expected
    for label, weight in zip(found.labels, found.weights, strict=True):
        assert (weight == 0) == (label == IGNORED)


def test_an_activity_without_demonstrations_is_an_error(
    drills: list[Drill], library: Library, processor: Any
) -> None:
    class Nothing:
        class recipe:
            seed = 0
            language = LanguageSettings()

            class correction:
                epochs = 0

    run: Any = Nothing()
    drill = next(d for d in drills if d.level is not None)
    with pytest.raises(PoiseError, match=f"no demonstration of {drill.activity}"):
        multitask_samples(run, [perceived(drill, -1)], library, processor, {})
    samples = multitask_samples(run, [perceived(drill, 0)], library, processor, {})
    answer = perceived(drill, 0).answer
    assert len(samples) == 2
    assert all(4.0 in sample.weights for sample in samples)
    own = multitask_samples(run, [perceived(drill, 0)], library, processor, {0: answer})
    for sample in own:  # its own words are given, only the codes are learned
        learned = processor.tokenizer.decode([i for i in sample.labels if i != IGNORED])
        assert learned.startswith("<|pose_") and "Proficiency" not in learned
        assert answer in processor.tokenizer.decode(sample.ids)
    # With F_g trained apart, as in ExpertAF: one conversation a task, the demonstration in F_t's.
    run.recipe.correction.epochs = 5
    run.recipe.language = LanguageSettings(demonstration_dropout=0.0)
    parts = by_task(multitask_samples(run, [perceived(drill, 0)], library, processor, {}))
    tasks = {stage: [s.sample_id.rsplit("/", 1)[1] for s in some] for stage, some in parts.items()}
    assert tasks == {"language": ["commentary", "retrieval"], "correction": ["correction"]}
    shown = render_pose_codes(library.items[0].codes.tolist())
    first, second, last = (
        processor.tokenizer.decode(s.ids) for some in parts.values() for s in some
    )
    assert shown in first and shown not in last
    for sample, text in ((parts["language"][1], second), (parts["correction"][0], last)):
        assert answer.split("\n")[0] in text
        learned = processor.tokenizer.decode([i for i in sample.labels if i != IGNORED])
        assert learned.startswith("<|pose_")


def test_the_commentary_alone_is_learned_without_demonstrations_and_codes(
    drills: list[Drill], library: Library, processor: Any
) -> None:
    run: Any = SimpleNamespace(
        recipe=SimpleNamespace(
            seed=0,
            language=LanguageSettings(tasks="commentary", demonstration_dropout=0.0),
            correction=SimpleNamespace(epochs=0),
        )
    )
    drill = next(d for d in drills if d.level is not None)
    samples = multitask_samples(run, [perceived(drill, 0)], library, processor, {})
    assert [s.sample_id for s in samples] == [f"{drill.sample_id}/commentary"] * 2
    told = [processor.tokenizer.decode([i for i in s.labels if i != IGNORED]) for s in samples]
    assert told[0] != told[1]  # in other words
    for text, sample in zip(told, samples, strict=True):
        assert text.startswith("Proficiency Level: ")
        assert "<|pose_0" not in processor.tokenizer.decode(sample.ids)
    with pytest.raises(PoiseError, match="expected 0, or all tasks"):
        load_recipe("ablation", ["language.tasks=commentary", "correction.epochs=1"])
