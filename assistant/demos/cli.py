"""`poise demos`: expert libraries: build one, add to it from films, list it, search it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from assistant.options import AsJson, ModelFolder, PoseModel

if TYPE_CHECKING:
    from assistant.clip import Clip
    from assistant.clip_input import PoseResult
    from assistant.demos.choice import Choice
    from assistant.demos.library import Demonstration, Library

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Expert libraries: build one, add to it from films, list it, search it.",
)

SHOWN: Final = ("id", "activity", "level", "correct_regions", "licence", "origin")

PoseFile = Annotated[Path | None, typer.Option(help="The 3D pose of the clip (npz).")]
Shown = Annotated[
    Path | None, typer.Option("--library", help="One's own library; default the checkpoint's.")
]
Own = Annotated[Path, typer.Option("--library", help="One's own library; made if missing.")]
Span = Annotated[
    tuple[float, float] | None,
    typer.Option(help="Seconds of the clip; default the two that matter most."),
]
OfActivity = Annotated[str | None, typer.Option(help="Only this activity.")]
OfLevel = Annotated[list[str] | None, typer.Option("--level", help="Only this level; repeatable.")]
OfRegion = Annotated[
    list[str] | None, typer.Option("--region", help="This region is correct; repeatable.")
]
OfLicence = Annotated[
    list[str] | None, typer.Option("--licence", help="Only this licence; repeatable.")
]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
Pictures = Annotated[
    Path | None, typer.Option("--thumbnails", help="Write the pictures into this folder.")
]


@app.command()
def build(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new library.")],
    source: Annotated[
        Path | None,
        typer.Argument(help="A data set of `poise data`, or a library; default the checkpoint's."),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(help="Of a data set: who is shown; repeatable, default the upper two."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the data set's motions.")] = None,
    model: ModelFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make a library from a data set, or copy one so that it can grow."""
    from assistant.coach import Coach
    from assistant.demos.build import EXPERTS
    from assistant.demos.build import build as build_library
    from assistant.demos.choice import check_names
    from assistant.progress import progress_bar
    from prompts.vocabulary import LEVELS

    check_names("level", level or (), LEVELS)
    coach = Coach.from_pretrained(model)
    with progress_bar("library") as progress:
        told = build_library(
            coach, source, output, progress, levels=level or EXPERTS, licence=licence
        )
    lines = [f"{told['demonstrations']} demonstrations in {told['library']}"]
    lines += [f"  {name}: {count}" for name, count in told["by_activity"].items()]
    if told["any_activity"]:
        lines.append("  the model does not know all these activities: each clip may be shown any")
    lines += [f"  left out: {count} x {why}" for why, count in told["left_out"].items()]
    print(json.dumps(told) if as_json else "\n".join(lines))


@app.command()
def add(
    clip: Annotated[Path, typer.Argument(help="A film, or a pose file.")],
    activity: Annotated[str, typer.Option(help="What it shows.")],
    library: Own,
    level: Annotated[str | None, typer.Option(help="Level of the performer.")] = None,
    regions_correct: Annotated[
        str, typer.Option(help="Regions done correctly, joined by commas.")
    ] = "",
    licence: Annotated[str | None, typer.Option(help="Under which it may be shown.")] = None,
    span: Span = None,
    note: Annotated[str, typer.Option(help="Anything else.")] = "",
    name: Annotated[str | None, typer.Option("--id", help="In place of the clip's name.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take your word for what an unlikely clip shows.")
    ] = False,
    pose: PoseFile = None,
    pose_model: PoseModel = None,
    model: ModelFolder = None,
    as_json: AsJson = False,
) -> None:
    """Add a demonstration of one's own: pose, window, codes and picture are made here."""
    from assistant.coach import Coach
    from assistant.demos.add import About, demonstrations_of
    from assistant.demos.store import DemoStore, is_store

    regions = tuple(r.strip() for r in regions_correct.split(",") if r.strip())
    about = About(activity, level, regions, licence, note, span, name, force)
    coach = Coach.from_pretrained(model)
    coach.check_activity(activity)
    encoded_by = coach.checkpoint.sha256()
    if is_store(library):  # before the pose is estimated, which takes long
        DemoStore.open(library).check_encoding(encoded_by)
    items = demonstrations_of(coach, *_seen(clip, pose, pose_model), about)
    store = DemoStore.create_or_open(library, encoded_by)
    store.add(items)
    told = {"library": str(library), "added": [record(i) for i in items], "total": len(store)}
    lines = [f"added {item.demonstration_id} to {library}" for item in items]
    print(json.dumps(told) if as_json else "\n".join(lines))


@app.command("list")
def list_items(
    library: Shown = None,
    activity: OfActivity = None,
    level: OfLevel = None,
    region: OfRegion = None,
    licence: OfLicence = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many at most.")] = None,
    thumbnails: Pictures = None,
    model: ModelFolder = None,
    as_json: AsJson = False,
) -> None:
    """Name the demonstrations that meet all conditions."""
    choice = _choice(activity, level, region, licence)
    items = _library(library, model).select(choice, limit)
    _print([record(item) for item in items], items, thumbnails, as_json)


@app.command()
def search(
    clip: Annotated[Path, typer.Argument(help="A film, or a pose file.")],
    library: Shown = None,
    activity: OfActivity = None,
    level: OfLevel = None,
    region: OfRegion = None,
    licence: OfLicence = None,
    span: Span = None,
    limit: Limit = 5,
    thumbnails: Pictures = None,
    pose: PoseFile = None,
    pose_model: PoseModel = None,
    model: ModelFolder = None,
    as_json: AsJson = False,
) -> None:
    """Find the demonstrations nearest to a clip, by PA-MPJPE, among those that meet all conditions.

    Without --activity only those of the clip's own activity.
    """
    from assistant.checkpoint import Checkpoint
    from assistant.demos.query import query_window
    from assistant.demos.search import search as nearest
    from assistant.perception import Perception
    from assistant.progress import quiet_libraries

    choice = _choice(activity, level, region, licence)
    opened = _library(library, model)
    checkpoint = Checkpoint.open(model)
    seen = _seen(clip, pose, pose_model)
    with quiet_libraries():
        perception = Perception.from_pretrained(checkpoint.folder)
    window, choice = query_window(perception, *seen, choice, span)
    found = nearest(opened, window, choice, limit)
    rows = [record(f.demonstration) | {"pa_mpjpe_mm": f.pa_mpjpe_mm} for f in found]
    _print(rows, [f.demonstration for f in found], thumbnails, as_json)


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="As `poise demos list` names them.")],
    library: Own,
    as_json: AsJson = False,
) -> None:
    """Take demonstrations out of one's own library."""
    from assistant.demos.store import DemoStore

    store = DemoStore.open(library)
    store.remove(names)
    told = {"library": str(library), "removed": names, "total": len(store)}
    print(json.dumps(told) if as_json else f"removed {', '.join(names)}; {told['total']} left")


def record(item: "Demonstration") -> dict[str, Any]:
    """What is told of a demonstration; its motion and picture stay where they are."""
    return {
        "id": item.demonstration_id,
        "activity": item.activity,
        "start": item.start,
        "end": item.end,
        "level": item.level,
        "correct_regions": list(item.correct_regions),
        "licence": item.licence,
        "source": item.source,
        "origin": item.origin,
        "note": item.note,
    }


def _choice(
    activity: str | None, level: list[str] | None, region: list[str] | None, licence: list | None
) -> "Choice":
    from assistant.demos.choice import Choice

    return Choice(activity, tuple(level or ()), tuple(region or ()), tuple(licence or ()))


def _library(own: Path | None, model: Path | None) -> "Library":
    from assistant.checkpoint import LIBRARY_FOLDER, Checkpoint
    from assistant.demos.store import open_library

    return open_library(own or Checkpoint.open(model).folder / LIBRARY_FOLDER)


def _seen(clip: Path, pose: Path | None, pose_model: Path | None) -> "tuple[Clip, PoseResult]":
    """The clip and its pose, which is estimated where none is given."""
    from assistant.clip_input import load_clip, resolve_pose
    from assistant.progress import progress_bar

    loaded = load_clip(clip, {}, pose)
    if loaded.pose is not None:
        return loaded, resolve_pose(loaded)
    with progress_bar(f"pose of {loaded.clip_id}") as progress:
        return loaded, resolve_pose(loaded, progress=progress, pose_model=pose_model)


def _print(
    rows: list[dict[str, Any]],
    items: "list[Demonstration]",
    pictures: Path | None,
    as_json: bool,
) -> None:
    """The rows as one object or as a table, their pictures as files."""
    if pictures is not None:
        from assistant.demos.thumbnail import write_thumbnails

        for row, path in zip(rows, write_thumbnails(items, pictures), strict=True):
            row["thumbnail"] = str(path)
    if as_json:
        print(json.dumps({"demonstrations": rows, "count": len(rows)}))
        return
    names = [n for n in (*SHOWN, "pa_mpjpe_mm", "thumbnail") if not rows or n in rows[0]]
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())
    print(f"{len(rows)} demonstrations", file=sys.stderr)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list):
        return ", ".join(value)
    return "-" if value in (None, "") else str(value)
