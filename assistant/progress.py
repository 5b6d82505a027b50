"""A progress bar on stderr, so that stdout carries results only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""

_REFRESH_SECONDS: Final = 0.2


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
    """Show a bar while the block runs; where stderr is no terminal, nothing but its last state.

    The bar is drawn by the calls themselves, not by a thread: native libraries whose notices are
    kept from stderr meanwhile would swallow it.
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
    shown = 0.0

    def advance(done: int, total: int) -> None:
        nonlocal shown
        bar.update(task, completed=done, total=total)
        if done >= total or monotonic() - shown >= _REFRESH_SECONDS:
            bar.refresh()
            shown = monotonic()

    with bar:
        yield advance
