"""Progress of training on stderr: a bar on a terminal, else lines that stay readable in a file."""

import os
import sys
import time
from typing import Any

_REFRESH_SECONDS = 0.5


class Progress:
    """Prints a line at most every `every` seconds, and at the end of a stage.

    On a terminal the lines of `advance` become one bar with the time that remains. Of several
    processes only the first one talks.
    """

    def __init__(self, name: str, *, every: float = 10.0) -> None:
        self.name = name
        self.every = every
        self.started = time.monotonic()
        self.printed = self.started
        self.silent = os.environ.get("RANK", "0") != "0"
        self._bar: Any = None

    def advance(self, done: int, total: int, text: str = "") -> None:
        """Tell that `done` of `total` steps are done."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if done < total and now - self.printed < (_REFRESH_SECONDS if terminal else self.every):
            return
        self.printed = now
        if terminal and not self.silent:
            self._draw(done, total, text)
        else:
            self.say(f"{done}/{total} {text}")

    def say(self, text: str) -> None:
        """One line with the stage's name and its seconds."""
        if self.silent:
            return
        seconds = time.monotonic() - self.started
        print(f"[{self.name} {seconds:6.1f} s] {text}", file=sys.stderr, flush=True)

    def _draw(self, done: int, total: int, text: str) -> None:
        """Show the bar; its last state stays on the screen as a line."""
        if self._bar is None:
            self._bar = _bar()
            self._bar.start()
            self._bar.add_task(self.name, total=total, numbers=text)  # is drawn at once
        [task] = self._bar.task_ids
        self._bar.update(task, completed=done, total=total, numbers=text)
        self._bar.refresh()
        if done >= total:
            self._bar.stop()
            self._bar = None


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
        console=Console(stderr=True),
        auto_refresh=False,
    )
