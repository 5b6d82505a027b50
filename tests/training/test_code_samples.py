"""Conversations in codes: which codes they hold, and of which frames."""

import numpy as np

from assistant.demos.library import Library
from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.perception import Perception
from data_prep.drills.records import Drill
from prompts.render import render_pose_codes
from training.code_samples import asked_samples, library_samples, pair_codes, plain_corrections
from training.language_samples import PerceivedClip, TokenSample
from training.moment_windows import near_moments


def learned(processor: PoiseProcessor, sample: TokenSample) -> str:
    text: str = processor.tokenizer.decode([i for i in sample.labels if i != IGNORED])
    return text


def test_a_correction_without_features_is_the_twins(
    processor: PoiseProcessor, perception: Perception, drills: list[Drill]
) -> None:
    known = [drill for drill in drills if drill.level is not None]
    asked = plain_corrections(known, perception, 7)
    _, learners, twins = near_moments(known, 7)
    for motions, place in ((learners, 3), (twins, 4)):
        codes = perception.encode_windows(motions)[1].tolist()
        assert [item[place] for item in asked] == codes
    for item, sample in zip(asked, asked_samples(processor, asked), strict=True):
        assert set(sample.inputs.counts().values()) == {0}
        assert learned(processor, sample).count("<|pose_frame_end|>") == 10
        assert processor.tokenizer.decode(sample.ids).count("<|pose_frame_end|>") == 20
        assert learned(processor, sample) == render_pose_codes(item[4]) + "<|im_end|>"


def test_a_demonstration_is_asked_by_every_nth_frame_of_learner_and_answer(
    processor: PoiseProcessor, perception: Perception, drills: list[Drill]
) -> None:
    drill = next(drill for drill in drills if drill.level is not None)
    (window,), (twin,) = near_moments([drill], 7)[1:]
    own = np.arange(30).reshape(10, 3) % 16
    target, gold = own[::-1], (own + 5) % 16
    clip = PerceivedClip(drill, window, twin.joints, ModelInputs(), own, target, 0)
    fixed, asked = pair_codes([(gold, clip)], 3)
    assert [item[0] for item in (fixed, asked)] == ["correction", "retrieval"]
    assert fixed[3:] == (own.tolist(), target.tolist())
    assert asked[3:] == (own[::3].tolist(), gold[::3].tolist())
    (sample,) = asked_samples(processor, [asked])
    text = processor.tokenizer.decode(sample.ids)
    assert learned(processor, sample).startswith(render_pose_codes(gold[::3].tolist()))
    assert text.count(render_pose_codes(own[::3].tolist())) == 1
    assert text.count("<|pose_frame_end|>") == 8


def test_every_item_of_the_library_is_told_by_the_same_frames(
    processor: PoiseProcessor, library: Library
) -> None:
    samples = library_samples(processor, library, 2)
    assert len(samples) == len(library.items)
    for item, sample in zip(library.items, samples, strict=True):
        assert learned(processor, sample).startswith(render_pose_codes(item.codes[::2].tolist()))


def test_windows_of_one_clip_follow_it_and_miss_its_moments_by_little(
    drills: list[Drill],
) -> None:
    known = [drill for drill in drills if drill.level is not None][:4]
    clips, learners, twins = near_moments(known, 5, 3)
    assert [clip.sample_id for clip in clips] == [d.sample_id for d in known for _ in range(3)]
    for clip, learner, twin in zip(clips, learners, twins, strict=True):
        assert (twin.start, twin.yaw) == (learner.start, learner.yaw)
        middles = np.array([(start + end) / 2 for start, end in clip.moments])
        assert np.abs(middles - (learner.start + learner.end) / 2).min() < 1.5
