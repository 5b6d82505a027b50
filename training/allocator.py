"""Training on tcmalloc where the machine has it.

A training makes and frees tensors of ever new lengths, and after some thousand updates the C
library's allocator spends a third of the time and more in looking for a free piece. tcmalloc does
not; the weights are the same, bit for bit (docs/training.md, "Memory and speed").
"""

import os
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Final

from training.progress import Progress

PRELOAD: Final = "LD_PRELOAD"
TCMALLOC, C_LIBRARY = "tcmalloc", "C library"
PACKAGE: Final = "libtcmalloc-minimal4"
# `poise train`, and `python -m training.cli` as `accelerate launch` starts it.
ENTRY_POINTS: Final = ("poise", "cli.py")


def restart_on_tcmalloc() -> None:
    """Start this very command again, in this process, with tcmalloc loaded before everything else.

    Nothing happens where it is not installed (a line says so), where LD_PRELOAD is set, also to
    nothing, or where the command is called as a function by another program.
    """
    if sys.platform != "linux" or PRELOAD in os.environ:
        return
    if Path(sys.argv[0]).name not in ENTRY_POINTS:
        return
    library = find_library("tcmalloc_minimal")
    if library is None:
        Progress("train").say(f"on a CPU slower without tcmalloc (Debian's {PACKAGE})")
        return
    os.environ[PRELOAD] = library
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def allocator_in_use() -> str:
    """Whose memory this process allocates: tcmalloc's or the C library's."""
    maps = Path("/proc/self/maps")
    loaded = maps.is_file() and "libtcmalloc" in maps.read_text("utf-8", "replace")
    return TCMALLOC if loaded else C_LIBRARY
