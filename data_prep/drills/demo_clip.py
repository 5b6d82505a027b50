"""The bundled demo: a squat with two clear faults, as a film and its pose.

    python -m data_prep.drills.demo_clip    writes assistant/weights/demo/squat_demo.mp4 and .npz

The film is one view of the simulated performer, the pose carries 15 mm of slow noise, as several
cameras give it. One seed makes both, so they can be made again.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np

import assistant
from assistant.pose.read import write_pose
from data_prep.drills.film import write_drill_film
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.performer import sample_performer
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate

NAME: Final = "squat_demo"
SEED: Final = 16
ACTIVITY: Final = "bodyweight_squat"
LEVEL: Final = 1
REPETITIONS: Final = 2
FAULTS: Final = {"knee_valgus": 0.9, "forward_lean": 0.75}
NOISE_MM: Final = 15.0
LEAD: Final = 0.7  # seconds kept before the first and after the last repetition
VIEW: Final = "exo1"


def demo_drill() -> Drill:
    """The clip's ground truth, its pose uncut."""
    rng = np.random.default_rng(SEED)
    shown = {name: (severity, frozenset(range(REPETITIONS))) for name, severity in FAULTS.items()}
    performer = sample_performer(rng, "test")
    return simulate(
        ACTIVITY, LEVEL, performer, rng, repetitions=REPETITIONS, faults=shown, sample_id=NAME
    )


def write_demo(folder: Path) -> tuple[Path, Path]:
    """Write the film and the pose of the same stem; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drill = demo_drill()
    span = (drill.repetitions[0][0] - LEAD, drill.repetitions[-1][1] + LEAD)
    pose = drill.pose.crop(*span)
    film, body = folder / f"{NAME}.mp4", folder / f"{NAME}.npz"
    write_drill_film(pose, film, view=VIEW, seed=SEED)
    noise = np.random.default_rng([SEED, 1])
    write_pose(body, add_pose_noise(pose, noise, millimetres=NOISE_MM))
    return film, body


def main() -> None:
    """Write into the package, or into the folder that is given."""
    package = Path(str(assistant.__file__)).parent / "weights" / "demo"
    for path in write_demo(Path(sys.argv[1]) if len(sys.argv) > 1 else package):
        print(path)


if __name__ == "__main__":
    main()
