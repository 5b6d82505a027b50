"""Pickles that hold plain containers and numpy arrays, read without running what they ask for.

An ordinary unpickler calls any function that a file names; this one knows a short list.
"""

import pickle
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError

# (module, name): what arrays, numpy scalars and their bytes are written as, by old and new numpy.
_ALLOWED: Final = {
    *((core, name) for core in ("numpy.core.multiarray", "numpy._core.multiarray")
      for name in ("_reconstruct", "scalar")),
    *((core, "_frombuffer") for core in ("numpy.core.numeric", "numpy._core.numeric")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("__builtin__", "set"),
}  # fmt: skip


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a pickle that asks for {module}.{name}")
        return super().find_class(module, name)


def read_pickle(path: Path) -> Any:
    """What a pickle holds.

    Raises:
        PoiseError: no such file, a broken one, or one that asks for more than that.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except FileNotFoundError:
        raise PoiseError(f"no file {path}", remedy="name the folder of the download") from None
    except (OSError, EOFError, pickle.UnpicklingError) as fault:
        got = str(fault) or "an empty file"
    except Exception as fault:  # a broken pickle may fail in any way while it is built
        got = f"a broken pickle ({type(fault).__name__}: {fault})"
    raise PoiseError(
        f"cannot read {path}", got=got, expected="a pickle of containers and numpy arrays"
    )
