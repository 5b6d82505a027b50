"""`poise eval humans export` and `import`: what people think of the systems' comments."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from assistant.errors import PoiseError
from assistant.files import check_writable
from eval.options import AsJson, Output
from eval.output import finish

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def humans() -> None:
    """Blind ratings by people, from 1 to 4: rating sheets out, means and agreement back."""


@app.command("export")
def export(
    systems: Annotated[
        list[str], typer.Argument(metavar="NAME=PRED.jsonl...", help="Two systems or more.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the sheets.")],
    key: Annotated[
        Path | None, typer.Option(help="Which comment is whose; default: FOLDER.key.json.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="JSONL of experts' comments, which raters can open.")
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="Folder with a film, picture or pose file by sample id.")
    ] = None,
    questions: Annotated[
        str, typer.Option(help="Comma-separated: quality, correctness, actionability.")
    ] = "quality",
    raters: Annotated[int, typer.Option(help="Sheets, each in an order of its own.")] = 5,
    limit: Annotated[int | None, typer.Option(help="Clips, drawn by the seed.")] = None,
    floor: Annotated[
        bool, typer.Option(help="Hide comments on other clips among the others, as a floor.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the clips and orders.")] = 0,
) -> None:
    """Write a blind, self-contained HTML rating sheet for each rater, and the key."""
    from eval import humans as study_of
    from eval.humans_sheet import read_media, render_sheets

    study = study_of.read_study(
        _named(systems),
        references,
        questions=[name.strip() for name in questions.split(",")],
        limit=limit,
        sheets=raters,
        floor=floor,
        seed=seed,
    )
    hidden = study_of.make_key(study)
    media = None if clips is None else read_media(clips, study.samples)
    key = output.with_name(output.name + ".key.json") if key is None else key
    pages = render_sheets(study, hidden, media)
    sheets = study_of.write_study(study, output, key, pages, hidden)
    for name in study_of.named_in_texts(study):
        print(
            f"{name}: some of its comments hold this name, which raters will read", file=sys.stderr
        )
    if study.left_out:
        print(f"{study.left_out} clips left out", file=sys.stderr)
    print(f"{len(sheets)} sheets of {len(study.samples)} clips and {len(hidden['items'])} comments")
    print(*sheets, sep="\n")
    print(f"{key}  (keep it from the raters)")


@app.command("import")
def import_ratings(
    ratings: Annotated[list[Path], typer.Argument(metavar="RATINGS.json...")],
    key: Annotated[Path, typer.Option(help="The key that `export` wrote.")],
    as_json: AsJson = False,
    output: Output = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Means with intervals, paired tests and the raters' agreement, from downloaded ratings."""
    check_writable(output)
    from eval.humans_import import summarise, table

    result = summarise(ratings, key, seed=seed)
    finish(result, as_json, output, table(result))


def _named(systems: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for argument in systems:
        name, equals, path = argument.partition("=")
        if not (name and equals and path) or name in found:
            what = "a system twice" if name in found else "a system without name or file"
            raise PoiseError(what, got=argument, expected="NAME=PRED.jsonl, each name once")
        found[name] = Path(path)
    return found
