"""FineDiving's annotation files: their format, what is written, and what must not run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from assistant.cli import main
from assistant.dataset import read_samples
from assistant.errors import PoiseError
from data_prep.skill_sets.finediving import COARSE, FEWEST, FINE, convert_finediving
from data_prep.skill_sets.safe_pickle import read_pickle

VIDEO = "FINADivingWorldCup2021_Men3m_final_r1"


def dive(kind: str, score: float) -> tuple[dict, dict]:
    """Coarse and fine entry of one dive, with the fields of the authors' README."""
    coarse = {
        "action_type": kind,
        "dive_score": score,
        "difficulty": 3.4,
        "judge_scores": [8.0, 8.5, 8.0],
        "start_frame": 489,
        "end_frame": 492,
    }
    fine = coarse | {
        "sub-action_types": {12: "Inward", 5: "2.5 Soms.Pike", 27: "Entry"},
        "frames_labels": np.array([12, 12, 5, 27]),
        "steps_transit_frames": np.array([491, 492]),
    }
    return coarse, fine


@pytest.fixture
def download(tmp_path: Path) -> Path:
    """Twelve dives of one type, scores 50 to 61, the last two for testing; nine of another."""
    coarse, fine = {}, {}
    for number in range(12):
        coarse[VIDEO, number], fine[VIDEO, number] = dive("405B", 50.0 + number)
    for number in range(12, 12 + FEWEST - 1):
        coarse[VIDEO, number], fine[VIDEO, number] = dive("107B", 80.0)
    keys = list(coarse)
    folder = tmp_path / "download" / "Annotations"
    folder.mkdir(parents=True)
    test = keys[10:12]
    for name, value in (
        (COARSE, coarse),
        (FINE, fine),
        ("train_split.pkl", [key for key in keys if key not in test]),
        ("test_split.pkl", test),
    ):
        (folder / name).write_bytes(pickle.dumps(value, protocol=2))
    return tmp_path / "download"


def test_scores_labels_and_steps(download: Path, tmp_path: Path) -> None:
    (download / "FineDiving").mkdir()
    told = convert_finediving(download, tmp_path / "out")
    assert (told["rows"], told["dive_types"]) == (12, 1)
    assert (told["left_out"], told["left_out_types"]) == (FEWEST - 1, ["107B"])
    rows = {row["sample_id"]: row for row in read_samples(tmp_path / "out")}
    first = rows[f"finediving-{VIDEO}-0"]
    assert (first["activity"], first["action"], first["split"]) == ("diving", "405B", "train")
    assert first["frames"] == f"FineDiving/{VIDEO}/0"
    assert first["step_names"] == ["Inward", "2.5 Soms.Pike", "Entry"]
    np.testing.assert_array_equal(first["steps"], [0, 0, 1, 2])
    # Ten training scores, 50 to 59: the mean is 54.5.
    labels = [rows[f"finediving-{VIDEO}-{n}"]["proficient"] for n in range(12)]
    assert labels == [0] * 5 + [1] * 7
    assert [rows[f"finediving-{VIDEO}-{n}"]["score"] for n in (0, 11)] == [50.0, 61.0]
    assert [n for n in range(12) if rows[f"finediving-{VIDEO}-{n}"]["split"] == "test"] == [10, 11]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_containers_and_arrays_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    value = {("a", 1): [np.arange(3.0), np.float64(2.5), {1, 2}, b"x", None, np.array(["q"])]}
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    found = read_pickle(path)["a", 1]
    np.testing.assert_array_equal(found[0], [0, 1, 2])
    assert found[1:5] == [2.5, {1, 2}, b"x", None]


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_calls_something_is_refused(download: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = download / "Annotations" / COARSE
    path.write_bytes(pickle.dumps({(VIDEO, 0): Evil(mark)}))
    with pytest.raises(PoiseError, match=r"asks for (posix|nt)\.mkdir"):
        convert_finediving(download, tmp_path / "out")
    assert not mark.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle at all", pickle.dumps([1])[:-3]])
def test_a_broken_pickle_is_one_line(
    download: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (download / "Annotations" / FINE).write_bytes(content)
    assert main(["data", "finediving", str(download), "-o", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert FINE in error and error.count("\n") == 1


def test_other_formats_are_named(download: Path, tmp_path: Path) -> None:
    folder = download / "Annotations"
    (folder / "test_split.pkl").write_bytes(pickle.dumps([(VIDEO, 0)]))
    with pytest.raises(PoiseError, match="in both splits"):
        convert_finediving(download, tmp_path / "a")
    (folder / "test_split.pkl").write_bytes(pickle.dumps([("unknown", 0)]))
    with pytest.raises(PoiseError, match="unknown dive"):
        convert_finediving(download, tmp_path / "b")
    (folder / COARSE).write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(PoiseError, match="another format"):
        convert_finediving(download, tmp_path / "c")
    (folder / COARSE).unlink()
    with pytest.raises(PoiseError, match="no file"):
        convert_finediving(download, tmp_path / "d")
