"""The miniature tree, made once, and a copy without films that a test may damage."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.dataset import read_samples
from data_prep.egoexo4d.convert import convert
from data_prep.egoexo4d.layout import Layout
from data_prep.egoexo4d.miniature import write_miniature
from data_prep.egoexo4d.rows import Window


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature with its films; not to be changed."""
    return write_miniature(tmp_path_factory.mktemp("egoexo4d") / "tree")


@pytest.fixture
def copy(tree: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tree, tmp_path / "tree"))


@pytest.fixture(scope="session")
def dataset(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The whole miniature as a dataset: its folder and what the conversion returned."""
    folder = tmp_path_factory.mktemp("dataset") / "out"
    return folder, convert(Layout(tree), folder, "all", [], Window(), lambda done, total: None)


@pytest.fixture(scope="session")
def rows(dataset: tuple[Path, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The records by sample_id."""
    return {row["sample_id"]: row for row in read_samples(dataset[0])}


@pytest.fixture
def edit() -> Callable[[Path, Callable[[Any], Any]], None]:
    """Change a JSON file in place."""

    def change(path: Path, how: Callable[[Any], Any]) -> None:
        value = json.loads(path.read_text())
        value = how(value) or value
        path.write_text(json.dumps(value))

    return change
