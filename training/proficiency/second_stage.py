"""Stage 2 of Look Closer on takes (sections II-B and II-C), with the controls of its Table V.

Every control has prototypes, margins, CDFs and an ordinal head of its own. All of these but the
prototypes are fitted on takes of performers that neither Stage 1 nor the prototypes have seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from assistant.levels import N_LEVELS
from assistant.proficiency.coral import Form, fit_calibration, head_input, level_probabilities
from assistant.proficiency.look_closer import LookCloser
from assistant.proficiency.pdm import Bucket, PrototypeBank
from eval.levels import derangement
from eval.ordinal_heads import multinomial_head
from training.proficiency.calibration import folds_by_participant
from training.proficiency.look_closer import predict
from training.proficiency.takes import TakeFeatures

# How the margins of a control come about.
ANNOTATED: Final = "annotated"  # windows at the atomic actions
PROPOSALS: Final = "proposals"  # uniform windows, the largest margin of the activity's buckets
SHUFFLED: Final = "shuffled_labels"  # prototypes of levels that were shuffled between takes
RANDOM: Final = "random_prototypes"
ACTIVITY: Final = "activity_average"  # one pair of prototypes an activity
NONE: Final = "no_margin"
CONTROLS: Final = (ANNOTATED, PROPOSALS, SHUFFLED, RANDOM, ACTIVITY, NONE)

Margins = list[dict[str, float | None]]


@dataclass(frozen=True)
class Evidence:
    """What Stage 1 and the prototypes say of takes that they have not seen.

    Attributes:
        takes: N; p_base: [N, 4]; margins: of each control, N.
    """

    takes: list[TakeFeatures]
    p_base: np.ndarray
    margins: Mapping[str, Margins]

    @property
    def levels(self) -> np.ndarray:
        """[N] true levels."""
        return np.array([take.clip.level for take in self.takes])

    @property
    def activities(self) -> list[str]:
        """N names."""
        return [take.activity for take in self.takes]


@dataclass(frozen=True)
class FirstStage:
    """A trained Stage 1 with the prototype banks of the same takes.

    Attributes:
        net: gives p_base; banks: of each control and stream.
    """

    net: LookCloser
    banks: Mapping[str, Mapping[str, PrototypeBank]]

    def evidence(self, takes: Sequence[TakeFeatures]) -> Evidence:
        """Of takes of other performers."""
        margins = {
            name: [_margins(take, banks, name) for take in takes]
            for name, banks in self.banks.items()
        }
        p_base = predict(self.net, [take.clip for take in takes])
        return Evidence(list(takes), p_base, margins)


def fit_banks(
    takes: Sequence[TakeFeatures], streams: Sequence[str], fewest: int, seed: int
) -> dict[str, dict[str, PrototypeBank]]:
    """Banks of every control from the training takes, by stream.

    The labels are shuffled between takes of one activity; random prototypes are drawn from a
    standard normal distribution.
    """
    found: dict[str, dict[str, PrototypeBank]] = {name: {} for name in CONTROLS}
    levels = np.array([take.clip.level for take in takes])
    swapped = derangement([take.activity for take in takes], np.random.default_rng([seed, 31]))
    for i, stream in enumerate(streams):
        rows = [(k, z, b) for k, take in enumerate(takes) if stream in take.windows
                for z, b in zip(take.windows[stream].annotated, take.windows[stream].buckets,
                                strict=True)]  # fmt: skip
        if not rows:
            continue
        whose = np.array([k for k, _, _ in rows])
        z, buckets = np.stack([z for _, z, _ in rows]), [b for _, _, b in rows]
        bank = PrototypeBank.fit(z, buckets, levels[whose], fewest=fewest)
        rng = np.random.default_rng([seed, 32, i])
        found[ANNOTATED][stream] = found[PROPOSALS][stream] = bank
        found[SHUFFLED][stream] = PrototypeBank.fit(
            z, buckets, levels[swapped][whose], fewest=fewest
        )
        found[RANDOM][stream] = replace(
            bank, high=rng.normal(size=bank.high.shape), low=rng.normal(size=bank.low.shape)
        )
        found[ACTIVITY][stream] = PrototypeBank.fit(z, _whole(buckets), levels[whose])
    return found


def _whole(buckets: Sequence[Bucket]) -> list[Bucket]:
    """The one bucket of the activity instead of each."""
    return [(activity, "any action") for activity, _ in buckets]


def _margins(
    take: TakeFeatures, banks: Mapping[str, PrototypeBank], control: str
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for stream, bank in banks.items():
        windows = take.windows.get(stream)
        if windows is None:
            found[stream] = None
        elif control == PROPOSALS:
            found[stream] = bank.annotation_free(windows.proposals, take.activity)
        else:
            buckets = windows.buckets
            mine = _whole(buckets) if control == ACTIVITY else list(buckets)
            found[stream] = bank.annotated(windows.annotated, mine)
    return found


def unseen_evidence(
    train: Sequence[TakeFeatures],
    calibration: Sequence[TakeFeatures],
    fit: Callable[[Sequence[TakeFeatures]], FirstStage],
    whole: FirstStage,
) -> Evidence:
    """Evidence to fit Stage 2 on: of the calibration takes, or of `train` out of fold.

    Args:
        fit: trains a first stage; whole: the one of all of `train`.
    """
    if calibration:
        return whole.evidence(calibration)
    fold = folds_by_participant([take.clip.participant for take in train])
    parts = []
    for k in sorted(set(fold.tolist())):
        rest = [take for take, mine in zip(train, fold == k, strict=True) if not mine]
        left = [take for take, mine in zip(train, fold == k, strict=True) if mine]
        parts.append(fit(rest).evidence(left))
    return Evidence(
        [take for part in parts for take in part.takes],
        np.concatenate([part.p_base for part in parts]),
        {name: [m for part in parts for m in part.margins[name]] for name in CONTROLS},
    )


def calibrated(
    fitted_on: Evidence, asked: Evidence, control: str, *, form: Form = "regressions", c: float
) -> tuple[np.ndarray, np.ndarray]:
    """Two heads over v = [p_base; u], with CDFs of their own control.

    Returns:
        [N, 4] of CORAL, and [N, 4] of a multinomial logistic regression with the same penalty:
        how margins enter where there is no CORAL.
    """
    fitted = fit_calibration(
        fitted_on.p_base, fitted_on.margins[control], fitted_on.activities, fitted_on.levels,
        form=form, c=c,
    )  # fmt: skip
    known, v = (
        head_input(
            some.p_base,
            [
                fitted.normal_scores(margins, activity)
                for margins, activity in zip(some.margins[control], some.activities, strict=True)
            ],
        )
        for some in (fitted_on, asked)
    )
    ordinal = level_probabilities(fitted.head.cumulative(v))
    return ordinal, multinomial_head(known, fitted_on.levels, c=c)(v)


def exchanged(takes: Sequence[TakeFeatures], seed: int) -> list[TakeFeatures]:
    """Every take with streams and windows of another one of its activity: what chance gives."""
    order = derangement([take.activity for take in takes], np.random.default_rng([seed, 33]))
    return [
        replace(
            take,
            clip=replace(take.clip, streams=takes[k].clip.streams),
            windows=takes[k].windows,
        )
        for take, k in zip(takes, order, strict=True)
    ]


def nearest_neighbour(
    train: Sequence[TakeFeatures], asked: Sequence[TakeFeatures], modalities: Sequence[str]
) -> np.ndarray:
    """[N, 4], one-hot: the level of the nearest training take of the activity.

    Near in the mean over frames of every modality, in units of its spread in training; a missing
    modality counts as the mean.
    """
    columns, asked_columns = [], []
    for modality in modalities:
        size = next(
            (t.clip.streams[modality].shape[1] for t in train if modality in t.clip.streams), 0
        )
        pooled = [_pooled(t, modality, size) for t in train]
        mean, spread = np.nanmean(pooled, axis=0), np.nanstd(pooled, axis=0) + 1e-6
        columns.append((np.array(pooled) - mean) / spread)
        asked_columns.append(
            (np.array([_pooled(t, modality, size) for t in asked]) - mean) / spread
        )
    known, wanted = (np.nan_to_num(np.hstack(some)) for some in (columns, asked_columns))
    activities = np.array([take.activity for take in train])
    found = np.zeros((len(asked), N_LEVELS))
    for row, take in enumerate(asked):
        mine = np.flatnonzero(activities == take.activity)
        distance = ((known[mine] - wanted[row]) ** 2).sum(axis=1)
        found[row, train[int(mine[distance.argmin()])].clip.level] = 1.0
    return found


def _pooled(take: TakeFeatures, modality: str, size: int) -> np.ndarray:
    frames = take.clip.streams.get(modality)
    return np.full(size, np.nan) if frames is None else frames.mean(axis=0)
