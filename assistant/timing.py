"""Wall time of the pipeline's stages."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Timings:
    """Adds up milliseconds by name: `with timings("label"): ...`."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block; the same name adds up."""
        start = perf_counter()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + (perf_counter() - start) * 1000

    def milliseconds(self) -> dict[str, float]:
        """A copy of what was spent so far, rounded to a tenth."""
        return {name: round(value, 1) for name, value in self._spent.items()}
