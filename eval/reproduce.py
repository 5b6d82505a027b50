"""Which runs make the rows of ProfVLM's and ExpertAF's tables, and in which order they are made.

    poise eval reproduce --budget 60

A run is a row of `paper_rows.yaml`'s `runs` with a seed: perception of that seed, trained once for
all rows, then the language part by the row's overrides, scored on test performers
(`eval.row_training`, `eval.row_scores`). Every run leaves one JSON file and is made again only
when its settings have changed. Here is what needs no training: the plan, the budget, what is
stored and its means over seeds.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
import yaml

from assistant.errors import PoiseError
from assistant.files import write_text
from eval.paper_rows import definitions
from eval.statistics import bootstrap

RECIPE: Final = "ablation"
# Parts of the recipe that no row reads, and settings that change no number.
OTHER_STAGES: Final = ("look_closer", "sparse_skill", "labelling")
FREE: Final = ("threads", "data.workers", "video_encoder.workers", "loop.checkpoint_steps")
# Parts of the recipe that perception does not read.
LANGUAGE_PARTS: Final = (
    "language_model", "pretrain", "language", "correction", "lora", "contrastive", "loop",
)  # fmt: skip

Result = Mapping[str, Any]


@dataclass(frozen=True)
class RowRun:
    """One training of a row.

    Attributes:
        overrides: of the recipe, without the seed.
        measure: what is scored beside the levels: "texts", "fields", "poses".
        stages: that are trained beside `pretrain` and `language`.
        settings_sha256: of all that the numbers depend on, save the seed and the code.
        recipe_sha256: of what the shipped recipe says of them.
        perception_sha256: of what perception depends on.
    """

    row: str
    seed: int
    overrides: tuple[str, ...]
    measure: tuple[str, ...]
    stages: tuple[str, ...]
    settings_sha256: str
    recipe_sha256: str
    perception_sha256: str

    @property
    def name(self) -> str:
        """Of the run, its file and its folder."""
        return f"{self.row}_{self.seed}"

    @property
    def settings(self) -> list[str]:
        """All overrides of the recipe."""
        return [*self.overrides, f"seed={self.seed}"]


def plan(
    rows: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    settings: Sequence[str] = (),
    limit: int | None = None,
) -> list[RowRun]:
    """All runs: the first seed of every row, then the second, and so on.

    Args:
        rows: names, in any order; None takes all.
        seeds: None takes those of `paper_rows.yaml`.
        settings: overrides for all rows, before their own.
        limit: test clips, where not all are scored.

    Raises:
        PoiseError: a row that does not exist.
    """
    groups, how = definitions()["runs"], definitions()["reproduce"]
    known = {row: group for group in groups.values() for row in group["rows"]}
    unknown = [row for row in rows or () if row not in known]
    if unknown:
        raise PoiseError("no such row", got=", ".join(unknown), expected=", ".join(known))
    recipe = _recipe_content()
    test = {"test": how["test"], "ranked": how["ranked"], "limit": limit}
    found = []
    for seed in how["seeds"] if seeds is None else seeds:
        for row, group in known.items():
            if rows is not None and row not in rows:
                continue
            own = [*settings, *group["base"], *group["rows"][row]]
            seen = [s for s in settings if s.split("=")[0].split(".")[0] not in LANGUAGE_PARTS]
            measure = tuple(group["measure"])
            stages = tuple(group.get("stages", {}).get(row, ()))
            found.append(
                RowRun(
                    row,
                    seed,
                    tuple(own),
                    measure,
                    stages,
                    sha_of([recipe, _that_count(own), measure, stages, test]),
                    sha_of(recipe),
                    sha_of([_without(recipe, LANGUAGE_PARTS), _that_count(seen)]),
                )
            )
    return found


def _recipe_content() -> dict[str, Any]:
    """What the shipped recipe says of the rows; its file is read, its package is not ours."""
    text = resources.files("training").joinpath(f"recipes/{RECIPE}.yaml").read_text("utf-8")
    recipe = _without(yaml.safe_load(text), OTHER_STAGES)
    for key in FREE:
        *parents, last = key.split(".")
        place = recipe
        for parent in parents:
            place = place.get(parent, {})
        place.pop(last, None)
    return recipe


def _without(content: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in keys}


def _that_count(overrides: Iterable[str]) -> list[str]:
    return [setting for setting in overrides if setting.partition("=")[0] not in FREE]


def sha_of(content: Any) -> str:
    """Of the content as JSON, its keys sorted."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def result_file(folder: Path, run: RowRun) -> Path:
    """Where the result of a run is stored."""
    return folder / f"{run.name}.json"


def stored(folder: Path, run: RowRun) -> dict[str, Any] | None:
    """The result of a run, if it was made by these settings.

    Raises:
        PoiseError: the file is damaged.
    """
    path = result_file(folder, run)
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        same = found["settings_sha256"] == run.settings_sha256
    except (ValueError, KeyError, TypeError) as fault:
        raise PoiseError(
            f"cannot read stored result {path}", got=repr(fault), remedy="delete it and run again"
        ) from fault
    return found if same else None


def write_result(folder: Path, run: RowRun, result: Result) -> None:
    """Store the result of a run, whole or not at all; a list of numbers takes one line."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(
        f" {json.dumps(key)}: {_lines(value)}" for key, value in sorted(result.items())
    )
    write_text(result_file(folder, run), f"{{\n{lines}\n}}\n")


def _lines(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        return "[\n  " + ",\n  ".join(json.dumps(v, sort_keys=True) for v in value) + "\n ]"
    return json.dumps(value, sort_keys=True)


def seconds_of(result: Result) -> float:
    """All that a run took, preparation included."""
    return float(sum(result["seconds"].values()))


def expected_seconds(run: RowRun, results: Mapping[str, Result], unknown: float) -> float:
    """How long a run will take by the measured time of others.

    The longest of the row's own, else of any row; and the longest preparation of a seed, where
    none of this seed is stored. `unknown` (seconds) while nothing was measured.

    Args:
        results: stored ones, by the names of their runs.
    """
    own = [r for r in results.values() if r["row"] == run.row]
    measured = own or list(results.values())
    if not measured:
        return unknown
    alone = max(seconds_of(r) - r["seconds"].get("prepare", 0.0) for r in measured)
    begun = any(r["seed"] == run.seed for r in results.values())
    prepared = [r["seconds"].get("prepare", 0.0) for r in results.values()]
    return alone + (0.0 if begun else max(prepared))


@dataclass
class Progress:
    """What one call of `reproduce` did.

    Attributes:
        done: names of the runs that were made; failed: name to the message; left: names of those
            that were not begun; kept: of those that were stored before.
        hours: all stored results of the plan together.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    hours: float = 0.0


def reproduce(
    runs: Sequence[RowRun],
    folder: Path,
    make: Callable[[RowRun], Result],
    *,
    budget: float | None = None,
    unknown: float,
    clock: Callable[[], float] = perf_counter,
    log: Callable[[str], None] = lambda text: None,
) -> Progress:
    """Make and store what is missing, in order, until a run would not fit any more.

    A run that fails is named and left out; the next ones are made all the same.

    Args:
        folder: of the results.
        make: the result of a run.
        budget: seconds in all; None has no end.
        unknown: seconds that a run is taken to need while none was measured.
        clock: seconds, as `time.perf_counter`.
    """
    began, found = clock(), Progress()
    results: dict[str, Result] = {}
    for run in runs:
        before = stored(folder, run)
        if before is not None:
            results[run.name] = before
    found.kept = list(results)
    missing = [run for run in runs if run.name not in results]
    for place, run in enumerate(missing):
        needed, spent = expected_seconds(run, results, unknown), clock() - began
        if budget is not None and spent + needed > budget:
            found.left = [other.name for other in missing[place:]]
            log(f"{run.name} would take {needed / 60:.1f} minutes: it does not fit any more")
            break
        log(f"{run.name}: run {place + 1} of {len(missing)}, about {needed / 60:.1f} minutes")
        try:
            result = make(run)
        except PoiseError as fault:
            found.failed[run.name] = str(fault)
            log(f"{run.name} failed: {fault}")
            continue
        write_result(folder, run, result)
        results[run.name] = result
        found.done.append(run.name)
        log(f"{run.name} stored after {seconds_of(result) / 60:.1f} minutes")
    found.hours = sum(map(seconds_of, results.values())) / 3600
    return found


def read_rows(folder: Path) -> dict[str, Any]:
    """Every row's figures over its stored seeds, and `about`: runs stored and planned, hours.

    A float is its mean with the range of the seeds, a count the list of all; the accuracy has an
    interval over performers instead. What only some seeds have is left out, and so are results of
    other settings than those of now.
    """
    found: dict[str, Any] = {}
    results: dict[str, list[Result]] = {}
    runs = plan()
    for run in runs:
        result = stored(folder, run)
        if result is not None:
            results.setdefault(run.row, []).append(result)
    for row, some in results.items():
        found[row] = _over_seeds(some) | {"seeds": [r["seed"] for r in some]} | _accuracy(some)
    every = [r for some in results.values() for r in some]
    found["about"] = {
        "runs": len(every),
        "planned": len(runs),
        "hours": sum(map(seconds_of, every)) / 3600,
    }
    return found


def _accuracy(results: Sequence[Result]) -> dict[str, Any]:
    """The accuracy over all seeds with its 95% interval over performers."""
    takes = [take for result in results for take in result["takes"]]
    right = np.array([float(np.argmax(take["p"]) == take["level"]) for take in takes])
    # A performer's clips of all seeds are drawn together.
    found = bootstrap(right, [take["performer"] for take in takes])
    return {"accuracy": {"value": found.value, "low": found.low, "high": found.high}}


def _over_seeds(values: Sequence[Any]) -> Any:
    """Of equal keys in all results; None where they are no numbers."""
    if all(isinstance(v, Mapping) for v in values):
        keys = [key for key in values[0] if all(key in v for v in values)]
        found = {key: _over_seeds([v[key] for v in values]) for key in keys}
        return {key: value for key, value in found.items() if value is not None}
    if all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        return list(values)
    if all(isinstance(v, float | int) and not isinstance(v, bool) for v in values):
        mean = float(sum(values) / len(values))
        return {"value": mean, "low": min(values), "high": max(values)} if values[1:] else mean
    return None
