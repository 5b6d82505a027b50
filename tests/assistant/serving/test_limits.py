"""Limits of clips, told from headers before anything is decoded or unpacked."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose import read
from assistant.serving import limits as limits_module
from assistant.serving.limits import check_film, check_pose, check_pose_file
from assistant.serving.perception_worker import SeeJob, see
from assistant.serving.settings import ClipLimits
from assistant.video import decode

from .conftest import npz


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("a frame was decoded")

    monkeypatch.setattr(decode._Reader, "picture", decoded)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (ClipLimits(pixels=64 * 48 - 1), "64 x 48 pixels"),
        (ClipLimits(frames=29), "30 frames"),
        (ClipLimits(seconds=0.9), "1.0 s"),
    ],
)
def test_a_film_is_judged_by_its_header(
    film: Callable[..., Path], tmp_path: Path, no_decoding: None, limits: ClipLimits, said: str
) -> None:
    path = film(tmp_path / "a.mp4", 30)
    check_film(path, ClipLimits(pixels=64 * 48, frames=30, seconds=1.0))
    with pytest.raises(PoiseError, match=said):
        check_film(path, limits)
    nobody: Any = None  # it is refused before any model is asked
    with pytest.raises(PoiseError, match=said):
        see(nobody, SeeJob("a", {"exo1": path}), limits)


def test_a_header_that_understates_is_stopped_at_the_decoder(
    film: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "a.mp4", 30)
    with decode.at_most_pixels(64 * 48 - 1), pytest.raises(PoiseError, match="cannot read video"):
        list(decode.frames(path))
    assert len(list(decode.frames(path))) == 30
    monkeypatch.setattr(limits_module, "check_film", lambda *_: None)  # as if it had understated
    nobody: Any = None
    with pytest.raises(PoiseError, match="cannot read video"):
        see(nobody, SeeJob("a", {"exo1": path}), ClipLimits(pixels=64 * 48 // 2 - 1))


def test_an_archive_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "bomb.npz", (1000, 17, 3), bytes(10**7))
    assert path.stat().st_size < 10**5
    check_pose_file(path, ClipLimits())
    with pytest.raises(PoiseError, match="bytes unpacked"):
        check_pose_file(path, ClipLimits(unpacked_bytes=10**6))


def test_a_worker_reads_no_array_of_a_pose_over_the_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npz(tmp_path / "bomb.npz", (1000, 17, 3), bytes(10**7))

    def unpacked(*_: object) -> None:
        raise AssertionError("the archive was unpacked")

    monkeypatch.setattr(read, "read_pose", unpacked)
    nobody: Any = None
    with pytest.raises(PoiseError, match="bytes unpacked"):
        see(nobody, SeeJob("a", {}, path), ClipLimits(unpacked_bytes=10**6))


@pytest.mark.parametrize(
    ("limits", "said"),
    [(ClipLimits(frames=1899), "1900 frames"), (ClipLimits(seconds=189.0), r"190\.0 s")],
)
def test_a_long_pose_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: ClipLimits, said: str
) -> None:
    path = tmp_path / "long.npz"
    np.savez_compressed(path, joints=np.zeros((1900, 17, 3), np.float32), fps=np.float64(10))
    check_pose_file(path, ClipLimits(seconds=190.0, frames=1900))

    def loaded(*_: object) -> None:
        raise AssertionError("the pose was read")

    monkeypatch.setattr(read, "read_pose", loaded)
    nobody: Any = None
    with pytest.raises(PoiseError, match=said):
        see(nobody, SeeJob("a", {}, path), limits)


def test_an_array_that_promises_much_is_refused(tmp_path: Path) -> None:
    """NumPy takes the memory that the header names before it reads."""
    path = npz(tmp_path / "promise.npz", (10**9, 17, 3))
    with pytest.raises(PoiseError, match=f"{10**9 * 17 * 3 * 4} bytes unpacked"):
        check_pose_file(path, ClipLimits())


@pytest.mark.parametrize("content", [b"PK\x05\x06" + bytes(18), b"no zip at all"])
def test_what_is_no_archive_is_left_to_the_reader_or_passes_empty(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    check_pose_file(path, ClipLimits())


def test_an_archive_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("joints.npy", b"not an array")
    with pytest.raises(PoiseError, match="does not open"):
        check_pose_file(path, ClipLimits())


def test_a_large_pose_file_and_a_long_pose(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(bytes(1001))
    with pytest.raises(PoiseError, match="1001 bytes"):
        check_pose_file(path, ClipLimits(unpacked_bytes=1000))
    joints = np.zeros((60, 17, 3), np.float32)
    pose = PoseSequence(joints, np.ones((60, 17), np.float32), 30.0)
    check_pose(pose, ClipLimits(seconds=2.0))
    with pytest.raises(PoiseError, match=r"2\.0 s"):
        check_pose(pose, ClipLimits(seconds=1.9))


def test_a_whole_npz_passes(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.savez_compressed(file, joints=np.zeros((20, 17, 3)), fps=30.0)
    path = tmp_path / "a.npz"
    path.write_bytes(file.getvalue())
    check_pose_file(path, ClipLimits(unpacked_bytes=20 * 17 * 3 * 8 + 500))
