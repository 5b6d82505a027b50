"""Stage `look_closer`: Look Closer by itself, every part switched as in its Tables III to V.

    poise train ablation --stage look_closer -o runs/controls            # simulated drills
    poise train look_closer --stage look_closer look_closer.dataset=DIR -o runs/look_closer

It is no part of a whole run and nothing that is shipped reads what it writes:
`work/look_closer/<variant>_<seed>.json` with the level probabilities that every head gives to every
test take (`poise eval proficiency-controls` makes tables of them), and the network of Stage 1 as
`<variant>_<seed>.safetensors`. A variant whose file is there already is not trained again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from safetensors.torch import save_file

from assistant.errors import PoiseError
from assistant.files import write_text
from assistant.proficiency.look_closer import PAPER_PARAMETERS, LookCloser, LookCloserConfig
from training.look_closer_data import Pools, recorded_pools, simulated_pools
from training.look_closer_settings import VARIANTS, LookCloserStageSettings
from training.proficiency.look_closer import train_look_closer
from training.proficiency.second_stage import (
    ANNOTATED,
    CONTROLS,
    Evidence,
    FirstStage,
    calibrated,
    exchanged,
    fit_banks,
    nearest_neighbour,
    unseen_evidence,
)
from training.proficiency.takes import DYNAMIC_STREAMS, TakeFeatures
from training.progress import Progress
from training.run import WORK, Run
from training.settings import build

LOOK_CLOSER = "look_closer"
# Names of the heads in the results, beside one "coral/<control>" for every control.
BASE = "base"
MULTINOMIAL = "multinomial"
SHARED = "coral_shared"
WEAK_PENALTY = "coral_c1"
EXCHANGED = "exchanged_inputs"
NEAREST = "nearest_neighbour"


def look_closer_stage(run: Run) -> None:
    """Train every variant with every seed that has no result yet."""
    settings: LookCloserStageSettings = build(LookCloserStageSettings, run.recipe.look_closer)
    progress, work = Progress(LOOK_CLOSER), run.folder / WORK
    if settings.dataset:
        pools = recorded_pools(settings, work)
    else:
        pools = simulated_pools(settings, run.recipe.activities, work, progress.say)
    progress.say(
        f"{len(pools.train)} takes train, {len(pools.calibration)} calibrate, "
        f"{len(pools.test)} test"
    )
    about = _about(settings, pools)
    for seed in range(run.recipe.seed, run.recipe.seed + settings.seeds):
        for variant in settings.variants:
            path = work / LOOK_CLOSER / f"{variant}_{seed}.json"
            if _done(path, about):
                progress.say(f"{variant}, seed {seed}: done before")
                continue
            result, net = train_variant(pools, settings, variant, seed, progress.say)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(net.state_dict(), path.with_suffix(".safetensors"))
            write_text(path, json.dumps(result | {"about": about}, sort_keys=True) + "\n")


def _about(settings: LookCloserStageSettings, pools: Pools) -> dict[str, Any]:
    """What the results of a folder share: settings, data, sizes."""
    shared = asdict(settings)
    for own in ("variants", "seeds"):
        del shared[own]
    sizes = {
        name: {"takes": len(takes), "performers": len({t.clip.participant for t in takes})}
        for name, takes in (
            ("train", pools.train),
            ("calibration", pools.calibration),
            ("test", pools.test),
        )
    }
    return {"settings": shared, "data": pools.about, "sizes": sizes} | {
        "activities": list(pools.activities)
    }


def _done(path: Path, about: dict[str, Any]) -> bool:
    """Whether the result is there; that of other settings must not be mixed with these."""
    if not path.is_file():
        return False
    if json.loads(path.read_text("utf-8"))["about"] != json.loads(json.dumps(about)):
        raise PoiseError(
            f"{path} is of other settings", expected="one experiment a folder",
            remedy="name another folder with -o",
        )  # fmt: skip
    return True


def train_variant(
    pools: Pools,
    settings: LookCloserStageSettings,
    variant: str,
    seed: int,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], LookCloser]:
    """One Stage 1 with everything that is fitted behind it, and what it says of the test takes."""
    started = perf_counter()
    config = settings.config(variant, _sizes(pools.train, variant), len(pools.activities))
    fit = partial(_first_stage, config, settings, variant, seed, say)
    whole = fit(pools.train)
    say(
        f"{variant}, seed {seed}: {whole.net.n_parameters / 1e6:.2f} M parameters "
        f"(the paper's network {PAPER_PARAMETERS / 1e6:.2f} M)"
    )
    for stream, bank in whole.banks[ANNOTATED].items():
        say(f"{stream}: {bank.describe()}")
    unseen = unseen_evidence(pools.train, pools.calibration, fit, whole)
    test = whole.evidence(pools.test)
    said = _heads(unseen, test, settings.c)
    strangers = whole.evidence(exchanged(pools.test, seed))
    said[EXCHANGED] = calibrated(unseen, strangers, ANNOTATED, c=settings.c)[0]
    said[NEAREST] = nearest_neighbour(pools.train, pools.test, config.modalities)
    right = {name: float((p.argmax(1) == test.levels).mean()) for name, p in said.items()}
    say(", ".join(f"{name} {value:.3f}" for name, value in right.items()))
    return {
        "variant": variant,
        "seed": seed,
        "modalities": list(config.modalities),
        "parameters": whole.net.n_parameters,
        "paper_parameters": PAPER_PARAMETERS,
        "seconds": round(perf_counter() - started, 1),
        "prototypes": {s: b.report() for s, b in whole.banks[ANNOTATED].items()},
        "takes": [
            {
                "name": take.name, "performer": take.clip.participant,
                "activity": take.activity, "level": take.clip.level,
            }
            for take in pools.test
        ],
        "probabilities": {name: np.round(p, 5).tolist() for name, p in said.items()},
    }, whole.net  # fmt: skip


def _heads(unseen: Evidence, test: Evidence, c: float) -> dict[str, np.ndarray]:
    """Level probabilities [N, 4] of the test takes by every head."""
    said = {BASE: test.p_base}
    for control in CONTROLS:
        ordinal, multinomial = calibrated(unseen, test, control, c=c)
        said[f"coral/{control}"] = ordinal
        if control == ANNOTATED:
            said[MULTINOMIAL] = multinomial
    said[SHARED] = calibrated(unseen, test, ANNOTATED, form="shared", c=c)[0]
    said[WEAK_PENALTY] = calibrated(unseen, test, ANNOTATED, c=1.0)[0]
    return said


def _sizes(takes: Sequence[TakeFeatures], variant: str) -> dict[str, int]:
    """Columns of every modality of the variant.

    Raises:
        PoiseError: no take has one of them.
    """
    sizes = {m: x.shape[1] for take in takes for m, x in take.clip.streams.items()}
    missing = [m for m in VARIANTS[variant].modalities if m not in sizes]
    if missing:
        raise PoiseError(
            f"cannot train variant {variant}", got=f"no take with {', '.join(missing)}",
            expected=", ".join(VARIANTS[variant].modalities),
        )  # fmt: skip
    return sizes


def _first_stage(
    config: LookCloserConfig,
    settings: LookCloserStageSettings,
    variant: str,
    seed: int,
    say: Callable[[str], None],
    takes: Sequence[TakeFeatures],
) -> FirstStage:
    """Network and prototype banks of the takes."""
    net = train_look_closer(
        [take.clip for take in takes],
        config,
        settings.training(),
        seed,
        lambda text: say(f"{variant}, seed {seed}: {text}"),
    )
    streams = [s for s in DYNAMIC_STREAMS if s in VARIANTS[variant].modalities]
    return FirstStage(net, fit_banks(takes, streams, settings.fewest_windows, seed))
