"""JIGSAWS' text files: their format, what is written, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from assistant.cli import main
from assistant.dataset import read_samples
from assistant.errors import PoiseError
from data_prep.skill_sets.jigsaws import COLUMNS, convert_jigsaws, read_meta

# As in the release: an empty column after the name and after the total.
META = """Knot_Tying_B001\t\tN\t9\t\t2\t1\t1\t2\t1\t2
Knot_Tying_B002\t\tN\t11\t\t2\t2\t2\t2\t1\t2
Knot_Tying_D001\t\tE\t22\t\t4\t4\t3\t4\t4\t3
Knot_Tying_F003\t\tI\t15\t\t3\t3\t2\t3\t2\t2
"""
TASK = ("Knot_Tying",)


@pytest.fixture
def download(tmp_path: Path) -> Path:
    folder = tmp_path / "JIGSAWS" / "Knot_Tying"
    for part in ("kinematics/AllGestures", "transcriptions", "video"):
        (folder / part).mkdir(parents=True)
    (folder / "meta_file_Knot_Tying.txt").write_text(META)
    rng = np.random.default_rng(0)
    for name in ("B001", "B002", "D001"):  # F003 has no kinematics
        path = folder / f"kinematics/AllGestures/Knot_Tying_{name}.txt"
        np.savetxt(path, rng.normal(size=(60, COLUMNS)), fmt="%.6f", delimiter="    ")
    (folder / "transcriptions/Knot_Tying_B001.txt").write_text("11 30 G1 \n31 50 G12 \n")
    (folder / "video/Knot_Tying_D001_capture1.avi").write_bytes(b"")
    return tmp_path / "JIGSAWS"


def test_scores_labels_and_folds(download: Path, tmp_path: Path) -> None:
    told = convert_jigsaws(download, tmp_path / "out", TASK)
    assert (told["rows"], told["users"]) == (3, 2)
    assert told["without_kinematics"] == ["Knot_Tying_F003"]
    assert told["medians"] == {"Knot_Tying": 11}
    assert told["total_is_not_the_sum"] == []
    rows = {row["take_id"]: row for row in read_samples(tmp_path / "out")}
    first, expert = rows["Knot_Tying_B001"], rows["Knot_Tying_D001"]
    assert (first["score"], first["proficient"], first["experienced"]) == (9.0, 0, 0)
    assert (expert["score"], expert["proficient"], expert["experienced"]) == (22.0, 1, 1)
    assert (first["participant_id"], first["supertrial"]) == ("B", 1)
    assert rows["Knot_Tying_B002"]["supertrial"] == 2
    assert first["span"] == [0.0, 2.0] and first["activity"] == "knot_tying"
    assert first["kinematics"] == "Knot_Tying/kinematics/AllGestures/Knot_Tying_B001.txt"
    assert first["step_names"] == ["none", "G1", "G12"]
    np.testing.assert_array_equal(np.bincount(first["steps"]), [20, 20, 20])
    assert first["steps"][10] == 1 and first["steps"][9] == 0
    assert expert["views"] == {"exo1": "Knot_Tying/video/Knot_Tying_D001_capture1.avi"}
    assert expert["steps"] is None


def test_the_command_prints_one_object(
    download: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "jigsaws", str(download), "-o", str(tmp_path / "out")]
    assert main([*command, "--task", "Knot_Tying", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 3
    assert main([*command, "--task", "Sewing"]) == 1
    assert "Suturing, Knot_Tying, Needle_Passing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "Knot_Tying_B001\tX\t9\t2\t1\t1\t2\t1\t2",
        "Knot_Tying_B001\tN\t9\t2\t1\t1\t2\t1",
        "Knot_Tying_B001\tN\t31\t2\t1\t1\t2\t1\t2",
        "Knot_Tying_B001\tN\t9\t2\t1\t1\t2\t1\t6",
        "Suturing_B001\tN\t9\t2\t1\t1\t2\t1\t2",
        "Knot_Tying_B\tN\t9\t2\t1\t1\t2\t1\t2",
        "Knot_Tying_B001",
    ],
)
def test_a_wrong_line_is_named(download: Path, line: str) -> None:
    path = download / "Knot_Tying" / "meta_file_Knot_Tying.txt"
    path.write_text(f"{META.splitlines()[0]}\n{line}\n")
    with pytest.raises(PoiseError, match="line 2 has another format"):
        read_meta(download, "Knot_Tying")


@pytest.mark.parametrize("content", ["1 2 3\n", "a b\n", "1 2\n3\n", " ".join(["nan"] * 76) + "\n"])
def test_wrong_kinematics_are_named(download: Path, tmp_path: Path, content: str) -> None:
    name = "Knot_Tying_B002.txt"
    (download / "Knot_Tying/kinematics/AllGestures" / name).write_text(content)
    with pytest.raises(PoiseError, match=name):
        convert_jigsaws(download, tmp_path / "out", TASK)


def test_missing_files_and_wrong_gestures_are_named(download: Path, tmp_path: Path) -> None:
    (download / "Knot_Tying/transcriptions/Knot_Tying_B001.txt").write_text("1 G1\n")
    with pytest.raises(PoiseError, match="line 1 has another format"):
        convert_jigsaws(download, tmp_path / "a", TASK)
    with pytest.raises(PoiseError, match="no file"):
        convert_jigsaws(download, tmp_path / "b")
    for path in (download / "Knot_Tying/kinematics/AllGestures").iterdir():
        path.unlink()
    with pytest.raises(PoiseError, match="no kinematics"):
        convert_jigsaws(download, tmp_path / "c", TASK)
