"""Paths of a sample's files, relative to its dataset, as a dataset elsewhere names them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FIELDS: Final = ("views", "calibration", "features")


def moved_paths(
    sample: Mapping[str, Any], source: Path, output: Path, *, linked: bool = False
) -> dict[str, Any]:
    """A sample of the dataset `source` as one of `output`.

    Args:
        linked: what lies inside `source` is linked in `output` under the same name.
    """
    moved = {key: _moved(sample[key], source, output, linked) for key in FIELDS if key in sample}
    return {**sample, **moved}


def _moved(paths: Any, source: Path, output: Path, linked: bool) -> Any:
    if isinstance(paths, Mapping):
        return {key: _moved(value, source, output, linked) for key, value in paths.items()}
    if paths is None or os.path.isabs(paths):
        return paths
    if linked and not os.path.normpath(paths).startswith(os.pardir):
        return paths
    return os.path.relpath(os.path.join(source, paths), output)
