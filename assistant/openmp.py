"""The pools of threads that OpenMP keeps, one for each thread of ours that has computed.

As long as all pools together have more threads than the machine has cores, GNU's OpenMP lets its
threads sleep at every barrier instead of spinning for a moment, and a language model has hundreds
of barriers a token: on two cores an answer took twice as long in a second thread.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch

_SOFT: Final = 1  # omp_pause_soft: the pool goes, the settings stay


def rest_threads() -> None:
    """Give up the calling thread's pool; its next operation makes a new one, in some 0.1 ms.

    For a thread that is about to wait for another one's arithmetic.
    """
    pause = _pause()
    if pause is not None:
        pause(_SOFT)


@cache
def _pause() -> Callable[[int], Any] | None:
    """`omp_pause_resource_all` of the library that torch computes with, where that has one."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        return ctypes.CDLL(str(library)).omp_pause_resource_all
    except (OSError, AttributeError):
        return None
