"""What training says of its progress: a bar on a terminal, lines elsewhere."""

import io
import re
import sys

import pytest

from training import progress
from training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stderr as a terminal of 100 columns that draws every update."""
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(progress, "_REFRESH_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return shown


def words(text: str) -> list[str]:
    """Each state of the bar without colours and moves of the cursor."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [" ".join(state.split()) for state in re.split(r"[\r\n]+", plain) if state.strip()]


def test_a_terminal_shows_a_bar_with_name_steps_and_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    told = Progress("language")
    told.advance(3, 10, "loss 1.25")
    told.advance(10, 10, "loss 0.75")
    states = words(terminal.getvalue())
    assert any(re.fullmatch(r"language \S+ 3/10 \S+ loss 1\.25", state) for state in states)
    assert re.fullmatch(r"language ━+ 10/10 0:00:00 loss 0\.75", states[-1])
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_without_a_terminal_it_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress("language", every=3600.0)
    told.advance(3, 10, "loss 1.25")
    told.advance(10, 10, "loss 0.75")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"\[language +\d+\.\d s\] 10/10 loss 0\.75\n", shown.err)


def test_only_the_first_of_several_processes_talks(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("RANK", "1")
    told = Progress("language")
    told.advance(10, 10, "loss 0.75")
    told.say("done")
    assert terminal.getvalue() == ""
