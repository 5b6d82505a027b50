"""Trees like an Ego-Exo4D download: a small one with its oddities, and a large one by size.

    python -m data_prep.egoexo4d.miniature DIR                # nine takes, a few seconds
    python -m data_prep.egoexo4d.miniature DIR --full-size    # annotations of the official size

Then `poise data egoexo4d DIR -o OUT` and `poise data doctor DIR` work as on the real one. All
people are simulated drills, all texts are made up; nothing comes from Ego-Exo4D but its layout.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from assistant.clip import PoseSequence
from data_prep.egoexo4d.mini_annotations import write_metadata, write_proficiency, write_texts
from data_prep.egoexo4d.mini_recordings import write_take
from data_prep.egoexo4d.mini_takes import TAKES


def write_miniature(root: Path) -> Path:
    """Write the small tree into a new or empty folder; returns it."""
    motions = _motions(len(TAKES))
    write_metadata(root, motions)
    write_proficiency(root, motions)
    write_texts(root, motions)
    for take, motion in zip(TAKES, motions, strict=True):
        write_take(root, take, motion)
    return root


def _motions(count: int) -> list[PoseSequence]:
    """Performances of simulated drills."""
    from data_prep.drills.faults import KNOWN
    from data_prep.drills.simulate import simulate_performer

    drills = simulate_performer(0, count, 7, "train", KNOWN, 0.0)
    return [drill.pose for drill in drills]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.egoexo4d.miniature")
    parser.add_argument("folder", type=Path, help="new or empty folder")
    parser.add_argument("--full-size", action="store_true", help="as many takes as the real one")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    options = parser.parse_args(arguments)
    if options.folder.exists() and any(options.folder.iterdir()):
        print(f"{options.folder} is not empty; name a new folder", file=sys.stderr)
        return 1
    if options.full_size:
        from data_prep.egoexo4d.full_size import write_full_size

        print(json.dumps(write_full_size(options.folder, options.scale)))
    else:
        print(write_miniature(options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
