"""Which stages of a run are done, so that `poise train RECIPE --resume` goes on where it stopped.

work/recipe.json    the settings of the run; recipe_NAME.json for what is trained beside it
work/done.json      stages that have finished, with the seconds that they took
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant.errors import PoiseError
from training.atomic import write_json
from training.loop_state import clear_states
from training.recipe import Recipe
from training.run import WORK, Run

RECIPE_FILE, DONE_FILE = "recipe.json", "done.json"
# Settings that change no number.
FREE = ("data.workers", "loop.checkpoint_steps")


def begin(run: Run, stages: Sequence[str]) -> None:
    """Note the settings of a run and clear what `stages` left before, or, for a resumed run, check
    that it has the same settings.

    Raises:
        PoiseError: nothing was begun, or with other settings.
    """
    path = run.folder / WORK / recipe_file(run, stages)
    now = json.loads(json.dumps(asdict(run.recipe)))
    if run.resume:
        if not path.is_file():
            raise PoiseError(
                f"nothing to resume in {run.folder}",
                got=f"no {WORK}/{path.name}",
                expected="the folder of a run that was begun",
                remedy="give it by --output, or leave out --resume",
            )
        check_same(flat(json.loads(path.read_text("utf-8"))), flat(now))
    elif run.is_main:
        # In this order: a run that is killed meanwhile must not be taken up with old conversations.
        path.unlink(missing_ok=True)
        done = {name: s for name, s in done_stages(run).items() if name not in stages}
        write_json(run.folder / WORK / DONE_FILE, done)
        for stage in stages:
            for folder in loop_folders(run, stage):
                shutil.rmtree(folder, ignore_errors=True)
        write_json(path, now)
    run.wait()


def recipe_file(run: Run, stages: Sequence[str]) -> str:
    """The file of the settings; what is trained beside the checkpoint has one of its own."""
    from training.stages import EXTRA_STAGES

    beside = run.recipe.activity or next((name for name in stages if name in EXTRA_STAGES), "")
    return f"recipe_{beside}.json" if beside else RECIPE_FILE


def loop_folders(run: Run, stage: str) -> list[Path]:
    """Where the loops of a stage keep their states."""
    names = {"language": ("language", "correction"), "pretrain": ("talk", "pretrain")}
    return [run.loop_folder(name) for name in names.get(stage, (stage,))]


def check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise PoiseError unless both settings make the same numbers; one that the version which began
    the run did not know stood at its default."""
    usual = flat(json.loads(json.dumps(asdict(Recipe(name="")))))
    before = {key: usual[key] for key in now if key in usual} | before
    other = [
        f"{key}={now.get(key)!r} (begun with {before.get(key)!r})"
        for key in sorted(before.keys() | now.keys())
        if key not in FREE and before.get(key) != now.get(key)
    ]
    if other:
        raise PoiseError(
            "cannot resume with other settings",
            got="; ".join(other),
            remedy="give the settings that the run was begun with, or leave out --resume",
        )


def flat(settings: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Nested settings as `key.sub`: value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{place}{key}.")
        else:
            found[f"{place}{key}"] = value
    return found


def done_stages(run: Run) -> dict[str, float]:
    """Stages that are done, with their seconds."""
    path = run.folder / WORK / DONE_FILE
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def mark_done(run: Run, stage: str, seconds: float) -> None:
    """Note in the first process that a stage is done; the states of its loop can go then."""
    if not run.is_main:
        return
    write_json(run.folder / WORK / DONE_FILE, done_stages(run) | {stage: seconds})
    for folder in loop_folders(run, stage):
        clear_states(folder)
