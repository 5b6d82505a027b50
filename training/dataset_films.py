"""Features of a dataset's films for the language stages, by the run's own video encoder.

Either `poise data features` has made them (`language.features`), or the same code does it here,
into the run's `work/features`: a run that was killed goes on where it stopped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.perception import VIDEO_ENCODER_FOLDER
from assistant.video.encoder import VideoEncoder
from data_prep.features import SHA_LETTERS, Item, features_folder, read_features
from data_prep.features_run import extract, in_processes
from prompts.vocabulary import VIEWS
from training.progress import Progress
from training.run import WORK, Run

FEATURES: Final = "features"
# So many films that cannot be read stop a run: this share of them, but not for a few.
MOST_MISSING: Final = 0.05
FEW: Final = 10

Filmed = Sequence[tuple[Mapping[str, Any], Mapping[str, str]]]


@dataclass(frozen=True)
class Films:
    """What the video encoder sees of clips.

    Attributes:
        features: clip to [V, D], one row a view in the order of `VIEWS`; clips of which no view
            can be read, or looks like what the encoder knows, are not there.
        frames: that a view's feature was made from.
    """

    features: dict[str, np.ndarray] = field(default_factory=dict)
    frames: int = 0


def film_features(run: Run, filmed: Filmed) -> Films:
    """Features of the films of rows, over each row's span.

    Args:
        filmed: rows of `run.recipe.language.dataset`, each with its films, view to path.

    Raises:
        PoiseError: no video encoder, or too many films cannot be read or have no features.
    """
    if not filmed:
        return Films()
    encoder = run.video_encoder()
    if encoder is None:
        raise PoiseError(
            "no films without a video encoder",
            got=f"no {VIDEO_ENCODER_FOLDER} in {run.folder}",
            remedy=f"poise train {run.recipe.name} --stage {VIDEO_ENCODER_FOLDER} -o {run.folder}",
        )
    dataset = Path(run.recipe.language.dataset)
    items = [_item(dataset, row, view, films[view]) for row, films in filmed for view in films]
    items.sort(key=lambda item: (item.film, item.span or (0.0, 0.0), item.sample_id))
    folder = _stored(run, encoder, items)
    missing = [item for item in items if not (folder / item.file).is_file()]
    if len(missing) > most_missing(len(items)):
        raise PoiseError(
            f"features of {dataset} are missing in {folder}",
            got=f"none of {len(missing)} of {len(items)} films, {missing[0].file} for example",
            remedy=f"poise data features {dataset} -o {folder.parent} "
            f"--encoder {run.folder / VIDEO_ENCODER_FOLDER}",
        )
    if missing:
        Progress(FEATURES).say(f"{len(missing)} of {len(items)} films have none: left out")
    return Films(_read(folder, set(missing), items, encoder), encoder.frames)


def most_missing(films: int) -> int:
    """How many of so many films may be unreadable."""
    return max(FEW, int(MOST_MISSING * films))


def _item(dataset: Path, row: Mapping[str, Any], view: str, path: str) -> Item:
    span = None if row["span"] is None else (float(row["span"][0]), float(row["span"][1]))
    return Item(row["sample_id"], view, str((dataset / path).resolve()), span)


def _stored(run: Run, encoder: VideoEncoder, items: Sequence[Item]) -> Path:
    """The folder of the encoder's features: the one given, or that of the run with all made."""
    given, sha = run.recipe.language.features, encoder.sha256()
    if given:
        folder = Path(given) / sha[:SHA_LETTERS]
        if folder.is_dir():
            return folder
        raise PoiseError(
            f"no features of the run's video encoder in {given}",
            got=f"no folder {folder.name}",
            remedy=f"poise data features {run.recipe.language.dataset} -o {given} "
            f"--encoder {run.folder / VIDEO_ENCODER_FOLDER}",
        )
    folder = features_folder((run.folder / WORK / FEATURES).resolve(), sha)
    source = str((run.folder / VIDEO_ENCODER_FOLDER).resolve())
    workers = min(run.recipe.data.workers, len(items))
    progress = Progress(FEATURES)
    made = extract(
        in_processes(items, source, folder, workers),
        len(items),
        folder,
        max_failed=most_missing(len(items)),
        progress=lambda done, total: progress.advance(done, total, "films"),
    )
    for failure in made["failures"]:
        progress.say(f"{failure['sample_id']} {failure['view']}: {failure['reason']}")
    return folder


def _read(
    folder: Path, missing: set[Item], items: Sequence[Item], encoder: VideoEncoder
) -> dict[str, np.ndarray]:
    """[V, D] of each clip, of the views that look like what the encoder was trained on."""
    views: dict[str, list[str]] = {}
    for item in items:
        if item not in missing:
            views.setdefault(item.sample_id, []).append(item.view)
    found = {}
    for name, names in views.items():
        order = sorted(names, key=VIEWS.index)
        rows = np.stack([read_features(folder, name, view).mean(axis=0) for view in order])
        known = encoder.in_distribution(rows)
        if known.any():
            found[name] = rows[known]
    return found
