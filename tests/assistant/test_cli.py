"""The dispatcher: lazy, with the exit codes 0 done, 1 cannot, 2 usage, 130 interrupted."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace

import click
import pytest
import typer

from assistant import __version__, cli
from assistant.errors import PoiseError

HEAVY = ("torch", "transformers", "datasets", "sklearn", "av", "mediapipe", "numpy", "typer")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[..., object]]:
    """What `poise try` runs is put under the key "app"."""
    apps: dict[str, Callable[..., object]] = {}
    monkeypatch.setattr(cli, "COMMANDS", {"try": ("stand_in:app", "A stand-in.")})
    monkeypatch.setattr(cli, "import_module", lambda name: SimpleNamespace(**apps))
    return apps


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from assistant.cli import main; assert main(['--help']) == 0;"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for name in cli.COMMANDS:
        assert f"  {name}" in done.stdout


@pytest.mark.parametrize("name", list(cli.COMMANDS))
def test_every_command_has_its_module(name: str) -> None:
    target = cli.COMMANDS[name][0]
    assert find_spec(target.partition(":")[0]) is not None, target


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"poise {__version__}\n"


def test_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["caoch"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "'caoch'" in captured.err
    for name in cli.COMMANDS:
        assert name in captured.err


def test_no_arguments_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "Usage: poise" in capsys.readouterr().err


def test_poise_error_is_one_line_and_exit_1(
    commands: dict[str, Callable[..., object]], capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise PoiseError("clip.mp4 is empty", expected="a video", remedy="film\nagain")

    commands["app"] = app
    assert cli.main(["try"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "poise: clip.mp4 is empty; expected: a video; remedy: film again\n"
    assert captured.out == ""


def test_a_programming_error_keeps_its_traceback(
    commands: dict[str, Callable[..., object]],
) -> None:
    @click.command()
    def fail() -> None:
        raise ZeroDivisionError

    commands["app"] = fail
    with pytest.raises(ZeroDivisionError):
        cli.main(["try"])


def test_sub_app_usage_error_is_exit_2(
    commands: dict[str, Callable[..., object]], capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def run(count: int) -> None:
        print(count)

    commands["app"] = app
    assert cli.main(["try", "many"]) == 2
    assert cli.main(["try", "3"]) == 0
    assert capsys.readouterr().out.endswith("3\n")


@pytest.mark.parametrize(("code", "seen"), [(None, 0), (3, 3), ("no", 1)])
def test_exit_codes_of_a_sub_app_pass_through(
    commands: dict[str, Callable[..., object]], code: object, seen: int
) -> None:
    commands["app"] = lambda **_: sys.exit(code)
    assert cli.main(["try"]) == seen


def test_interrupt_is_130(commands: dict[str, Callable[..., object]]) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    commands["app"] = interrupted
    assert cli.main(["try"]) == 130

    app = typer.Typer()
    app.command()(lambda: interrupted())
    commands["app"] = app
    assert cli.main(["try"]) == 130
