"""A server of one's own for a measurement: `poise serve` in a process, as users start it."""

import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from assistant.errors import PoiseError

START_SECONDS: Final = 500.0
"""Until a server must be ready: two processes load torch on a machine with other work."""
_END_SECONDS: Final = 10.0


class ServerProcess:
    """A server on a free port of this machine; as a context manager it ends with the block.

    Attributes:
        url: where it answers.
        process: its process.
        log: what it has written to standard error, by lines.

    Raises:
        PoiseError: it did not start.
    """

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "assistant.cli", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.log: list[str] = []
        reading = threading.Thread(target=self._read_log, daemon=True)
        reading.start()
        late = threading.Timer(START_SECONDS, self.process.kill)
        late.start()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        late.cancel()
        if not self.url:
            self.end()
            reading.join(_END_SECONDS)
            raise PoiseError("the server did not start", got="".join(self.log)[-500:])

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def workers(self) -> list[int]:
        """Numbers of its worker processes (Linux)."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        numbers = [int(n) for task in tasks for n in task.read_text().split()]
        command = {n: Path(f"/proc/{n}/cmdline").read_bytes() for n in numbers}
        return [n for n in numbers if b"spawn_main" in command[n]]

    def end(self) -> None:
        """Ask it to end, then make it."""
        self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.end()
