"""Settings of the stage `look_closer`: Look Closer alone, for its tables and for Ego-Exo4D."""

from dataclasses import dataclass
from typing import Final

from assistant.errors import PoiseError
from assistant.proficiency.coral import PAPER_C
from assistant.proficiency.look_closer import LookCloserConfig
from training.proficiency.look_closer import LookCloserSettings


@dataclass(frozen=True)
class Variant:
    """One trained Stage 1: what it reads and which of its parts there are."""

    modalities: tuple[str, ...]
    router: bool
    aspects: bool


# The trainings behind Tables III and IV; the paper has no pose.
VARIANTS: Final[dict[str, Variant]] = {
    "video": Variant(("ego", "exo"), router=False, aspects=False),
    "gaze": Variant(("ego", "exo", "gaze"), router=False, aspects=False),
    "router": Variant(("ego", "exo", "gaze"), router=True, aspects=False),
    "full": Variant(("ego", "exo", "gaze"), router=True, aspects=True),
    "without_gaze": Variant(("ego", "exo"), router=True, aspects=True),
    "without_router": Variant(("ego", "exo", "gaze"), router=False, aspects=True),
    "with_pose": Variant(("ego", "exo", "gaze", "pose"), router=True, aspects=True),
}


@dataclass(frozen=True)
class LookCloserStageSettings:
    """Training of the optional stage `look_closer`.

    Attributes:
        variants: of VARIANTS, each trained and written to a file of its own; seeds: trainings of
            each, from the recipe's seed on.
        dataset: a folder written by `poise data egoexo4d` (and `label`); empty simulates drills.
        features: kind of official features; feature_rate: their rows a second.
        train_performers ... clips_per_performer: sizes of the simulated pools.
        data_seed: of the train pool, the next one of the calibration pool; test_seed: of the test
            pool. None depends on the seed of training.
        seconds: of a simulated clip that are seen; noise: millimetres of pose noise in it.
        frames: of a film that Stage 1 reads.
        fewest_windows: a bucket with fewer high or low windows takes the activity's prototypes.
        c: inverse strength of the L2 penalty of the heads.
        width ... dropout: of the network; epochs ... bf16: see `LookCloserSettings`.
    """

    variants: tuple[str, ...] = ("full",)
    seeds: int = 1
    dataset: str = ""
    features: str = "maws_clip_2b"
    feature_rate: float = 30.0
    train_performers: int = 56
    calibration_performers: int = 32
    test_performers: int = 40
    clips_per_performer: int = 4
    data_seed: int = 8100
    test_seed: int = 8200
    seconds: float = 5.0
    noise: float = 15.0
    frames: int = 16
    fewest_windows: int = 5
    c: float = PAPER_C
    width: int = 64
    layers: int = 1
    heads: int = 4
    feedforward: int = 128
    gaze_layers: int = 1
    dropout: float = 0.1
    epochs: int = 20
    batch_size: int = 8
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4
    clip: float = 1.0
    aspect: float = 0.5
    router: float = 0.01
    consistency: float = 0.1
    modality_dropout: float = 0.0
    bf16: bool = True

    def __post_init__(self) -> None:
        wrong = [
            f"variant {v!r}, expected {', '.join(VARIANTS)}"
            for v in self.variants
            if v not in VARIANTS
        ]
        counts = ("seeds", "train_performers", "calibration_performers", "test_performers",
                  "clips_per_performer", "frames", "epochs", "batch_size")  # fmt: skip
        wrong += [f"{n} {getattr(self, n)}, expected 1 or more" for n in counts
                  if getattr(self, n) < 1]  # fmt: skip
        above = ("seconds", "feature_rate", "c", "learning_rate", "clip")
        wrong += [f"{n} {getattr(self, n)}, expected above 0" for n in above
                  if not getattr(self, n) > 0]  # fmt: skip
        if self.data_seed <= self.test_seed <= self.data_seed + 1:
            wrong.append(f"test_seed {self.test_seed} is that of another pool")
        if wrong:
            raise PoiseError("settings of the look_closer stage", got="; ".join(wrong))

    def config(self, variant: str, sizes: dict[str, int], activities: int) -> LookCloserConfig:
        """The network of a variant for features of these sizes, where it reads them."""
        chosen = VARIANTS[variant]
        return LookCloserConfig(
            {m: sizes[m] for m in chosen.modalities if m in sizes},
            activities,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
            feedforward=self.feedforward,
            gaze_layers=self.gaze_layers,
            router=chosen.router,
            aspects=chosen.aspects,
            dropout=self.dropout,
        )

    def training(self) -> LookCloserSettings:
        """What `train_look_closer` needs of them."""
        return LookCloserSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            clip=self.clip,
            aspect=self.aspect,
            router=self.router,
            consistency=self.consistency,
            modality_dropout=self.modality_dropout,
            bf16=self.bf16,
        )
