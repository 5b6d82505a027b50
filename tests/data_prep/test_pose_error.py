"""`poise data pose-error`: each measure on errors that were made, and the real take."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant import cli
from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.files import write_text
from assistant.pose.camera import Camera
from assistant.pose.pose_error import MEASURED, joint_error_mm
from assistant.skeleton import LEFT_ELBOW, LEFT_WRIST, RIGHT_WRIST
from data_prep import pose_error, single_view
from data_prep.drills.noise import SWAPS_PER_MINUTE, add_pose_noise
from data_prep.drills.simulate import simulate_many
from data_prep.pose_error_cli import measure_take

needs_mediapipe = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed"
)


@pytest.fixture(scope="module")
def truth() -> PoseSequence:
    return simulate_many(1, 1, 7)[0].pose.crop(0.0, 3.0)


def moved(pose: PoseSequence, by: np.ndarray) -> PoseSequence:
    return replace(pose, joints=(pose.joints + by).astype(np.float32))


def test_turn_size_and_place_are_no_error(truth):
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    other = replace(truth, joints=(1.1 * truth.joints @ turn + 2.0).astype(np.float32))
    found = pose_error.measure(other, truth)
    assert found.pa_mpjpe_mm < 0.01 and found.clip_mm > 1  # the path over the ground counts there
    assert max(found.angle_rms.values()) < 0.1 and found.tilt_degrees < 0.01
    np.testing.assert_allclose(
        found.bone_wander, pose_error.bone_wander(truth.joints.astype(float)), atol=1e-6
    )


def test_a_constant_offset_of_one_joint_is_bias(truth):
    offset = np.zeros((17, 3))
    offset[LEFT_WRIST] = (0.0, 0.0, 0.05)
    found = pose_error.measure(moved(truth, offset), truth)
    assert found.joint_mm.argmax() == LEFT_WRIST and 40 < found.joint_mm[LEFT_WRIST] < 50
    assert found.bias_share > 0.9 and found.jitter_mm < 1


def test_white_errors_are_jitter_without_bias(truth):
    rng = np.random.default_rng(0)
    found = pose_error.measure(moved(truth, rng.normal(0, 0.01, truth.joints.shape)), truth)
    # mean length of the difference of two draws: 10 mm * sqrt(2) * sqrt(8 / pi) = 22.6 mm
    assert 18 < found.jitter_mm < 23
    assert found.bias_share < 0.05
    assert found.decay_seconds < 1.2 / truth.fps


def test_decay_time_of_a_known_process():
    rng = np.random.default_rng(1)
    value, track = np.zeros((17, 3)), []
    keep = np.exp(-1 / 15)  # 0.5 s at 30 fps
    for _ in range(6000):
        value = keep * value + np.sqrt(1 - keep**2) * rng.normal(size=(17, 3))
        track.append(value)
    assert abs(pose_error.decay_seconds(np.array(track), 30.0) - 0.5) < 0.04
    assert pose_error.decay_seconds(np.zeros((10, 17, 3)), 30.0) == 0.0


def test_depth_stretch_and_parent_share_of_made_errors():
    rng = np.random.default_rng(2)
    error = rng.normal(size=(4000, 17, 3))
    sight = np.array([0.6, 0.8, 0.0])
    assert abs(pose_error.depth_stretch(error, sight) - 1) < 0.02
    stretched = error + (error @ sight)[..., None] * sight  # twice as much along it
    assert abs(pose_error.depth_stretch(stretched, sight) - 2) < 0.04
    assert abs(pose_error.parent_share(error)) < 0.02
    for inner, outer in ((7, 9), (13, 15)):
        for side in (0, 1):
            error[:, outer + side] = 0.8 * error[:, outer + side] + 0.6 * error[:, inner + side]
    assert abs(pose_error.parent_share(error) - 0.6) < 0.02


def test_a_tilted_camera_is_levelled(truth):
    """A camera 20 degrees down: without its calibration the whole body leans."""
    down = np.radians(20)
    rotation = np.array(
        [
            [0.0, -1.0, 0.0],
            [-np.sin(down), 0.0, -np.cos(down)],
            [np.cos(down), 0.0, -np.sin(down)],
        ]
    )
    camera = Camera("a", (64, 48), np.eye(3), np.zeros(5), False, rotation, np.zeros(3))
    x, y, z = np.moveaxis(truth.joints @ rotation.T, -1, 0)
    seen = replace(truth, joints=np.stack([x, z, -y], axis=-1))  # as the detector gives it
    as_filmed = pose_error.measure(seen, truth)
    level = pose_error.measure(pose_error.levelled(seen, camera), truth)
    assert level.tilt_degrees < 0.1 and level.angle_rms["trunk_lean"] < 0.1
    assert as_filmed.tilt_degrees == pytest.approx(20 / np.sqrt(2), abs=0.5)
    assert as_filmed.angle_rms["left_knee_flexion"] < 0.1


def test_left_and_right_share_a_row_of_the_table(truth):
    offset = np.zeros((17, 3))
    offset[LEFT_WRIST] = (0.0, 0.0, 0.06)
    found = pose_error.measure(moved(truth, offset), truth)
    table = single_view.joint_table([found, found])
    assert table[LEFT_WRIST] == table[RIGHT_WRIST] > 20 > 10 > table[LEFT_ELBOW]
    assert len(set(table[:5])) == 1


def test_the_noise_is_measured_and_not_changed(truth):
    one = add_pose_noise(truth, np.random.default_rng(0), millimetres=80.0, kind="single_view")
    found = single_view.noise_error(truth, draws=4)
    assert 60 < found.pa_mpjpe_mm < 100
    two = add_pose_noise(truth, np.random.default_rng(0), millimetres=80.0, kind="single_view")
    np.testing.assert_array_equal(one.joints, two.joints)


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    write_text(tmp_path / "a.json", "{}")
    assert (tmp_path / "a.json").read_text() == "{}"
    with pytest.raises(PoiseError, match="cannot write"):
        write_text(tmp_path / "none" / "a.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_error_bars_are_those_of_the_stored_result():
    root = Path(pose_error.__file__).parents[1]
    measured = json.loads((root / "docs" / "results" / "pose_error.json").read_text())
    shipped = json.loads((root / "assistant" / "pose" / MEASURED).read_text())
    assert shipped["joint_mm"] == measured["joint_table_mm"]
    assert shipped["frames"] == measured["n"]["frames"]
    assert shipped["tilt_degrees"] == round(measured["clear_views"]["tilt_degrees"], 1)


def test_one_film_is_one_line(tmp_path, capsys):
    arguments = ["data", "pose-error", str(tmp_path / "a.mp4"), "--calibration", "c.toml"]
    assert cli.main(arguments) == 1
    assert capsys.readouterr().err == (
        "poise: cannot compare views; got: 1 films; expected: 2 to 4 films\n"
    )


@needs_mediapipe
@pytest.mark.real
def test_the_error_bars_are_those_measured_on_the_real_take(beam_take):
    result = measure_take(beam_take)
    json.dumps(result)
    assert result["n"] == {"views": 4, "frames": 50, "seconds": 1.667, "observations": 3400}
    assert result["confused_views"] == ["exo2"]
    for view in ("exo1", "exo3", "exo4"):
        assert 65 < result["views"][view]["pa_mpjpe_mm"] < 95
    assert result["parameters"]["swaps_per_minute"]["in_use"] == SWAPS_PER_MINUTE
    stored = json.loads(
        (Path(pose_error.__file__).parents[1] / "assistant" / "pose" / MEASURED).read_text()
    )
    for joint, mm in result["joint_table_mm"].items():
        assert stored["joint_mm"][joint] == pytest.approx(mm, abs=4)
    assert stored["tilt_degrees"] == pytest.approx(result["clear_views"]["tilt_degrees"], abs=0.6)
    assert joint_error_mm("mediapipe")[LEFT_WRIST] == stored["joint_mm"]["wrist"]
    # The error bars that these give cover what was measured, within a factor of two.
    for angle, bar in result["angle_bars"].items():
        assert 0.5 < bar / result["clear_views"]["angle_rms"][angle] < 2.1
