"""How well are motions refused whose kind was never trained on?

Leaves one group of distractor motions out of Stage 1, of the open-set fit and of the threshold,
and asks for the AUROC and the refused share of just those motions.

    python -m training.proficiency.held_out --output docs/results/open_set_held_out.json
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.proficiency.activity import auroc
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.proficiency.poses import noisy_poses
from training.proficiency.settings import ProficiencySettings
from training.proficiency.stage1 import Progress
from training.proficiency.train import fit_open_set_model
from training.proficiency.unnamed import UNNAMED, make_unnamed

GROUPS: Final = (("stand", "wave"), ("walk",), ("jump",), ("sit_down",), ("balance",),
                 ("random_motion",), (UNNAMED,))  # fmt: skip


def held_out_auroc(
    pool_a: Sequence[Drill],
    validation: Sequence[Drill],
    settings: ProficiencySettings,
    seed: int,
    groups: Sequence[Sequence[str]] = GROUPS,
    progress: Progress = print,
) -> dict[str, dict[str, float]]:
    """Group -> auroc, refused share of the group and judged share of the known clips.

    Args:
        pool_a, validation: drills with distractors; `UNNAMED` as a group leaves out the nameless
            motions that are made from them.
    """
    known = [d for d in validation if d.level is not None]
    found = {}
    for group in groups:
        own = replace(settings, unnamed_share=0.0) if UNNAMED in group else settings
        assessor = fit_open_set_model(
            _without(pool_a, group), _without(validation, group), own, seed, progress
        )
        odd = [d for d in validation if d.activity in group] or _unnamed(validation, seed)
        clips = [*known, *odd]
        assessments = assessor.assess_many(noisy_poses(clips, settings.calibration_noise, seed))
        score = np.array([a.known_score for a in assessments])
        judged = np.array([a.judged for a in assessments])
        is_known = np.arange(len(clips)) < len(known)
        found["+".join(group)] = {
            "auroc": auroc(score, is_known),
            "refused": float((~judged)[~is_known].mean()),
            "known_judged": float(judged[is_known].mean()),
            "n_held_out": float(len(odd)),
        }
        progress(f"held out {group}: {found['+'.join(group)]}")
    return found


def _without(drills: Sequence[Drill], group: Sequence[str]) -> list[Drill]:
    return [d for d in drills if d.activity not in group]


def _unnamed(drills: Sequence[Drill], seed: int) -> list[Drill]:
    return make_unnamed(drills, 50, seed + 12)


def main() -> None:
    """Run with small pools and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--performers", type=int, default=150)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = ProficiencySettings(steps=options.steps, copies=1)
    pool_a = simulate_many(options.performers, 8, 7001, distractor_share=0.3)
    validation = simulate_many(40, 8, 7002, split="validation", distractor_share=0.5)
    result: dict[str, Any] = {
        "what": "open set: each group of motions left out of training and threshold",
        "performers": options.performers,
        "seed": options.seed,
        "settings": asdict(settings),
        "groups": held_out_auroc(
            pool_a, validation, settings, options.seed,
            progress=lambda text: print(text, file=sys.stderr, flush=True),
        ),
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
