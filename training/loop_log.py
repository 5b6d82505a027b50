"""The numbers of a training as they come: one JSON object a line, and TensorBoard where it is.

work/loop/STAGE/log.jsonl      always
work/loop/STAGE/tensorboard    with the extra `train`: tensorboard --logdir RUN/work/loop
"""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assistant.files import write_text

LOG_FILE = "log.jsonl"
BOARD_FOLDER = "tensorboard"


class LoopLog:
    """Writes numbers by step; a resumed run first drops what came after its state.

    Args:
        folder: of the stage's loop.
        step: the run goes on from here.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG_FILE
        kept = [line for line in _lines(self.path) if line["step"] <= step] if step else []
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.board: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / BOARD_FOLDER), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note some values, named `train/loss` for example, after so many steps."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write out what is still in memory."""
        if self.board is not None:
            self.board.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """All lines of a stage's log."""
    return _lines(folder / LOG_FILE)


def _lines(path: Path) -> list[dict[str, float]]:
    """The whole lines of a log; a kill may have cut the last one short."""
    if not path.is_file():
        return []
    whole = [line for line in path.read_text("utf-8").splitlines(keepends=True) if line[-1] == "\n"]
    return [json.loads(line) for line in whole]
