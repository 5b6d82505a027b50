"""Memory does not grow with the number of takes: a tenth of the official size, measured."""

import json
import subprocess
import sys

import pytest

from data_prep.egoexo4d.full_size import LONG_POSES, write_full_size

LIMIT_MB = 1000
"""Half of what the full size may take."""


def peak(root, folder, split):
    """Peak memory of a conversion in a process of its own, 10^6 bytes, and what it wrote."""
    command = [sys.executable, "-m", "assistant.cli", "data", "egoexo4d", str(root)]
    command += ["-o", str(folder), "--split", split, "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    return told["peak_memory_mb"], told


@pytest.mark.slow
def test_memory_does_not_grow_with_the_takes(tmp_path):
    size = write_full_size(tmp_path / "tree", 0.1)
    assert size["labelled"] == 348
    few_mb, few = peak(tmp_path / "tree", tmp_path / "few", "val")
    many_mb, many = peak(tmp_path / "tree", tmp_path / "many", "all")
    # Both read the three takes of ten minutes.
    assert (few["takes"], many["takes"]) == (47, 348)
    assert few["rows_with_pose"] > 47 // 2 + LONG_POSES
    assert many["comments"] == 348 * 33
    assert many_mb < LIMIT_MB
    assert many_mb - few_mb < 100
