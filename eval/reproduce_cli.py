"""`poise eval reproduce`: train and score the rows of the papers' tables within a budget."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.errors import PoiseError
from assistant.files import write_text
from eval.options import AsJson

if TYPE_CHECKING:
    from eval.reproduce import Progress, RowRun

LOCK, TEST = "lock", "test"


def reproduce(
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="Overrides of the recipe `ablation` for all rows, key.sub=value."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Minutes; no run begins that would not end in them.")
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option(help="Only this row; may be given several times.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Such as 0,1,2.")] = None,
    limit: Annotated[int | None, typer.Option(help="Test clips, balanced.", min=1)] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only list the runs.")] = False,
    work: Annotated[Path, typer.Option(help="Where trainings lie.")] = Path("runs/paper-rows"),
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the results, one file a run.")
    ] = Path("docs/results/paper_rows"),
    as_json: AsJson = False,
) -> None:
    """Ablations of ProfVLM and ExpertAF: train what has no result yet, first seeds first."""
    from assistant.files import locked
    from eval import reproduce as suite
    from eval.paper_rows import definitions

    runs = suite.plan(rows, _numbers(seeds), settings or [], limit)
    if listed:
        _print_list(runs, output, as_json)
        return
    work.mkdir(parents=True, exist_ok=True)
    with locked(work / LOCK, f"cannot train rows in {work}") as lock:
        make = _Maker(work, tuple(settings or ()), runs, limit, lock.fileno())
        found = suite.reproduce(
            runs,
            output,
            make,
            budget=None if budget is None else 60 * budget,
            unknown=60 * float(definitions()["reproduce"]["minutes"]),
            log=_log,
        )
    print(json.dumps(vars(found), sort_keys=True) if as_json else _said(found))
    if found.failed:
        raise PoiseError(
            f"{len(found.failed)} of {len(runs)} runs failed", got="; ".join(found.failed.values())
        )


def _numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise PoiseError("cannot read --seeds", got=text, expected="whole numbers, such as 0,1,2")
    return list(map(int, parts))


class _Maker:
    """Trains and scores runs; the test clips are made and seen once."""

    def __init__(
        self, work: Path, settings: tuple[str, ...], runs: "list[RowRun]", limit: int | None,
        lock: int,
    ) -> None:  # fmt: skip
        from eval.paper_rows import definitions
        from eval.row_training import RowTraining, shared_pretraining
        from eval.trainings import train

        self.training = RowTraining(
            work, settings, lambda arguments: train(arguments, held=[lock]),
            shared_pretraining(runs),
        )  # fmt: skip
        self.how, self.limit = definitions()["reproduce"], limit
        self.work = work
        self._seen: Any = None

    def _film(self, perception: str, starts: Mapping[str, float]) -> dict[str, Any]:
        """Features of all views of the test clips, made once for each perception."""
        import numpy as np

        told = json.dumps(starts)
        name = f"{perception}_{sha256(told.encode()).hexdigest()[:8]}"
        folder = self.work / "films"
        folder.mkdir(exist_ok=True)
        path, asked = folder / f"{name}.npz", folder / f"{name}.json"
        if not path.is_file():
            write_text(asked, told)
            self.training.train(
                ["films", *map(str, (self.work / perception, self.work / TEST, asked, path))]
            )
        with np.load(path, allow_pickle=False) as arrays:
            return {clip: arrays[clip] for clip in starts}

    def __call__(self, run: "RowRun") -> dict[str, Any]:
        from shutil import rmtree
        from time import perf_counter

        from eval.row_scores import SeenClips, score_row
        from eval.testset import balanced, load

        started = perf_counter()
        if self._seen is None:
            test = load(self.work, TEST, self.how["test"])
            clips = balanced(test.clips, self.limit)
            self._seen = SeenClips(clips, self._film), test.info["sha256"]
        seen, sha = self._seen
        perception = self.training.perception(run)
        prepared = perf_counter()
        folder, seconds = self.training.row(run, perception)
        trained = perf_counter()
        contrastive = folder / "work" / "contrastive"
        figures = score_row(
            folder,
            seen,
            perception.name,
            run.measure,
            ranked=int(self.how["ranked"]),
            contrastive=contrastive if "contrastive" in run.stages else None,
            log=_log,
        )
        counts = {"n_train": _conversations(folder)}
        rmtree(folder)
        return {
            "row": run.row,
            "seed": run.seed,
            "settings": run.settings,
            "settings_sha256": run.settings_sha256,
            "set_sha256": sha,
            "machine": f"{os.cpu_count()} CPU cores ({platform.machine()})",
            "seconds": {
                "prepare": prepared - started,
                **seconds,
                "score": perf_counter() - trained,
            },
            **counts,
            **figures,
        }


def _conversations(folder: Path) -> int:
    """How many conversations both stages of a run learned from."""
    loops = (
        folder / "work" / "loop" / stage / "settings.json" for stage in ("pretrain", "language")
    )
    return sum(json.loads(p.read_text("utf-8"))["samples"] for p in loops if p.is_file())


def _print_list(runs: "list[RowRun]", output: Path, as_json: bool) -> None:
    from eval.reproduce import seconds_of, stored

    found = []
    for run in runs:
        result = stored(output, run)
        minutes = None if result is None else seconds_of(result) / 60
        found.append({"run": run.name, "settings": run.settings, "minutes": minutes})
    if as_json:
        print(json.dumps({"runs": found}, sort_keys=True))
        return
    for each in found:
        state = "not run" if each["minutes"] is None else f"{each['minutes']:.1f} min"
        print(f"{each['run']:24} {state:>9}  {' '.join(each['settings'])}")  # type: ignore[arg-type]


def _said(found: "Progress") -> str:
    lines = [f"made: {', '.join(found.done) or 'nothing'}"]
    lines += [f"failed: {', '.join(found.failed)}"] if found.failed else []
    lines += [f"not run, out of budget: {', '.join(found.left)}"] if found.left else []
    lines += [f"stored before: {len(found.kept)} runs", f"hours in all: {found.hours:.2f}"]
    return "\n".join(lines)


def _log(text: str) -> None:
    print(f"reproduce: {text}", file=sys.stderr, flush=True)
