"""The tasks: label strings and their probabilities, codes as tokens, windows, corrections."""

import itertools

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.model.configuration_poise import PoiseConfig
from assistant.pose.normalise import normalise
from assistant.tasks.commentary import (
    commentary_prompt,
    label_continuations,
    label_prompt,
    level_probabilities,
)
from assistant.tasks.correction import (
    correction_prompt,
    interpolate_correction,
    smooth_correction,
)
from assistant.tasks.retrieval import (
    candidate_continuations,
    code_token_ids,
    retrieval_prompt,
    unconditional_prompt,
)
from assistant.tasks.window import (
    WINDOW_FRAMES,
    WINDOW_SECONDS,
    cut_window,
    window_around,
    window_times,
)
from prompts.parse import LABEL_PREFIX, parse_feedback, parse_pose_codes
from prompts.render import render_pose_codes
from prompts.vocabulary import LEVELS


def test_no_label_is_the_beginning_of_another(processor) -> None:
    ids = [processor.text_ids(text) for text in label_continuations()]
    for one, other in itertools.permutations(ids, 2):
        assert one != other[: len(one)]


def test_a_label_has_the_same_tokens_alone_and_in_its_answer(processor) -> None:
    """The likelihood of the string is that of the tokens which training supervised."""
    for level, text in zip(LEVELS, label_continuations(), strict=True):
        whole = processor.text_ids(f"{LABEL_PREFIX}{text} Proficiency Commentary:")
        before = processor.text_ids(LABEL_PREFIX)
        label = processor.text_ids(text)
        assert whole[: len(before) + len(label)] == before + label
        assert parse_feedback(f"{LABEL_PREFIX}{text}").level == level


def test_level_probabilities_are_a_tempered_softmax() -> None:
    logs = [-1.0, -2.5, -0.5, -7.0]
    for temperature in (0.5, 1.0, 3.0):
        expected = np.exp(np.array(logs) / temperature)
        found = level_probabilities(logs, temperature)
        assert found == pytest.approx(expected / expected.sum())
    sharp, flat = level_probabilities(logs, 0.5), level_probabilities(logs, 50.0)
    assert sharp.max() > flat.max() and flat == pytest.approx(np.full(4, 0.25), abs=0.05)
    assert level_probabilities([-1e5, -1e5 - 1, -2e5, -2e5], 1.0).sum() == pytest.approx(1)


def test_prompts_share_their_beginning(processor, make_inputs) -> None:
    """One computation of the clip's turn serves every task."""
    inputs = make_inputs(0)
    first = processor.encode(label_prompt(inputs).messages)
    codes = np.arange(12).reshape(4, 3)
    for prompt in (
        commentary_prompt(inputs, "Novice"),
        correction_prompt(inputs, "Proficiency Level: Novice.", codes.tolist()),
        retrieval_prompt(inputs, "Proficiency Level: Novice.", codes, PoiseConfig()),
    ):
        ids = processor.encode(prompt.messages, answer_start=prompt.answer_start)
        assert ids[: len(first)] == first
        assert prompt.inputs is inputs


def test_the_learners_codes_guide_a_correction(processor, make_inputs) -> None:
    codes = np.arange(12).reshape(4, 3).tolist()
    prompt = correction_prompt(make_inputs(0), "Slow.", codes)
    assert prompt.guide == codes
    text = processor.tokenizer.decode(processor.encode(prompt.messages))
    assert text.endswith("Show the corrected body pose.<|im_end|>\n<|im_start|>assistant\n")


def test_the_learners_codes_stand_in_the_question_for_a_demonstration(
    processor, make_inputs
) -> None:
    ids_of = processor.tokenizer.convert_tokens_to_ids
    codes = np.arange(12).reshape(4, 3)
    config = PoiseConfig(
        retrieval_stride=2,
        pose_code_start=ids_of("<|pose_0|>"),
        pose_frame_end_id=ids_of("<|pose_frame_end|>"),
        pose_sequence_end_id=ids_of("<|pose_sequence_end|>"),
    )
    prompt = retrieval_prompt(make_inputs(0), "Slow.", codes, config)
    assert prompt.guide is None
    text = processor.tokenizer.decode(processor.encode(prompt.messages))
    learner = render_pose_codes([[0, 1, 2], [6, 7, 8]])
    assert text.endswith(
        f"The motion frame by frame: {learner}. Show an expert demonstration.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    (ids,) = candidate_continuations([codes], config)
    assert processor.tokenizer.decode(ids) == learner  # the same frames of either


def test_the_unconditional_prompt_has_no_clip(processor) -> None:
    prompt = unconditional_prompt()
    assert set(prompt.inputs.counts().values()) == {0}
    assert "<|pose|>" not in processor.tokenizer.decode(processor.encode(prompt.messages))


def test_code_tokens_are_read_back(processor, make_model) -> None:
    config = make_model().config
    codes = np.random.default_rng(0).integers(0, 16, (4, 3))
    text = processor.tokenizer.decode(code_token_ids(codes, config))
    assert parse_pose_codes(text, frames=4, tokens_per_frame=3) == codes.tolist()


@pytest.mark.parametrize(
    ("centre", "duration", "start"),
    [(5.0, 10.0, 4.0), (0.2, 10.0, 0.0), (9.9, 10.0, 8.0), (0.5, 1.2, 0.0), (1.0, 2.0, 0.0)],
)
def test_a_window_lies_inside_the_clip_where_it_fits(
    centre: float, duration: float, start: float
) -> None:
    found = window_around(centre, duration)
    assert found == pytest.approx((start, start + WINDOW_SECONDS))


def ramp(seconds: float, fps: float = 30.0) -> PoseSequence:
    """A body whose left wrist (joint 9) rises by one metre a second."""
    count = round(seconds * fps)
    rest = np.random.default_rng(0).normal(size=(1, 17, 3)) * 0.3
    rest[:, [11, 12]] = [[[0.0, 0.1, 0.9], [0.0, -0.1, 0.9]]]  # hips
    joints = np.repeat(rest, count, 0)
    joints[:, 9, 2] = np.arange(count) / fps
    return PoseSequence(joints.astype(np.float32), np.ones((count, 17), np.float32), fps)


def test_a_cut_window_holds_the_clips_frames() -> None:
    pose = normalise(ramp(5.0))
    window = cut_window(pose, 1.4)
    assert window.joints.shape == (WINDOW_FRAMES, 17, 3) and window.heights.shape == (10, 3)
    assert window_times(1.4) == pytest.approx(1.4 + 0.2 * np.arange(10))
    for i in range(10):
        frame = round((1.4 + 0.2 * i) * 30)
        assert window.joints[i] == pytest.approx(pose.joints[frame], abs=1e-5)
        assert window.heights[i] == pytest.approx(pose.heights[frame], abs=1e-5)
    assert (window.start, window.end) == pytest.approx((1.4, 3.4))
    assert np.diff(window.joints[:, 9, 2]) == pytest.approx(np.full(9, 0.2), abs=1e-5)


def test_beyond_the_end_the_last_frame_stands_still() -> None:
    pose = normalise(ramp(1.0))
    window = cut_window(pose, 0.0)
    for i in range(5, 10):
        assert window.joints[i] == pytest.approx(pose.joints[-1], abs=1e-6)


def frames(seed: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, scale, (10, 17, 3)).astype(np.float32)


def test_codes_that_stay_leave_the_middle_of_the_learner_and_its_decoding() -> None:
    learner = frames(0)
    decoded = learner + frames(1, 0.01)
    kept = smooth_correction(decoded, learner, decoded, 0.0)
    assert kept == pytest.approx((learner + decoded) / 2, abs=1e-6)


def test_a_change_that_is_the_same_in_all_frames_is_not_smoothed_away() -> None:
    learner, change = frames(0), frames(2, 0.1)[:1]
    moved = smooth_correction(learner + change, learner, learner, 1.0)
    assert moved == pytest.approx(learner + change, abs=1e-6)


def test_a_change_that_jumps_between_frames_is_smoothed() -> None:
    learner, jumps = frames(0), frames(3, 0.05)
    speeds = [
        np.abs(
            np.diff(smooth_correction(learner + jumps, learner, learner, sigma) - learner, axis=0)
        )
        for sigma in (0.0, 1.0)
    ]
    assert speeds[1].mean() < speeds[0].mean() / 2


@pytest.mark.parametrize("rate", [30.0, 25.0, 15.0])
def test_the_correction_passes_through_the_written_frames(rate: float) -> None:
    frames = np.random.default_rng(0).normal(size=(10, 17, 3))
    count = round(2 * rate)
    found = interpolate_correction(frames, 5.0, count, rate)
    assert found.shape == (count, 17, 3) and found.dtype == np.float32
    step = round(rate / 5)
    for i in range(10):
        assert found[i * step] == pytest.approx(frames[i], abs=1e-5)
    # After the last written frame it stands still; nothing is extrapolated.
    assert found[-1] == pytest.approx(frames[-1], abs=1e-5)


def test_the_correction_is_smooth_between_frames() -> None:
    times = np.arange(10) / 5
    frames = np.sin(times)[:, None, None] * np.ones((1, 17, 3))
    found = interpolate_correction(frames, 5.0, 55, 30.0)
    assert found[:, 0, 0] == pytest.approx(np.sin(np.arange(55) / 30), abs=2e-3)
