"""`poise eval calibration`: simulate performers, assess them, compare the ordinal heads."""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from assistant import __version__
from assistant.checkpoint import Checkpoint
from assistant.errors import PoiseError
from assistant.files import check_writable
from eval.options import AsJson, ModelFolder, Output
from eval.output import finish


def calibration(
    performers: Annotated[int, typer.Option(help="People, all of the test split.", min=1)] = 60,
    clips: Annotated[int, typer.Option(help="Clips of each.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Of the performers and the intervals.")] = 7104,
    model: ModelFolder = None,
    cache: Annotated[Path, typer.Option(help="Where the clips lie or are made.")] = Path(
        "runs/calibration"
    ),
    as_json: AsJson = False,
    output: Output = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw reliability and abstention into this PNG.")
    ] = None,
) -> None:
    """Are the level probabilities honest? CORAL, a multinomial head and coral-pytorch's layer."""
    from eval import calibration as suite
    from eval.calibration_report import draw, summary

    check_writable(output)
    check_writable(picture)
    if performers < suite.FOLDS:
        raise PoiseError("too few performers", got=str(performers),
                         expected=f"{suite.FOLDS} or more, one for each fold",
                         remedy="raise --performers")  # fmt: skip
    checkpoint = Checkpoint.open(model)
    evidence, set_sha256 = _assess(checkpoint.folder, performers, clips, seed, cache)
    data = {
        "what": "simulated drills with 15 mm pose noise, not real people",
        "command": f"poise data drills {' '.join(_drills(performers, clips, seed))}",
        "clips_each": clips,
        "seed": seed,
    }
    result = suite.evaluate(evidence, data, seed=seed)
    result["provenance"] = {
        "model": checkpoint.name,
        "model_sha256": checkpoint.sha256(),
        "set_sha256": set_sha256,
        "poise_version": __version__,
    }
    if picture is not None:
        draw(result, picture)
    finish(result, as_json, output, summary(result))


def _drills(performers: int, clips: int, seed: int) -> list[str]:
    sizes = ["--performers", str(performers), "--clips", str(clips), "--seed", str(seed)]
    return [*sizes, "--split", "test", "--noise", "15"]


def _assess(folder: Path, performers: int, clips: int, seed: int, cache: Path) -> tuple[Any, str]:
    """What the checkpoint says about simulated clips whose activity is given, and their sha256."""
    from assistant.perception import Perception
    from assistant.pose.normalise import normalise
    from eval import testset
    from eval.calibration import Evidence

    name = f"{performers}x{clips}-{seed}"
    whole = testset.load(cache, name, _drills(performers, clips, seed))
    drills = whole.clips
    assessor = Perception.from_pretrained(folder).assessor
    print(f"assessing {len(drills)} clips", file=sys.stderr)
    known = [clip for clip in drills if clip.activity in assessor.activities]
    ordered, found = [], []
    for activity in assessor.activities:
        mine = [clip for clip in known if clip.activity == activity]
        if mine:
            poses = [normalise(clip.pose) for clip in mine]
            found += assessor.assess_many(poses, activity=activity)
            ordered += mine
    evidence = Evidence(
        p_base=np.stack([a.p_base for a in found]),
        margins=[a.pdm for a in found],
        activities=[clip.activity for clip in ordered],
        performers=[clip.performer for clip in ordered],
        levels=np.array([clip.level for clip in ordered]),
        shipped=np.stack([a.level_probabilities for a in found]),
    )
    return evidence, whole.info["sha256"]
