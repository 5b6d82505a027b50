"""Where a batch run writes: one line a clip, never lost and never twice, whenever it is killed.

    OUT.jsonl           one object a line, as `poise coach --json` prints it; `clip.id` is sample_id
    OUT.failed.jsonl    {"sample_id", "reason"} of the clips that this run could not coach
    OUT.run.json        what decides the answers; a run with other settings is refused

Lines are appended and on the disk before the next clips begin. A half-written last line is dropped
when a run goes on, and clips that had failed are tried again.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from assistant.batch import Outcome
from assistant.errors import PoiseError
from assistant.files import locked, write_text


class BatchOutput:
    """The files of a run, held against other runs; use `open_output`.

    Attributes:
        done: sample ids that have their line.
    """

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self.failed_path = path.with_suffix(".failed.jsonl")
        self.run_path = path.with_suffix(".run.json")
        self.done: set[str] = set()
        self._file = file

    def take_up(self, settings: Mapping[str, Any], known: set[str]) -> None:
        """Read what earlier runs have done, or begin.

        Args:
            settings: whatever decides the answers, JSON values.
            known: the dataset's sample ids.

        Raises:
            PoiseError: the file is of another run, or damaged before its last line.
        """
        self._check_settings(settings)
        end = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                sample_id = _sample_id(line)
                if sample_id is None:
                    if lines.read(1):
                        raise self._foreign(f"line {number}, which is no whole record")
                    break
                if sample_id not in known or sample_id in self.done:
                    what = "twice" if sample_id in self.done else "not in the dataset"
                    raise self._foreign(f"{sample_id} in line {number}, {what}")
                self.done.add(sample_id)
                end += len(line)
        self._file.truncate(end)
        self.failed_path.unlink(missing_ok=True)

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Write lines; they are on the disk when this returns.

        Raises:
            PoiseError: the disk is full or gone; what was written before stays.
        """
        good = [outcome.record for outcome in outcomes if outcome.record is not None]
        bad = [
            {"sample_id": outcome.sample_id, "reason": outcome.reason}
            for outcome in outcomes
            if outcome.record is None
        ]
        try:
            _write(self._file, good)
            if bad:
                with self.failed_path.open("ab", buffering=0) as file:
                    _write(file, bad)
        except OSError as fault:
            raise PoiseError(
                f"cannot write {self.path}",
                got=(fault.strerror or str(fault)).lower(),
                remedy="make room and run again: what is done is kept",
            ) from fault
        self.done.update(outcome.sample_id for outcome in outcomes if outcome.record is not None)

    def discard_if_empty(self) -> None:
        """Leave no trace of a run that wrote nothing."""
        if os.fstat(self._file.fileno()).st_size == 0 and not self.failed_path.exists():
            self.run_path.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        if not self.run_path.exists():
            if os.fstat(self._file.fileno()).st_size:
                raise self._foreign(f"no {self.run_path.name} beside it")
            write_text(self.run_path, json.dumps(dict(settings), indent=1) + "\n")
            return
        try:
            before = dict(json.loads(self.run_path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as fault:
            raise self._foreign(f"{self.run_path.name} that cannot be read") from fault
        changed = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        if changed:
            raise PoiseError(
                f"cannot go on with {self.path}",
                got=", ".join(f"{key} {settings.get(key)}" for key in changed),
                expected=", ".join(f"{key} {before.get(key)}" for key in changed),
                remedy="name another output, or remove this one to begin anew",
            )

    def _foreign(self, got: str) -> PoiseError:
        return PoiseError(
            f"cannot go on with {self.path}",
            got=got,
            expected="lines of a run over the same dataset",
            remedy="name another output",
        )


@contextmanager
def open_output(path: Path, settings: Mapping[str, Any], known: set[str]) -> Iterator[BatchOutput]:
    """The output of a run, taken up where the last one stopped.

    Raises:
        PoiseError: another run writes there, or a fault of `BatchOutput.take_up`.
    """
    what = f"cannot write {path}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise PoiseError(what, got=str(fault), remedy="name another output") from fault
    with locked(path, what) as file:
        output = BatchOutput(path, file)
        try:
            output.take_up(settings, known)
            yield output
        except BaseException:
            output.discard_if_empty()
            raise


def _write(file: FileIO, records: Sequence[Mapping[str, Any]]) -> None:
    """Append lines, all of them or, where the disk is full, none."""
    rest = memoryview("".join(json.dumps(r, allow_nan=False) + "\n" for r in records).encode())
    before = os.fstat(file.fileno()).st_size
    try:
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(before)
        raise


def _sample_id(line: bytes) -> str | None:
    """The sample that a whole line is of; None where the line is cut or damaged."""
    if not line.endswith(b"\n"):
        return None
    try:
        found = json.loads(line)["clip"]["id"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
