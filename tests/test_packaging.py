"""The wheel carries its data files and works in a clean environment."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("assistant", "training", "data_prep", "prompts", "eval")
SUFFIXES = {
    pattern.rpartition("*")[2]
    for pattern in tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]["*"]
}


def tracked_files() -> list[Path]:
    """The files that a clone holds, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def test_every_data_file_has_a_packaged_suffix() -> None:
    left_out = [
        str(path)
        for path in tracked_files()
        if path.parts[0] in PACKAGES and path.suffix not in SUFFIXES | {".py"}
    ]
    assert not left_out, "add their suffixes to package-data in pyproject.toml"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the tracked files, built outside the repository."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked_files():
        if (REPOSITORY / path).is_file():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes((REPOSITORY / path).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([sys.executable, "-m", *command, str(out), str(source)], check=True)
    return next(out.glob("poise-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_packages_hold(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name) for name in archive.namelist()}
    expected = {
        path
        for path in tracked_files()
        if path.parts[0] in PACKAGES and (REPOSITORY / path).is_file()
    }
    assert expected <= packed
    strangers = {path.parts[0] for path in packed - expected} - set(PACKAGES)
    assert all(name.endswith(".dist-info") for name in strangers), strangers
    assert any(path.suffix == ".jinja" for path in packed)
    assert any(path.suffix == ".yaml" for path in packed)
    assert any(path.suffix == ".safetensors" for path in packed)


@pytest.mark.slow
def test_the_wheel_runs_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    """Only the heavy dependencies are lent; the project itself comes from the wheel alone."""
    environment = tmp_path / "clean"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    # A plain path: the .pth of an editable install in that folder is not followed.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")

    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    run = {"cwd": tmp_path, "env": clean, "capture_output": True, "text": True, "check": True}
    where = subprocess.run(
        [python, "-c", "import assistant; print(assistant.__file__)"], **run
    ).stdout
    assert where.startswith(str(site))
    poise = environment / "bin" / "poise"
    assert "coach" in subprocess.run([poise, "--help"], **run).stdout
    for command in ("coach", "data", "train", "eval"):
        assert "Usage" in subprocess.run([poise, command, "--help"], **run).stdout
    demo = next((site / "assistant" / "weights" / "demo").glob("*.npz"))
    assert "schema_version" in subprocess.run([poise, "coach", demo, "--json"], **run).stdout
