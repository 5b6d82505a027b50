"""After training: the in-distribution test, and accuracies on performers never seen."""

import numpy as np
import torch

from assistant.video.encoder import VideoEncoder
from assistant.video.normality import Normality
from training.video_heads import POSE_SCALE, TrainingHeads
from training.video_windows import IGNORE, Windows, foreign_films

VIEW_NAMES = ("ego", "exo")


@torch.inference_mode()
def fit_and_report(
    encoder: VideoEncoder, heads: TrainingHeads, train: Windows, held_out: Windows, seed: int
) -> dict[str, float]:
    """Fit the in-distribution test and report on held-out performers.

    Half of the held-out performers set the threshold, the other half measure it.
    """
    rng = np.random.default_rng([seed, 3])
    some = np.sort(rng.permutation(len(train))[:1500])
    classes = train.activity[some] * len(VIEW_NAMES) + train.view[some]
    features, said = _predict(encoder, heads, held_out)
    performers = rng.permutation(np.unique(held_out.participant))
    sets = np.isin(held_out.participant, performers[: (len(performers) + 1) // 2])
    measures = ~sets if (~sets).any() else sets
    encoder.normality = Normality.fit(
        encoder.encode(train.frames[some]),
        classes,
        features[sets],
        direction=heads.rendered.weight[0].detach().numpy(),
    )
    report: dict[str, float] = {"held_out_windows": float(len(held_out))}
    for number, view in enumerate(VIEW_NAMES):
        rows = held_out.view == number
        report |= _accuracies(view, said, held_out.select(rows), rows)
    foreign = encoder.encode(foreign_films(held_out.frames, rng))
    report["accepted_renderings"] = float(encoder.in_distribution(features[measures]).mean())
    report["accepted_foreign"] = float(encoder.in_distribution(foreign).mean())
    return report


def _predict(
    encoder: VideoEncoder, heads: TrainingHeads, windows: Windows
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Features [N, D] and what the heads say, without varied colours."""
    features, said = [], []
    for start in range(0, len(windows), 32):
        films = windows.frames[start : start + 32]
        tokens = encoder.tokens(torch.stack([encoder.preprocess(film) for film in films]))
        features.append(tokens.mean(dim=(1, 2)).numpy())
        said.append(heads(tokens))
    together = {key: torch.cat([part[key] for part in said]).numpy() for key in said[0]}
    return np.concatenate(features), together


def _accuracies(
    view: str, said: dict[str, np.ndarray], truth: Windows, rows: np.ndarray
) -> dict[str, float]:
    """Accuracy and majority of one view, and the pose head's mean joint error in millimetres."""
    known = truth.level != IGNORE
    out = {}
    for name, target, mask in (
        ("activity", truth.activity, np.ones(len(truth), bool)),
        ("level", truth.level, known),
    ):
        if mask.any():
            guess = said[name][rows].argmax(axis=-1)
            out[f"{view}_{name}_accuracy"] = float((guess == target)[mask].mean())
            out[f"{view}_{name}_majority"] = float(np.bincount(target[mask]).max() / mask.sum())
    decided = truth.polarity != IGNORE
    if decided.any():
        faulty = said["regions"][rows].argmax(axis=-1) == 0
        real = truth.polarity == 0
        hits = float((faulty & real & decided).sum())
        out[f"{view}_fault_f1"] = 2 * hits / max(float((faulty & decided).sum() + real.sum()), 1.0)
    error = said["pose"][rows] * POSE_SCALE - truth.joints
    out[f"{view}_pose_mm"] = float(np.linalg.norm(error, axis=-1).mean() * 1000)
    return out
