"""From films to one pose: what is refused, gaps and confidence, and the four real films."""

import importlib.util

import numpy as np
import pytest

from assistant.clip_input import load_cameras, load_clip
from assistant.errors import PoiseError
from assistant.pose.estimate import FilmDetections
from assistant.pose.multiview import bone_spread_mm, detect_views, triangulate_views
from assistant.pose.tracking import Detections
from assistant.pose.views_geometry import reproject
from assistant.skeleton import LEFT_ANKLE, LEFT_KNEE, NOSE
from assistant.video.decode import VideoInfo

needs_mediapipe = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed"
)
FRAMES = 40


@pytest.fixture
def walk(standing):
    """A body that walks along y, [F, 17, 3]."""
    return standing + np.linspace(0, 0.6, FRAMES)[:, None, None] * np.array([0.0, 1.0, 0.0])


def detections(joints, cameras) -> dict[str, FilmDetections]:
    """What a detector without errors would see of `joints` in the films of `cameras`."""
    found = {}
    for i, (camera, pixels) in enumerate(
        zip(cameras, reproject(joints, cameras), strict=True), start=1
    ):
        width, height = map(int, camera.size)
        count = len(joints)
        raw = Detections(
            found=np.ones(count, dtype=bool),
            world=joints.copy(),
            image=pixels,
            visibility=np.ones(joints.shape[:2]),
        )
        info = VideoInfo(width, height, 30.0, count, count / 30)
        found[f"exo{i}"] = FilmDetections(camera.name, info, 30.0, np.arange(count) / 30, raw)
    return found


def joined(films, cameras):
    return triangulate_views(films, dict(zip(films, cameras, strict=True)))


def test_the_pose_is_in_the_world_in_metres(ring, walk):
    cameras = ring(4)
    found = joined(detections(walk, cameras), cameras)
    pose = found.pose
    assert (pose.source, pose.world, pose.fps) == ("triangulated", True, 30.0)
    assert pose.joints.dtype == np.float32
    assert np.abs(pose.joints - walk).max() < 2e-4
    assert pose.confidence.min() > 0.999
    quality = found.quality
    assert (quality.views, quality.observations, quality.kept_share) == (4, 4 * FRAMES * 17, 1.0)
    assert quality.reprojection_px_median < 0.1 and quality.bone_std_mm < 0.2


def test_a_joint_in_one_view_has_confidence_0_and_a_finite_place(ring, walk):
    cameras = ring(4)
    films = detections(walk, cameras)
    for view in ("exo2", "exo3", "exo4"):
        films[view].raw.visibility[10:14, LEFT_KNEE] = 0
        films[view].raw.image[10:14, LEFT_KNEE] += 400  # the detector still guesses
    films["exo1"].raw.image[10:14, LEFT_KNEE] -= 300
    films["exo2"].raw.image[10:14, LEFT_KNEE, 1] += 800
    pose = joined(films, cameras).pose
    assert (pose.confidence[10:14, LEFT_KNEE] == 0).all()
    np.testing.assert_allclose(pose.joints[10:14, LEFT_KNEE], walk[10:14, LEFT_KNEE], atol=0.03)
    assert (np.delete(pose.confidence, LEFT_KNEE, axis=1) > 0.99).all()


def test_frames_without_the_person_do_not_count(ring, walk):
    cameras = ring(4)
    films = detections(walk, cameras)
    films["exo2"].raw.found[:] = np.arange(FRAMES) < 30
    films["exo2"].raw.image[30:] = 0
    found = joined(films, cameras)
    assert found.quality.observations == (4 * FRAMES - 10) * 17
    assert found.quality.kept_share == 1.0
    assert np.abs(found.pose.joints - walk).max() < 2e-4


def test_confidence_falls_with_the_error_and_with_fewer_views(ring, walk):
    cameras = ring(4)
    films = detections(walk, cameras)
    rng = np.random.default_rng(0)
    for film in films.values():
        film.raw.image[:, NOSE] += rng.normal(0, 8, (FRAMES, 2))
    for view in ("exo3", "exo4"):
        films[view].raw.image[:, LEFT_ANKLE, 0] += 500 if view == "exo3" else -500
    confidence = joined(films, cameras).pose.confidence.mean(axis=0)
    assert 0.45 < confidence[LEFT_ANKLE] <= 0.5
    assert 0.5 < confidence[NOSE] < 0.95 < confidence[LEFT_KNEE]


def test_smoothing_does_not_hide_the_errors(ring, walk):
    """The figures are those of the smoothed pose against the observations as they are."""
    cameras = ring(4)
    films = detections(walk, cameras)
    rng = np.random.default_rng(1)
    for film in films.values():
        film.raw.image[:] += rng.normal(0, 6, film.raw.image.shape)
    found = joined(films, cameras)
    gaps = np.linalg.norm(
        reproject(found.pose.joints.astype(float), cameras) - found.triangulation.pixels, axis=-1
    )
    assert abs(found.quality.reprojection_px_median_all - np.median(gaps)) < 0.01
    assert 6 < found.quality.reprojection_px_median_all < 8  # 6 px an axis: median 7.1


def test_views_of_different_people_are_one_line(ring, walk):
    cameras = ring(4)
    films = detections(walk, cameras)
    for i, film in enumerate(films.values()):
        film.raw.image[:] += (300 * (-1) ** i, 150 * (i - 1.5))
    with pytest.raises(PoiseError) as caught:
        joined(films, cameras)
    said = str(caught.value)
    assert said.startswith("the views do not agree on one person; got: ")
    assert "expected: at least 30%" in said and "films start together" in said


def test_bones_that_are_not_seen_have_no_spread():
    joints = np.random.default_rng(0).normal(size=(20, 17, 3))
    mark = np.ones((20, 17))
    mark[:, LEFT_KNEE] = 0
    spread = bone_spread_mm(joints, mark)
    assert (spread[:2] == 0).all() and (spread[2:] > 100).all()
    lengths = np.linalg.norm(joints[:, 12] - joints[:, 14], axis=-1)
    assert abs(spread[2] - 1000 * lengths.std()) < 1e-6


@pytest.mark.parametrize(
    ("second", "got"),
    [
        ({"frames": 25}, "exo1 30 frames at 30 fps, exo2 25 frames at 30 fps"),
        ({"frames": 30, "fps": 25}, "exo1 30 frames at 30 fps, exo2 30 frames at 25 fps"),
    ],
)
def test_films_that_are_not_synchronised_are_one_line(tmp_path, film, second, got):
    films = {
        "exo1": film(tmp_path / "a.mp4", 30),
        "exo2": film(tmp_path / "b.mp4", second["frames"], fps=second.get("fps", 30)),
    }
    with pytest.raises(PoiseError) as caught:
        detect_views(films)
    assert str(caught.value) == (
        f"the views are not synchronised; got: {got}; expected: the same number of frames at the "
        "same rate; remedy: cut the films to the same start and end and export them at one rate"
    )


def test_one_view_is_too_few(tmp_path, film):
    with pytest.raises(PoiseError, match="too few views to triangulate"):
        detect_views({"exo1": film(tmp_path / "a.mp4", 30)})


@needs_mediapipe
@pytest.mark.real
def test_the_four_films_agree(beam_take):
    quality = beam_take.quality
    assert (quality.views, quality.observations) == (4, 4 * 50 * 17)
    assert quality.reprojection_px_median <= 12
    assert quality.kept_share >= 0.70
    assert quality.reprojection_px_median <= quality.reprojection_px_median_all < 14
    assert quality.bone_std_mm <= 25
    assert quality.swapped > 100  # one film shows the person from where sides are confused


@needs_mediapipe
@pytest.mark.real
def test_the_triangulated_body_stands_on_the_beam(beam_take):
    pose = beam_take.pose
    assert np.isfinite(pose.joints).all() and pose.confidence.min() >= 0
    assert (pose.confidence > 0).mean() > 0.95
    height = pose.joints[..., NOSE, 2] - pose.joints[..., LEFT_ANKLE, 2]
    assert 0.9 < np.median(height) < 1.8
    assert 0.0 < np.median(pose.joints[:, LEFT_ANKLE, 2]) < 0.4
    shanks = np.linalg.norm(pose.joints[:, LEFT_KNEE] - pose.joints[:, LEFT_ANKLE], axis=-1)
    assert 0.33 < np.median(shanks) < 0.42
    # the overlay of the report is the projection into one of the films
    seen = beam_take.in_view(beam_take.best_view)
    inside = (seen.overlay >= 0) & (seen.overlay < (seen.width, seen.height))
    assert inside.mean() > 0.95
    gaps = np.linalg.norm(seen.overlay - beam_take.films[beam_take.best_view].raw.image, axis=-1)
    assert np.median(gaps) < 20


def test_a_pose_beside_a_film_and_a_calibration_are_two_sources(tmp_path, film, walk):
    from assistant.clip import PoseSequence
    from assistant.pose.read import write_pose

    path = film(tmp_path / "a.mp4", FRAMES)
    write_pose(tmp_path / "a.npz", PoseSequence(walk.astype("f4"), np.ones((FRAMES, 17), "f4"), 30))
    (tmp_path / "c.toml").write_text("x")
    with pytest.raises(PoiseError, match="two sources of the pose of a"):
        load_cameras(load_clip(path, {}, None), tmp_path / "c.toml")
