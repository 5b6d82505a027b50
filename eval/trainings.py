"""What an evaluation has trained: `poise train` as a process of its own."""

import subprocess
import sys
from collections.abc import Sequence

from assistant.errors import PoiseError


def train(arguments: Sequence[str], *, held: Sequence[int] = ()) -> None:
    """Run `poise train` and wait for it.

    Args:
        held: open files that the process keeps too, such as the lock of the folder it writes in:
            where this process is killed, the lock ends with the training and not before.

    Raises:
        PoiseError: it failed.
    """
    command = [sys.executable, "-m", "assistant.cli", "train", *arguments]
    print(f"poise train {' '.join(arguments)}", file=sys.stderr)
    done = subprocess.run(command, stdout=sys.stderr, pass_fds=tuple(held))
    if done.returncode != 0:
        raise PoiseError(
            "a training failed",
            got=f"exit code {done.returncode}",
            remedy=f"run `poise train {' '.join(arguments)}` and read its message",
        )
