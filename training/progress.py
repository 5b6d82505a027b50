"""Progress of training on stderr: one line that stays readable in a log file too."""

import sys
import time


class Progress:
    """Prints a line at most every `every` seconds, and at the end of a stage."""

    def __init__(self, name: str, *, every: float = 10.0) -> None:
        self.name = name
        self.every = every
        self.started = time.monotonic()
        self.printed = self.started

    def advance(self, done: int, total: int, text: str = "") -> None:
        """Tell that `done` of `total` steps are done."""
        now = time.monotonic()
        if done < total and now - self.printed < self.every:
            return
        self.printed = now
        self.say(f"{done}/{total} {text}")

    def say(self, text: str) -> None:
        """One line with the stage's name and its seconds."""
        seconds = time.monotonic() - self.started
        print(f"[{self.name} {seconds:6.1f} s] {text}", file=sys.stderr, flush=True)
