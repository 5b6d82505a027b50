"""FineDiving (Xu et al. 2022): dives with the judges' score, from the authors' annotation files.

    poise data finediving DIR -o OUT

`FineDiving_coarse_annotation.pkl` and `FineDiving_fine-grained_annotation.pkl` map (video, number)
to a dict each; `train_split.pkl` and `test_split.pkl` list such pairs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.dataset import write_samples
from assistant.errors import PoiseError
from data_prep.skill_sets.safe_pickle import read_pickle

Key = tuple[str, int]
COARSE: Final = "FineDiving_coarse_annotation.pkl"
FINE: Final = "FineDiving_fine-grained_annotation.pkl"
SPLITS: Final = {"train": "train_split.pkl", "test": "test_split.pkl"}
FRAME_FOLDERS: Final = ("FINADiving_MTL_256s", "FineDiving", "FINADiving_jpgs_256")
FEWEST: Final = 10  # SSE section 3.2: dives with fewer examples are left out


def convert_finediving(root: Path, folder: Path) -> dict[str, Any]:
    """Write one row a dive; returns what was written and what was left out.

    `score` is the dive's score; `proficient` is 1 above the mean score of its dive type over the
    training split (SSE section 3.2 says the mean for each dive, not over which split). Dive types
    with fewer than FEWEST dives, or none to train on, are left out.

    Raises:
        PoiseError: a file is missing, unreadable or of another format.
    """
    coarse, fine, splits = _read(root)
    types = {key: str(coarse[key]["action_type"]) for key in splits}
    counts = Counter(types.values())
    scores: dict[str, list[float]] = {}
    for key, split in splits.items():
        if split == "train":
            scores.setdefault(types[key], []).append(float(coarse[key]["dive_score"]))
    means = {t: float(np.mean(s)) for t, s in scores.items() if counts[t] >= FEWEST}
    chosen = [key for key in sorted(splits) if types[key] in means]
    pictures = next((name for name in FRAME_FOLDERS if (root / name).is_dir()), None)

    def rows() -> Iterator[dict[str, Any]]:
        for key in chosen:
            row = _row(key, splits[key], coarse[key], fine[key], means[types[key]])
            video, number = key
            yield row | {"frames": None if pictures is None else f"{pictures}/{video}/{number}"}

    sha = write_samples(rows(), folder, {"source": "FineDiving", "fewest_a_type": FEWEST})
    return {
        "folder": str(folder),
        "rows": len(chosen),
        "dive_types": len(means),
        "left_out": len(splits) - len(chosen),
        "left_out_types": sorted(set(counts) - set(means)),
        "pictures": pictures,
        "sha256": sha,
    }


def _read(root: Path) -> tuple[dict[Key, Any], dict[Key, Any], dict[Key, str]]:
    """Both annotations by key, and the split of every listed key."""
    coarse, fine = (_annotation(_find(root, name)) for name in (COARSE, FINE))
    splits: dict[Key, str] = {}
    for split, name in SPLITS.items():
        for key in _keys(_find(root, name)):
            if splits.setdefault(key, split) != split:
                raise PoiseError("a dive is in both splits", got=f"{key[0]} {key[1]}")
            for table, kind in ((coarse, COARSE), (fine, FINE)):
                if key not in table:
                    raise PoiseError(f"{name} names an unknown dive", got=str(key), expected=kind)
    return coarse, fine, splits


def _find(root: Path, name: str) -> Path:
    """The file in the download, in its folder Annotations, or in train_test_split."""
    places = [root / part / name for part in ("", "Annotations", "train_test_split")]
    return next((path for path in places if path.is_file()), places[0])


def _annotation(path: Path) -> dict[Key, Any]:
    found = read_pickle(path)
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise _wrong(path, type(found).__name__, "a dict from (video, number) to a dict")
    return {_key(path, key): value for key, value in found.items()}


def _keys(path: Path) -> list[Key]:
    found = read_pickle(path)
    if not isinstance(found, list | tuple | np.ndarray):
        raise _wrong(path, type(found).__name__, "a list of (video, number)")
    return [_key(path, key) for key in found]


def _key(path: Path, key: Any) -> Key:
    try:
        video, number = key
        return str(video), int(number)
    except (TypeError, ValueError):
        raise _wrong(path, f"the key {key!r}", "(video, number)") from None


def _row(
    key: Key, split: str, coarse: Mapping[str, Any], fine: Mapping[str, Any], mean: float
) -> dict[str, Any]:
    video, number = key
    try:
        score = float(coarse["dive_score"])
        labels = np.asarray(fine["frames_labels"]).astype(np.int64).reshape(-1)
        names = {int(code): str(name) for code, name in fine["sub-action_types"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise PoiseError(
            f"cannot read dive {video} {number}",
            got=f"{type(fault).__name__}: {fault}",
            expected="dive_score, frames_labels and sub-action_types",
        ) from None
    codes = list(dict.fromkeys(labels.tolist()))
    return {
        "sample_id": f"finediving-{video}-{number}",
        "take_id": video,
        "activity": "diving",
        "action": str(coarse["action_type"]),
        "split": split,
        "steps": np.array([codes.index(code) for code in labels.tolist()]),
        "step_names": [names.get(code, str(code)) for code in codes],
        "origin": "FineDiving",
        "score": score,
        "proficient": int(score > mean),
    }


def _wrong(path: Path, got: str, expected: str) -> PoiseError:
    return PoiseError(f"{path} has another format", got=got, expected=expected)
