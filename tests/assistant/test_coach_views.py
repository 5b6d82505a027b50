"""`poise coach --exo1 ... --calibration FILE`: the views of one take become one pose."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from assistant import cli
from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.feedback import validate
from assistant.pose import estimate
from assistant.pose.calibration import read_calibration

FRAMES = 60
SIZE = (640, 480)


def write_cameras(path: Path, target: np.ndarray) -> Path:
    """Pose2Sim TOML of three cameras 4 m around `target`, z up."""
    text = ""
    for i in range(3):
        angle = 0.5 + 2 * np.pi * i / 3
        position = target + np.array([4 * np.cos(angle), 4 * np.sin(angle), 0.4])
        forward = (target - position) / np.linalg.norm(target - position)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        text += (
            f'[cam_{i}]\nname = "cam{i + 1:02d}"\nsize = [{SIZE[0]}.0, {SIZE[1]}.0]\n'
            "matrix = [[450.0, 0, 320.0], [0, 450.0, 240.0], [0, 0, 1]]\n"
            "distortions = [-0.1, 0.02, 0.0, 0.0]\n"
            f"rotation = {Rotation.from_matrix(rotation).as_rotvec().tolist()}\n"
            f"translation = {(-rotation @ position).tolist()}\nfisheye = false\n"
        )
    path.write_text(text)
    return path


@pytest.fixture
def take(tmp_path: Path, film, squat: PoseSequence, monkeypatch: pytest.MonkeyPatch):
    """Three films, their calibration, and a detector that sees the squat from each camera."""
    joints = squat.crop(0.0, FRAMES / squat.fps).joints.astype(float)
    calibration = write_cameras(tmp_path / "calibration.toml", joints.mean(axis=(0, 1)))
    cameras = read_calibration(calibration)
    opened = []

    class Detector:
        def __init__(self) -> None:
            self.pixels = cameras[len(opened)].project(joints) / SIZE
            self.frame = 0
            opened.append(self)

        def detect(self, picture: np.ndarray, seconds: float):
            self.frame += 1
            row = self.frame - 1
            return joints[row] - joints[row, 11:13].mean(axis=0), self.pixels[row], np.ones(17)

        def close(self) -> None:
            pass

    monkeypatch.setattr(estimate, "open_detector", lambda model: Detector())
    films = [film(tmp_path / f"squat_cam{i:02d}.mp4", FRAMES, size=SIZE) for i in (1, 2, 3)]
    return films, calibration, joints


@pytest.fixture(autouse=True)
def without_weights(stub_coach: Coach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coach, "from_pretrained", classmethod(lambda *_, **__: stub_coach))


def poise(films, *arguments: object) -> int:
    views = [part for i, path in enumerate(films, 1) for part in (f"--exo{i}", str(path))]
    return cli.main(["coach", *views, *map(str, arguments)])


def test_the_answer_says_how_well_the_views_agree(take, capsys, tmp_path: Path) -> None:
    films, calibration, _ = take
    out = tmp_path / "report"
    assert poise(films, "--calibration", calibration, "--json", "--report", out) == 0
    record = json.loads(capsys.readouterr().out)
    validate(record)
    found = record["provenance"]["triangulation"]
    assert (found["views"], found["observations"]) == (3, 3 * FRAMES * 17)
    assert found["kept_share"] > 0.99 and found["reprojection_px_median"] < 0.5
    assert found["bone_std_mm"] < 6
    assert record["provenance"]["pose_source"] == "triangulated"
    page = next(out.glob("*.html")).read_text("utf-8")
    assert "Triangulated pose" in page
    assert "3 views, 100% of 3060 landmarks kept, median reprojection error" in page
    assert "reprojection_px_median" not in page  # as words, not as a dictionary


def test_the_plain_answer_has_one_line_about_the_views(take, capsys) -> None:
    films, calibration, _ = take
    assert poise(films, "--calibration", calibration) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Pose: ")]
    assert len(lines) == 1 and "3 views, 100% of 3060 landmarks kept" in lines[0]


def test_without_a_calibration_there_is_no_such_line(take, capsys) -> None:
    films, _, _ = take
    assert poise(films, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["provenance"]["pose_source"] == "mediapipe"
    assert "triangulation" not in record["provenance"]


def test_a_broken_calibration_is_one_line_before_anything_is_loaded(
    take, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    films, calibration, _ = take
    monkeypatch.delattr(Coach, "from_pretrained")
    calibration.write_text("<calibration>")
    assert poise(films, "--calibration", calibration) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"poise: cannot read calibration {calibration}; got: broken XML")
    assert said.count("\n") == 1


def test_one_view_with_a_calibration_is_one_line(take, capsys) -> None:
    films, calibration, _ = take
    assert poise(films[:1], "--calibration", calibration) == 1
    assert "too few views to triangulate" in capsys.readouterr().err.splitlines()[-1]


def test_a_calibration_belongs_to_one_take(take, capsys) -> None:
    films, calibration, _ = take
    code = cli.main(["coach", str(films[0]), str(films[1]), "--calibration", str(calibration)])
    assert code == 1
    assert "2 clips and calibration" in capsys.readouterr().err
