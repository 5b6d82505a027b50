"""The pipeline without weights: records, abstention, focus, evidence, the corrected clip."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.coach_result import CoachInput, Judged, with_window
from assistant.engine.dummy_engine import ANSWER, DummyEngine
from assistant.errors import PoiseError
from assistant.feedback import validate
from assistant.perceive import perceive
from assistant.perception import Perception, focus_window, turned
from assistant.plain import describe
from assistant.pose.bones import bone_length_drift_mm, bone_lengths
from assistant.pose.normalise import NormalisedPose, normalise, rotate_yaw
from assistant.proficiency.assess import recrop
from assistant.skeleton import LEFT_ANKLE, LEFT_HIP, LEFT_SHOULDER, LEFT_WRIST, RIGHT_HIP
from assistant.tasks.window import WindowFrames, cut_window, heights_of
from prompts.parse import parse_feedback
from prompts.vocabulary import LEVELS, REGIONS


@pytest.fixture
def clip(squat: PoseSequence) -> CoachInput:
    return CoachInput("mine", squat, {"exo1": Path("mine.mp4")})


def test_a_judged_record_fits_the_schema(stub_coach: Coach, clip: CoachInput) -> None:
    result = stub_coach.coach(clip, seed=7)
    record = result.feedback.to_json()
    validate(record)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["judged"] and record["abstain_reason"] is None
    found = record["proficiency"]
    assert sum(found["probabilities"]) == pytest.approx(1)
    assert found["level"] == LEVELS[int(np.argmax(found["probabilities"]))]
    expected = sum(k * p for k, p in enumerate(found["probabilities"]))
    assert found["score"] == pytest.approx(expected)
    assert found["coral"] == sorted(found["coral"], reverse=True)
    assert found["pdm"] == {"ego": None, "exo": None, "pose": pytest.approx(0.1)}
    said = parse_feedback(ANSWER)
    assert [r["text"] for r in record["remarks"]] == [r.text for r in said.remarks]
    assert record["commentary"].endswith(said.drill)
    assert record["provenance"]["seed"] == 7
    assert record["provenance"]["engine"] == "dummy"
    assert record["provenance"]["inputs_used"] == ["pose"]
    assert record["provenance"]["level_basis"] == "simulated drills"
    assert set(record["timings_ms"]) == {
        "perception", "label", "commentary", "correction", "retrieval", "reassessment"
    }  # fmt: skip


def test_the_texts_label_is_the_most_likely_level(stub_coach: Coach, clip: CoachInput) -> None:
    """The answer of the engine says Early Expert; the likelihoods decide."""
    result = stub_coach.coach(clip)
    level = result.feedback.to_json()["proficiency"]["level"]
    assert result.text is not None and result.text.startswith(f"Proficiency Level: {level}. ")
    assert parse_feedback(result.text).problems == ()


def test_a_clip_that_is_not_judged_says_why(stub_coach: Coach, clip: CoachInput) -> None:
    stub_coach.perception.assessor.judged = False
    result = stub_coach.coach(clip)
    record = result.feedback.to_json()
    validate(record)
    assert not record["judged"]
    assert "bodyweight squat or basketball free throw" in record["abstain_reason"]
    assert "Film one person" in record["abstain_reason"]
    assert record["activity"]["name"] == "bodyweight_squat"
    for name in ("proficiency", "commentary", "focus", "correction"):
        assert record[name] is None, name
    for name in ("remarks", "demonstrations", "moments"):
        assert record[name] == [], name
    assert record["measurements"]
    assert result.correction is result.learner is result.demonstration is None
    assert "Not judged." in describe(record)


def test_a_named_activity_is_judged_even_if_it_looks_like_none(
    stub_coach: Coach, clip: CoachInput
) -> None:
    stub_coach.perception.assessor.judged = False
    record = stub_coach.coach(clip, activity="basketball_free_throw").feedback.to_json()
    assert record["judged"] and record["activity"]["name"] == "basketball_free_throw"
    shown = {d["id"] for d in record["demonstrations"]}
    assert shown == {"expert-2", "expert-5"}


def test_an_unknown_activity_lists_the_known_ones(stub_coach: Coach) -> None:
    stub_coach.check_activity(None)
    stub_coach.check_activity("bodyweight_squat")
    with pytest.raises(PoiseError, match="bodyweight_squat, basketball_free_throw") as caught:
        stub_coach.check_activity("bodyweight_sqat")
    assert "'bodyweight_sqat'" in str(caught.value)


@pytest.mark.parametrize(("worst", "remark"), [("legs", 0), ("arms", 1)])
def test_the_focus_is_the_criticism_with_the_most_probable_fault(
    stub_coach: Coach, clip: CoachInput, worst: str, remark: int
) -> None:
    regions = np.full((6, 3), 1 / 3)
    regions[REGIONS.index(worst)] = (0.7, 0.2, 0.1)
    # More probable still, but the text praises one and does not speak of the other.
    for other in ("torso", "feet"):
        regions[REGIONS.index(other)] = (0.9, 0.05, 0.05)
    stub_coach.perception.assessor.regions = regions
    focus = stub_coach.coach(clip).feedback.to_json()["focus"]
    assert focus == {"region": worst, "remark": remark, "drill": parse_feedback(ANSWER).drill}


def test_praise_alone_has_no_focus(stub_coach: Coach, clip: CoachInput) -> None:
    answer = "Proficiency Level: Novice. Proficiency Commentary:\nLegs (correct): Deep and even."
    stub_coach.engine = DummyEngine(stub_coach.config, answer)
    record = stub_coach.coach(clip).feedback.to_json()
    validate(record)
    assert record["focus"] is None and len(record["remarks"]) == 1
    assert record["commentary"] == "Deep and even."
    assert "Fix first" not in describe(record)


@pytest.mark.parametrize("answer", ["Proficiency Level: Novice. Proficiency Commentary:", "??"])
def test_an_answer_outside_the_grammar_is_still_a_record(
    stub_coach: Coach, clip: CoachInput, answer: str
) -> None:
    stub_coach.engine = DummyEngine(stub_coach.config, answer)
    record = stub_coach.coach(clip).feedback.to_json()
    validate(record)
    assert record["remarks"] == [] and record["focus"] is None
    describe(record)


def test_many_clips_answer_as_each_alone(
    stub_coach: Coach, clip: CoachInput, squat: PoseSequence
) -> None:
    other = CoachInput("short", squat.crop(0.0, 2.5))
    together = [r.feedback.to_json() for r in stub_coach.coach_many([clip, other, clip])]
    alone = [stub_coach.coach(each).feedback.to_json() for each in (clip, other, clip)]
    for record in together + alone:
        record["timings_ms"] = {}
    assert together == alone
    assert together[0] == together[2]
    assert together[0] != together[1]


def test_remark_times_are_those_of_the_regions_moment(stub_coach: Coach, clip: CoachInput) -> None:
    for remark in stub_coach.coach(clip).feedback.to_json()["remarks"]:
        start = 0.1 * REGIONS.index(remark["region"])
        assert (remark["start"], remark["end"]) == (start, start + 1)


def test_demonstrations_are_ranked_and_say_what_they_show(
    stub_coach: Coach, clip: CoachInput
) -> None:
    result = stub_coach.coach(clip)
    rows = result.feedback.to_json()["demonstrations"]
    assert len(rows) == len(result.ranked) == 4
    likelihoods = [r.log_likelihood for r in result.ranked]
    assert likelihoods == sorted(likelihoods, reverse=True)
    by_id = {d["id"]: d for d in rows}
    assert by_id["expert-0"]["fixes"] == ["arms"]
    assert by_id["expert-1"]["fixes"] == ["legs"]  # the head was not criticised
    assert all(d["pa_mpjpe_mm"] > 0 for d in rows)


def test_the_correction_keeps_the_learners_bones(stub_coach: Coach, clip: CoachInput) -> None:
    result = stub_coach.coach(clip)
    correction = result.feedback.to_json()["correction"]
    assert correction["end"] - correction["start"] == pytest.approx(2.0)
    assert correction["fps"] == clip.pose.fps
    assert result.correction is not None and result.corrected is not None
    bones = bone_lengths(clip.pose.joints)
    played = bone_length_drift_mm(result.correction.joints, bones)
    assert correction["bone_length_drift_mm"] == pytest.approx(played, rel=0.01)
    # The frames that were written have the bones exactly, what is played between them has not.
    assert bone_length_drift_mm(result.corrected, bones) < 0.01 < played < 5
    assert correction["level_before"] in LEVELS and correction["level_after"] in LEVELS


def test_what_a_correction_changes_is_smoothed_in_time(stub_coach: Coach, clip: CoachInput) -> None:
    result = stub_coach.coach(clip)
    assert result.frames is not None and result.corrected is not None
    assert result.decoded is not None

    def jumps(motion: np.ndarray) -> float:
        assert result.frames is not None
        return float(np.abs(np.diff(motion - result.frames.joints, axis=0)).mean())

    assert jumps(result.corrected) < 0.8 * jumps(result.decoded)


def test_impossible_joints_of_a_correction_are_reported(
    stub_coach: Coach, clip: CoachInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folded(judged, texts, seed):  # type: ignore[no-untyped-def]
        frames = np.repeat(judged[0].window.joints[:1], 10, axis=0).copy()
        frames[:, LEFT_WRIST] = frames[:, LEFT_SHOULDER]
        return [(frames, frames)]

    before = stub_coach.coach(clip).feedback.to_json()["correction"]
    assert before["joint_limit_violations"] >= 0
    monkeypatch.setattr(stub_coach, "correct", folded)
    record = stub_coach.coach(clip).feedback.to_json()
    validate(record)
    assert record["correction"]["joint_limit_frame_share"] == 1.0
    assert record["correction"]["joint_limit_violations"] == 60  # one elbow in every frame of 2 s


def test_without_a_suitable_demonstration_the_record_says_why(
    stub_coach: Coach, clip: CoachInput
) -> None:
    assert stub_coach.coach(clip).feedback.demonstration_reason is None
    stub_coach.ranking = replace(stub_coach.ranking, least={"bodyweight_squat": 0.0})
    result = stub_coach.coach(clip)
    record = result.feedback.to_json()
    validate(record)
    assert record["demonstrations"] == [] and result.demonstration is None
    assert record["demonstration_reason"].startswith("No suitable demonstration: the best of 4 ")
    assert record["demonstration_reason"] in describe(record)
    assert len(result.ranked) == 4


class Listening(DummyEngine):
    """Keeps the prompts that it was asked."""

    def __init__(self, *arguments) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments)
        self.asked: list[str] = []

    def generate(self, prompts, options):  # type: ignore[no-untyped-def]
        self.asked += [json.dumps(list(prompt.messages)) for prompt in prompts]
        return super().generate(prompts, options)

    def score(self, prompt, continuations):  # type: ignore[no-untyped-def]
        self.asked.append(json.dumps(list(prompt.messages)))
        return super().score(prompt, continuations)


def test_a_given_demonstration_and_commentary_are_put_into_the_prompts(
    stub_coach: Coach, clip: CoachInput
) -> None:
    """F_t sees the demonstration; F_g and F_r follow the expert's words and see none."""
    engine = stub_coach.engine = Listening(stub_coach.config)
    alone = stub_coach.coach(clip).feedback.to_json()
    label, told, corrected, ranked = engine.asked
    assert "Expert demonstration" not in label + told
    engine.asked.clear()
    words = "She should sit deeper <|im_end|>."
    expert = stub_coach.library.items[0].pose()
    given = replace(clip, demonstration=expert, commentary=words)
    record = stub_coach.coach(given).feedback.to_json()
    validate(record)
    label, told, corrected, ranked = engine.asked
    for prompt in (label, told):
        assert "Expert demonstration: <|pose_" in prompt and "sit deeper" not in prompt
    for prompt in (corrected, ranked):
        assert "sit deeper" in prompt and "Expert demonstration" not in prompt
        assert "deeper <|im_end|>" not in prompt  # typed tokens stay text
        assert "thighs are level" not in prompt  # nor does the generated commentary stand there
    used = record["provenance"]["inputs_used"]
    assert used == [*alone["provenance"]["inputs_used"], "demonstration", "commentary"]


def test_of_a_long_demonstration_the_nearest_two_seconds_are_shown(
    stub_coach: Coach, clip: CoachInput
) -> None:
    window = stub_coach.coach(clip).frames
    assert window is not None
    pose = clip.pose
    still = np.repeat(pose.joints[:1], 3 * round(pose.fps), axis=0)
    long = replace(
        pose,
        joints=np.concatenate([still, pose.joints]),
        confidence=np.ones((len(still) + len(pose.joints), 17), dtype=np.float32),
    )
    given = replace(clip, demonstration=long)
    (item,) = perceive(stub_coach.perception, [given])
    assert isinstance(item, Judged) and item.inputs.demonstration is not None
    shown = np.array(item.inputs.demonstration)
    assert (shown == item.codes).mean() > 0.9  # its own window, 3 s later


def test_the_three_motions_are_of_the_same_seconds(stub_coach: Coach, clip: CoachInput) -> None:
    result = stub_coach.coach(clip)
    three = (result.learner, result.demonstration, result.correction)
    for motion in three:
        assert motion is not None
        assert (len(motion), motion.fps, motion.world) == (60, 30.0, False)
    # The learner's own frames, in the heading of the window.
    assert result.window is not None and result.frames is not None
    shown = three[0].joints[::6][: len(result.frames.joints)]
    assert shown == pytest.approx(result.frames.joints, abs=1e-5)


def test_a_clip_shorter_than_the_window(stub_coach: Coach, squat: PoseSequence) -> None:
    record = stub_coach.coach(CoachInput("short", squat.crop(0.0, 0.6))).feedback.to_json()
    validate(record)
    assert record["correction"]["start"] == 0.0


def test_a_single_view_pose_without_a_floor(stub_coach: Coach, squat: PoseSequence) -> None:
    centred = squat.joints - squat.joints[:, [LEFT_HIP, RIGHT_HIP]].mean(1, keepdims=True)
    pose = replace(squat, joints=centred, source="mediapipe", world=False)
    record = stub_coach.coach(CoachInput("film", pose)).feedback.to_json()
    validate(record)
    assert record["provenance"]["pose_source"] == "mediapipe"


def test_the_corrected_clip_is_judged_as_the_first_one_was(
    stub_coach: Coach, clip: CoachInput
) -> None:
    stub_coach.coach(clip)
    (first, _, found), (after, activity, again) = stub_coach.perception.assessor.seen
    assert (found, again) == (True, False)
    assert activity == "bodyweight_squat"
    cut = recrop(first, (0.1 * first.duration, 0.9 * first.duration))
    assert len(after) == len(cut)
    outside = np.abs(after.joints - cut.joints).max(axis=(1, 2)) < 0.02
    assert outside.sum() >= len(cut) - 61  # only the window differs
    assert not outside.all()


def turned_squat(squat: PoseSequence) -> NormalisedPose:
    return normalise(replace(squat, joints=rotate_yaw(squat.joints, 0.7).astype(np.float32)))


def steady_second(pose: NormalisedPose) -> int:
    """The whole second from which on two seconds move least."""
    speed = np.abs(np.diff(pose.joints, axis=0)).max(axis=(1, 2))
    return min(range(int(pose.duration) - 3), key=lambda s: speed[30 * s : 30 * s + 60].max())


def test_putting_the_learners_own_window_back_changes_little(squat: PoseSequence) -> None:
    pose = turned_squat(squat)
    start = steady_second(pose)
    window = cut_window(turned(pose, pose.yaw + 0.4), start)
    back = with_window(pose, window, window.joints)
    assert np.abs(back.joints - pose.joints).max() < 0.03  # a cubic through every sixth frame
    first, last = 30 * start, 30 * start + 60
    assert np.array_equal(back.joints[:first], pose.joints[:first])
    assert np.array_equal(back.joints[last:], pose.joints[last:])
    assert not np.array_equal(back.joints[first + 1], pose.joints[first + 1])
    # Between the first and last written frame it is within a few millimetres.
    assert np.abs(back.joints[first : first + 55] - pose.joints[first : first + 55]).mean() < 0.003
    assert np.abs(back.heights - pose.heights).max() < 0.03
    assert np.abs(back.pelvis - pose.pelvis).max() < 0.03


def test_a_corrected_window_stands_on_the_same_floor(squat: PoseSequence) -> None:
    """Corrected legs that bend more lower the pelvis; the feet stay."""
    pose = normalise(squat)
    start = steady_second(pose)
    window = cut_window(pose, start)
    deeper = window.joints.copy()
    deeper[:, [LEFT_ANKLE, LEFT_ANKLE + 1], 2] += 0.1
    moved = with_window(pose, window, deeper)
    inside = slice(30 * start, 30 * start + 55)
    assert moved.heights[inside, 0] == pytest.approx(pose.heights[inside, 0] - 0.1, abs=0.03)
    feet = moved.to_pose().joints[inside, LEFT_ANKLE, 2]
    assert feet == pytest.approx(pose.to_pose().joints[inside, LEFT_ANKLE, 2], abs=0.03)


def test_a_window_beyond_the_clip_changes_what_is_there(squat: PoseSequence) -> None:
    pose = normalise(squat.crop(0.0, 1.5))
    window = cut_window(pose, 0.0)
    assert len(with_window(pose, window, window.joints)) == len(pose)
    late = replace(window, start=9.0, end=11.0)
    assert with_window(pose, late, window.joints) is pose


def test_heights_keep_the_lower_ankle_where_the_learners_was() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(10, 17, 3)).astype(np.float32)
    heights = np.abs(rng.normal(size=(10, 3))).astype(np.float32)
    found = heights_of(joints, WindowFrames(0.0, 2.0, joints, heights))
    for frame in range(10):
        ankles = joints[frame, [15, 16], 2]
        assert found[frame, 1:].min() == pytest.approx(heights[frame, 1:].min(), abs=1e-6)
        assert found[frame, 1:] - found[frame, 0] == pytest.approx(ankles, abs=1e-6)


def test_the_window_faces_like_the_assessed_span(stub_coach: Coach, squat: PoseSequence) -> None:
    pose = turned_squat(squat)
    found = stub_coach.perception.assessor.assess(pose)
    window = focus_window(pose, found)
    middle = (found.moments[0].start + found.moments[0].end) / 2
    assert window.start == pytest.approx(middle - 1)
    assert window.yaw == pytest.approx(recrop(pose, found.span).yaw)
    frame = round(window.start * pose.fps)
    expected = rotate_yaw(pose.joints[frame], pose.yaw - window.yaw)
    assert window.joints[0] == pytest.approx(expected, abs=0.02)


def test_a_film_without_an_encoder_is_named_but_not_used(
    stub_coach: Coach, squat: PoseSequence
) -> None:
    clip = CoachInput("film", squat, {"exo1": Path("film.mp4"), "ego": Path("ego.mp4")})
    record = stub_coach.coach(clip).feedback.to_json()
    assert record["clip"]["views"] == ["exo1", "ego"]
    assert record["provenance"]["inputs_used"] == ["pose"]


@pytest.mark.parametrize(("judged", "used"), [(True, ["pose", "exo1"]), (False, ["pose"])])
def test_films_of_the_window_enter_where_the_encoder_knows_them(
    stub_coach: Coach,
    squat: PoseSequence,
    monkeypatch: pytest.MonkeyPatch,
    judged: bool,
    used: list[str],
) -> None:
    asked = []

    def features(encoder: object, views: dict, span: tuple[float, float]) -> tuple:
        asked.append((encoder, list(views), span))
        return np.zeros((1, 12), np.float32), ("exo1",)

    monkeypatch.setattr("assistant.video.views.view_features", features)
    stub_coach.perception.assessor.judged = judged
    stub_coach.perception = replace(stub_coach.perception, video_encoder="the encoder")
    clip = CoachInput("film", squat, {"ego": Path("ego.mp4"), "exo1": Path("film.mp4")})
    result = stub_coach.coach(clip)
    assert result.feedback.to_json()["provenance"]["inputs_used"] == used
    # A clip that is not judged need not be decoded.
    assert asked == ([("the encoder", ["ego", "exo1"], result.window)] if judged else [])


@pytest.mark.parametrize(("best", "exo"), [("exo3", "exo3"), ("exo4", "exo2"), (None, "exo2")])
def test_a_model_of_the_best_exo_film_is_given_it(
    stub_coach: Coach,
    squat: PoseSequence,
    monkeypatch: pytest.MonkeyPatch,
    best: str | None,
    exo: str,
) -> None:
    asked = []

    def features(encoder: object, views: dict, span: tuple[float, float]) -> tuple:
        asked.append(list(views))
        return np.zeros((len(views), 12), np.float32), tuple(views)

    def stream_source(self: Perception, views: dict, *rest: object) -> None:
        asked.append(list(views))

    monkeypatch.setattr(Perception, "stream_source", stream_source)
    monkeypatch.setattr("assistant.video.views.view_features", features)
    stub_coach.perception = replace(
        stub_coach.perception, video_encoder="the encoder", views=("ego", "best_exo")
    )
    films = {name: Path(f"{name}.mp4") for name in ("exo3", "ego", "exo2")}
    record = stub_coach.coach(CoachInput("film", squat, films, best_exo=best)).feedback.to_json()
    assert asked == [["ego", exo], ["ego", exo]]  # Stage 1, then the language model
    assert record["provenance"]["inputs_used"] == ["pose", "ego", exo]


def test_the_text_for_people_names_all_parts(stub_coach: Coach, clip: CoachInput) -> None:
    record = stub_coach.coach(clip).feedback.to_json()
    text = describe(record)
    for part in (
        "mine (",
        "Activity: bodyweight squat (90%)",
        f"Level: {record['proficiency']['level']} (Novice ",
        "simulated drills",
        "Fix first: ",
        "Practise: ",
        "simulated experts 180",
        "Watch: expert-",
        "Corrected pose: ",
        "Measurements:",
    ):
        assert part in text, part
