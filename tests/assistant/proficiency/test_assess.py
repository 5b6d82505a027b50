"""The assessor with untrained weights: shapes, batching, spans, score vector, saving."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose.normalise import (
    FEATURE_DIM,
    REST_POSE,
    NormalisedPose,
    frame_features,
    normalise,
)
from assistant.proficiency.activity import OpenSet
from assistant.proficiency.assess import (
    Assessment,
    Assessor,
    embed_frames,
    recrop,
)
from assistant.proficiency.coral import Calibration, EmpiricalCdf, OrdinalHead
from assistant.proficiency.moments import PROPOSALS, MomentSettings, moments_of, skill_weights
from assistant.proficiency.pdm import PrototypeBank, proposal_dynamics
from assistant.proficiency.sparse_skill import SparseSkillConfig, SparseSkillExtractor
from assistant.proficiency.stage1 import Stage1, Stage1Config
from assistant.proficiency.stage1_run import run_stage1
from assistant.proficiency.streams import Stream
from prompts.vocabulary import REGIONS

NAMES = ("bodyweight_squat", "basketball_free_throw")


class Flat:
    """A frame encoder without weights: joints as one token."""

    def encode(self, joints: torch.Tensor) -> torch.Tensor:
        return joints.flatten(1).unsqueeze(1)


def moving(frames: int, seed: int, *, fps: float = 30.0, world: bool = True) -> PoseSequence:
    rng = np.random.default_rng(seed)
    t = np.arange(frames)[:, None, None] / fps
    sway = rng.normal(0, 0.1, (1, 17, 3)) * np.sin(2 * np.pi * t * rng.uniform(0.3, 1))
    joints = (REST_POSE + np.array([0, 0, 0.9]) + sway).astype(np.float32)
    seen = np.ones((frames, 17), np.float32)
    return PoseSequence(joints, seen, fps, "simulated", world)


@pytest.fixture(scope="module")
def assessor() -> Assessor:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = Stage1(Stage1Config(features=FEATURE_DIM, activities=(*NAMES, "walk"), known=2)).eval()
    z = rng.uniform(0, 0.1, (8, 51))
    bank = PrototypeBank.fit(z, [(n, "rep") for n in NAMES] * 4, [0, 0, 1, 1, 2, 2, 3, 3])
    cdfs = {("pose", n): EmpiricalCdf.fit(rng.normal(0, 0.1, 50)) for n in NAMES}
    head = OrdinalHead(rng.normal(0, 1, (3, 7)), np.array([1.0, 0.0, -1.0]))
    open_set = OpenSet(np.zeros((2, 64)), np.tile(np.eye(64), (2, 1, 1)), np.ones(2), 0.0, 0.0)
    return Assessor(net, open_set, {"pose": bank}, Calibration(cdfs, head), 1.7, Flat())


def same(a: Assessment, b: Assessment) -> None:
    for name in ("p_base", "q", "regions", "features"):
        assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-5)
    assert a.known_score == pytest.approx(b.known_score, abs=1e-4)
    assert a.span == pytest.approx(b.span)
    assert (a.activity, a.judged) == (b.activity, b.judged)
    assert a.pdm == pytest.approx(b.pdm)


def poses() -> list[NormalisedPose]:
    return [normalise(moving(f, i)) for i, f in enumerate((45, 200, 130))]


def test_shapes_and_probabilities(assessor: Assessor) -> None:
    found = assessor.assess(poses()[1])
    assert found.p_base.sum() == pytest.approx(1)
    assert found.level_probabilities.sum() == pytest.approx(1)
    assert (np.diff(found.q) <= 0).all()
    assert found.regions.shape == (6, 3) and found.regions.sum(1) == pytest.approx(np.ones(6))
    assert found.features.shape == (7, 64)
    assert set(found.region_moments) == set(REGIONS)
    assert 0 <= found.span[0] < found.span[1] <= 200 / 30 + 1e-6
    for moment in (*found.moments, *found.region_moments.values()):
        assert found.span[0] - 1e-6 <= moment.start < moment.end <= found.span[1] + 1e-6
        assert 0 < moment.weight <= 1


def test_a_batch_equals_its_clips(assessor: Assessor) -> None:
    for one, row in zip(poses(), assessor.assess_many(poses()), strict=True):
        same(assessor.assess(one), row)


def test_score_vector_layout(assessor: Assessor) -> None:
    found = assessor.assess(poses()[0])
    vector = found.score_vector()
    assert vector.shape == (14,) and vector.dtype == np.float32
    assert vector[:4] == pytest.approx(found.p_base, abs=1e-6)
    assert vector[4:7] == pytest.approx(found.q, abs=1e-6)
    assert vector[7:9].tolist() == [0, 0] and vector[9] == pytest.approx(found.u["pose"])
    assert vector[10:].tolist() == [0, 0, 0, 1]
    seen = replace(found, modalities=("pose", "exo", "gaze"))
    assert seen.score_vector()[10:].tolist() == [0, 1, 1, 1]


def test_without_an_encoder_the_pose_margin_is_absent(assessor: Assessor) -> None:
    bare = Assessor(assessor.stage1, assessor.open_set, assessor.banks, assessor.calibration)
    found = bare.assess(poses()[0])
    assert found.u["pose"] is None
    assert found.score_vector()[9:].tolist() == [0, 0, 0, 0, 1]  # the pose itself is there


def with_moments(assessor: Assessor, **settings: str) -> Assessor:
    torch.manual_seed(3)
    skill = SparseSkillExtractor(SparseSkillConfig(51, width=16, heads=2)).eval()
    return replace(assessor, moment_model=skill, moment_settings=MomentSettings(**settings))


def test_moments_by_the_skill_model_and_nothing_else_changes(assessor: Assessor) -> None:
    attended = assessor.assess(poses()[1])
    own = with_moments(assessor, source="sparse_skill")
    found = own.assess(poses()[1])
    same(found, attended)
    assert found.region_moments == attended.region_moments
    cut = recrop(poses()[1], found.span)
    [output] = run_stage1(own.stage1, [frame_features(cut)])
    inside = torch.sigmoid(output.action[0]).double().numpy()
    assert own.frame_encoder is not None and own.moment_model is not None
    weights = skill_weights(own.moment_model, embed_frames(own.frame_encoder, cut), inside)
    expected = np.array(moments_of(torch.from_numpy(weights), found.span))
    assert np.array(found.moments) == pytest.approx(expected, abs=1e-5)
    first = np.array([found.moments[0], attended.moments[0]])
    assert np.abs(first[0] - first[1]).max() > 0.001


def test_the_margin_reads_the_windows_that_the_settings_name(assessor: Assessor) -> None:
    one, other = moving(100, 1), moving(100, 2)  # two motions: windows differ in kind
    pose = normalise(replace(one, joints=np.concatenate([one.joints, other.joints]),
                             confidence=np.ones((200, 17), np.float32)))  # fmt: skip

    def margin(chosen: Assessor) -> float:
        [found] = chosen.assess_many([pose], activity=NAMES[0], find_span=False)
        assert found.pdm["pose"] is not None
        return found.pdm["pose"]

    uniform, *others = (
        margin(with_moments(assessor, source="sparse_skill", proposals=name)) for name in PROPOSALS
    )
    assert uniform == pytest.approx(margin(assessor))
    assert len({round(value, 9) for value in (uniform, *others)}) == 3


def test_moments_of_a_missing_skill_model_are_an_error(assessor: Assessor) -> None:
    asked = replace(assessor, moment_settings=MomentSettings("sparse_skill"))
    with pytest.raises(PoiseError, match="no skill model"):
        asked.assess(poses()[0])


def test_moving_and_turning_the_person_changes_nothing(assessor: Assessor) -> None:
    pose = moving(100, 7)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)
    moved = PoseSequence(pose.joints @ turn.T + np.float32([3, -2, 0]), pose.confidence, 30.0)
    a, b = assessor.assess_many([normalise(pose), normalise(moved)])
    assert a.p_base == pytest.approx(b.p_base, abs=1e-3)
    assert a.regions == pytest.approx(b.regions, abs=1e-3)


def test_an_asked_for_activity_is_taken_and_an_unknown_one_refused(assessor: Assessor) -> None:
    for name in NAMES:
        assert assessor.assess(poses()[0], activity=name).activity == name
    with pytest.raises(PoiseError, match="bodyweight_squat, basketball_free_throw"):
        assessor.assess(poses()[0], activity="bodyweight squat")


def test_recrop_keeps_a_missing_path_missing() -> None:
    pose = normalise(moving(90, 1), contact_heights=True)
    assert recrop(pose, (1.0, 2.0)).root_path is None
    assert len(recrop(normalise(moving(90, 1)), (1.0, 2.0))) == 30


def test_save_and_load(assessor: Assessor, tmp_path: Path) -> None:
    assessor.save_pretrained(tmp_path)
    again = Assessor.from_pretrained(tmp_path, Flat())
    for pose in poses():
        same(assessor.assess(pose), again.assess(pose))
    asked = with_moments(assessor, source="sparse_skill", proposals="weighted")
    asked.save_pretrained(tmp_path)
    again = Assessor.from_pretrained(tmp_path, Flat(), asked.moment_model)
    assert again.moment_settings == asked.moment_settings
    assert again.assess(poses()[1]).moments == asked.assess(poses()[1]).moments
    (tmp_path / "proficiency.json").unlink()
    with pytest.raises(PoiseError, match=r"missing \['proficiency.json'\]"):
        Assessor.from_pretrained(tmp_path)


def test_streams_give_margins_and_presence(assessor: Assessor) -> None:
    rng = np.random.default_rng(3)
    z = rng.uniform(0, 0.1, (8, 4))
    bank = PrototypeBank.fit(z, [(n, "rep") for n in NAMES] * 4, [0, 0, 1, 1, 2, 2, 3, 3])
    cdfs = {("exo", n): EmpiricalCdf.fit(rng.normal(0, 0.1, 50)) for n in NAMES}
    calibration = replace(assessor.calibration, cdfs={**assessor.calibration.cdfs, **cdfs})
    seeing = replace(assessor, banks={**assessor.banks, "exo": bank}, calibration=calibration)
    film = Stream(rng.normal(size=(60, 4)).astype(np.float32), 10.0)
    asked: list[tuple[float, float]] = []

    def source(span: tuple[float, float]) -> dict[str, Stream]:
        asked.append(span)
        return {"exo": film}

    blind, seen = seeing.assess_many([poses()[1]] * 2, sources=[None, source])
    same(blind, assessor.assess(poses()[1]))
    assert asked == [seen.span]
    assert seen.modalities == ("pose", "exo") and blind.modalities == ("pose",)
    expected = bank.annotation_free(proposal_dynamics(film.values, 10.0), seen.activity)
    assert seen.pdm["exo"] == pytest.approx(expected) and seen.pdm["ego"] is None
    assert seen.u["exo"] is not None and blind.u["exo"] is None
    assert seen.score_vector()[10:].tolist() == [0, 1, 0, 1]
