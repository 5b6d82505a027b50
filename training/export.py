"""Copy a finished checkpoint out of its run folder, without what is not shipped.

poise train mini --export assistant/weights/poise-mini
"""

import shutil
from pathlib import Path

from assistant.checkpoint import Checkpoint
from assistant.errors import PoiseError
from training.run import WORK


def export_checkpoint(run: Path, destination: Path) -> Path:
    """Replace `destination` by the checkpoint in `run`; an older one stays until the copy is whole.

    Raises:
        PoiseError: the run is not finished, or the destination holds something else.
    """
    Checkpoint.open(run)
    if destination.exists() and not (destination / "checkpoint.json").is_file():
        raise PoiseError(
            f"cannot export to {destination}",
            got="a folder that is no checkpoint",
            expected="a new folder or an older checkpoint",
        )
    fresh = destination.with_name(destination.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(run, fresh, ignore=shutil.ignore_patterns(WORK))
    shutil.rmtree(destination, ignore_errors=True)
    fresh.rename(destination)
    return destination
