"""import-linter judges only what it sees: assert that it sees every module of ours."""

import tomllib
from pathlib import Path

import grimp

REPOSITORY = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = SETTINGS["root_packages"]
# Raise it as the project grows; it guards against a graph that is empty for another reason.
AT_LEAST = 110


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_linter_sees_every_module() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    on_disk = {module_name(p) for package in PACKAGES for p in (REPOSITORY / package).rglob("*.py")}
    unseen = on_disk - graph.modules
    assert not unseen, f"folders without __init__.py: {sorted(unseen)}"
    assert len(on_disk) >= AT_LEAST


def test_the_five_packages_are_linted() -> None:
    assert set(PACKAGES) == {"assistant", "training", "data_prep", "prompts", "eval"}
