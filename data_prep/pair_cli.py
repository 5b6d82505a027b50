"""`poise data pair`: learners' faults with experts who do it right, and their review by eye."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from assistant.errors import PoiseError
from assistant.options import AsJson


def pair(
    dataset: Annotated[Path | None, typer.Argument(help="Dataset with labelled regions.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the pairs; resumes a run.")
    ] = None,
    train_top: Annotated[int, typer.Option(min=1, help="Experts a learner, split train.")] = 5,
    test_top: Annotated[int, typer.Option(min=1, help="Experts a learner, other splits.")] = 1,
    window: Annotated[float, typer.Option(min=0.5, max=10, help="Seconds aligned.")] = 2.0,
    block: Annotated[int, typer.Option(min=1, help="Learners written at a time.")] = 64,
    review: Annotated[
        Path | None, typer.Option(help="Write DIR/review.html for the pairs in DIR.")
    ] = None,
    splits: Annotated[str, typer.Option(help="Splits to review, with commas.")] = "test",
    apply: Annotated[
        Path | None, typer.Option(help="Take over the decisions exported by the review page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pair learners' faults with the experts' correct executions that align best (ExpertAF 3.2).

    poise data pair DATASET -o DIR; poise data pair --review DIR;
    poise data pair --apply decisions.json -o DIR
    """
    result: dict[str, object]
    if review is not None and dataset is None and apply is None:
        from data_prep.pairing.review import write_review

        result = write_review(review, tuple(splits.split(",")))
    elif apply is not None and output is not None and dataset is None:
        from data_prep.pairing.decisions import apply_decisions

        result = apply_decisions(apply, output)
    elif dataset is not None and output is not None and review is None and apply is None:
        from assistant.progress import progress_bar
        from data_prep.pairing.run import pair_dataset

        result = pair_dataset(
            dataset,
            output,
            partial(progress_bar, "pairing"),
            train_top=train_top,
            test_top=test_top,
            window=window,
            block=block,
        )
    else:
        raise PoiseError(
            "nothing to do",
            expected="DATASET with -o DIR, --review DIR, or --apply FILE with -o DIR",
            remedy="see `poise data pair --help`",
        )
    print(json.dumps(result) if as_json else _lines(result))


def _lines(result: dict[str, object]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in result.items())
