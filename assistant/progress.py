"""A progress bar on stderr, so that stdout carries results only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Final

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""

_REFRESH_SECONDS: Final = 0.2
_LINE_SECONDS: Final = 30.0


def shifted(progress: Progress, before: int, total: int) -> Progress:
    """Progress of one part, which begins after `before` steps, as progress of the whole."""
    return lambda done, _: progress(before + done, total)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep transformers from drawing bars for files that are read or written in no time."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Show a bar while the block runs; where stderr is no terminal, a line now and then.

    Both say how long the rest will take. The bar is drawn by the calls themselves, not by a thread:
    native libraries whose notices are kept from stderr meanwhile would swallow it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
    )
    task = bar.add_task(label, total=None)
    shown = told = 0.0
    first: tuple[int, float] | None = None

    def advance(done: int, total: int) -> None:
        nonlocal shown, told, first
        now = monotonic()
        if first is None:
            first, told = (done, now), now
        bar.update(task, completed=done, total=total)
        if not bar.console.is_terminal and now - told >= _LINE_SECONDS:
            told = now
            print(_line(label, done, total, done - first[0], now - first[1]), file=sys.stderr)
        if done >= total or monotonic() - shown >= _REFRESH_SECONDS:
            bar.refresh()
            shown = monotonic()

    with bar:
        yield advance


def _line(label: str, done: int, total: int, gained: int, seconds: float) -> str:
    """Steps done and how long the rest will take, by the `gained` ones of these `seconds`."""
    if gained <= 0:
        return f"{label}: {done} of {total}"
    left = timedelta(seconds=round((total - done) * seconds / gained))
    return f"{label}: {done} of {total}, about {left} left"
