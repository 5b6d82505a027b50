"""The takes that the stage `look_closer` trains, calibrates and tests on."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.checkpoint import Checkpoint
from assistant.dataset import read_info
from assistant.errors import PoiseError
from assistant.perception import POSE_TOKENIZER_FOLDER, VIDEO_ENCODER_FOLDER
from assistant.pose.tokenizer import PoseTokenizer
from assistant.video.encoder import VideoEncoder
from data_prep.drills.simulate import simulate_many
from training.look_closer_settings import LookCloserStageSettings
from training.proficiency.recorded_takes import recorded_takes
from training.proficiency.simulated_takes import Filming, simulated_takes
from training.proficiency.takes import TakeFeatures, cached_takes


@dataclass(frozen=True)
class Pools:
    """Takes of performers that no two pools share.

    Attributes:
        train: for Stage 1 and the prototypes; calibration: for CDFs and ordinal heads, empty where
            these are cross-fitted on `train`; test: for figures only.
        activities: names by index.
        about: where they are from, in words that are stored with the figures.
    """

    train: list[TakeFeatures]
    calibration: list[TakeFeatures]
    test: list[TakeFeatures]
    activities: tuple[str, ...]
    about: dict[str, str]


def simulated_pools(
    settings: LookCloserStageSettings,
    activities: tuple[str, ...],
    folder: Path,
    say: Callable[[str], None],
) -> Pools:
    """Simulated performers filmed for the encoder of the shipped checkpoint; kept in `folder`."""
    shipped = Checkpoint.open().folder
    encoder = VideoEncoder.from_pretrained(shipped / VIDEO_ENCODER_FOLDER)
    tokenizer_folder = shipped / POSE_TOKENIZER_FOLDER
    tokenizer_sha = hashlib.sha256((tokenizer_folder / "model.safetensors").read_bytes())
    made_of = {"encoder": encoder.sha256(), "pose_tokenizer": tokenizer_sha.hexdigest()}

    def pool(name: str, performers: int, seed: int, split: str) -> list[TakeFeatures]:
        filming = Filming(settings.seconds, settings.frames, settings.noise, seed)
        origin = {
            "performers": performers, "clips": settings.clips_per_performer, "seed": seed,
            "split": split, "activities": list(activities), "filming": asdict(filming),
        }  # fmt: skip

        def make() -> list[TakeFeatures]:
            say(f"filming {performers} performers: {name}")
            drills = simulate_many(
                performers, settings.clips_per_performer, seed, split=split, activities=activities
            )
            tokenizer = PoseTokenizer.from_pretrained(tokenizer_folder)
            return simulated_takes(drills, activities, encoder, tokenizer, filming)

        return cached_takes(folder, name, origin | made_of, make)

    seed = settings.data_seed
    return Pools(
        pool("train", settings.train_performers, seed, "train"),
        pool("calibration", settings.calibration_performers, seed + 1, "validation"),
        pool("test", settings.test_performers, settings.test_seed, "test"),
        activities,
        {
            "what": "simulated drills, not real people",
            "video_encoder_sha256": made_of["encoder"],
            "pose_tokenizer_sha256": made_of["pose_tokenizer"],
        },
    )


def recorded_pools(settings: LookCloserStageSettings, folder: Path) -> Pools:
    """Train and validation takes of a dataset; CDFs and heads are cross-fitted on train.

    Raises:
        PoiseError: one of the two splits has no take.
    """
    dataset = Path(settings.dataset)
    sha = read_info(dataset)["sha256"]
    made_of = {
        "dataset": sha, "features": settings.features, "rate": settings.feature_rate,
        "frames": settings.frames,
    }  # fmt: skip
    found: dict[str, list[TakeFeatures]] = {}
    splits = {"train": "train", "test": "validation"}

    def reader(split: str) -> Callable[[], list[TakeFeatures]]:
        def make() -> list[TakeFeatures]:
            if not found:
                takes, _ = recorded_takes(
                    dataset, settings.features, settings.feature_rate, settings.frames
                )
                found.update(takes)
            return found.get(split, [])

        return make

    pools = {
        name: cached_takes(folder, name, made_of, reader(split)) for name, split in splits.items()
    }
    missing = [split for name, split in splits.items() if not pools[name]]
    if missing:
        raise PoiseError(
            f"cannot train on {dataset}", got=f"no take of split {' or '.join(missing)}",
            remedy="`poise data egoexo4d --split all`",
        )  # fmt: skip
    every = {t.clip.activity: t.activity for takes in pools.values() for t in takes}
    names = tuple(every.get(i, "") for i in range(max(every) + 1))
    about = {"what": f"dataset {dataset.name}, official validation split", "dataset_sha256": sha}
    return Pools(pools["train"], [], pools["test"], names, about)
