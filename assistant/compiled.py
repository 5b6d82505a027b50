"""Compile a numeric function to machine code with numba, kept on disk between runs.

Modules that use it are imported only where their function is called: numba takes half a second to
import, and the first call on a machine some seconds to compile.
"""

from collections.abc import Callable
from typing import Any, Final

from numba import njit

# What vector units need: sums in any order, no exceptions inside loops. NaN keeps its meaning.
OPTIONS: Final[dict[str, Any]] = {
    "fastmath": {"contract", "nsz", "arcp", "reassoc", "afn"},
    "error_model": "numpy",
    "nogil": True,
    "boundscheck": False,
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled function; where no folder can hold the result, compiled anew in each process."""
    try:
        kept: Callable[..., Any] = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # numba found no folder that it may write
        kept = njit(**OPTIONS)(function)
    return kept
