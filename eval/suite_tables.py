"""Tables of the suites on datasets: every number beside its interval, its floors and n."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from assistant.markdown import markdown
from eval.suite_run import PoseFrom
from eval.tables import number, score_rows, texts_table, with_interval

_LEVEL_ROWS: Final = (
    ("accuracy, top-1", "accuracy", 3),
    ("macro-F1", "macro_f1", 3),
    ("MAE", "mae", 3),
    ("quadratic kappa, of judged", "quadratic_kappa", 3),
    ("ECE, of judged", "ece", 3),
    ("format compliance, of judged", "format_compliance", 3),
)

_POSES: Final = {
    PoseFrom.FILMS: "from the films of the views in question",
    PoseFrom.ANNOTATED: "the dataset's own where it has one, which rests on more than these views",
}


def proficiency_tables(result: Mapping[str, Any]) -> str:
    """The result of `poise eval egoexo4d-proficiency`."""
    parts = []
    for name, figures in result["views"].items():
        rows = score_rows(figures, _LEVEL_ROWS)
        training = number(figures["accuracy_majority_of_training"])
        rows[0][2] += f", majority of training {training}"
        header = [f"views: {name}", "result [95% over participants]", "beside it", "n"]
        parts.append(f"{markdown(header, rows)}\n{counts_line(figures['counts'])}")
    parts.append(_scenarios(result))
    parts.append("\n".join(_notes(result)))
    return "\n\n".join(parts)


def counts_line(counts: Mapping[str, int]) -> str:
    """`asked 3, done 2, judged 2, failed 1`."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def benchmark_notes(result: Mapping[str, Any]) -> list[str]:
    """What the answers rest on, and whether the benchmark allows it."""
    rules = result["benchmark_rules"]
    used = ", ".join(f"{name} ({count})" for name, count in result["inputs_used"].items())
    notes = [f"inputs used (answers): {used or 'none'}", f"pose: {_POSES[result['pose']]}"]
    if not rules["kept"]:
        forbidden = ", ".join(rules["forbidden_inputs_used"])
        notes.append(f"NOT a benchmark result: the benchmark forbids {forbidden}")
    return notes


def _scenarios(result: Mapping[str, Any]) -> str:
    """Accuracy by scenario and view subset."""
    rows = []
    for subset, figures in result["views"].items():
        for name, found in figures["scenarios"].items():
            interval = found["intervals"]["accuracy"]
            floors = ", ".join(
                f"{what} {number(found[f'accuracy_{key}'])}"
                for what, key in (("majority", "majority"), ("shuffled", "shuffled"))
            )
            accuracy = with_interval(found["accuracy"], interval)
            judged = f"{found['counts']['judged']} of {found['n']}"
            rows.append([name, subset, accuracy, floors, judged])
    return markdown(["scenario", "views", "accuracy [95%]", "beside it", "judged"], rows)


def _notes(result: Mapping[str, Any]) -> list[str]:
    """What was read, and what is not there."""
    notes = benchmark_notes(result)
    for kind, names in result["missing"].items():
        if names:
            notes.append(f"{kind.replace('_', ' ')}: {', '.join(names)}")
    for subset, figures in result["views"].items():
        notes += [f"failed ({subset}): {f['id']}: {f['reason']}" for f in figures["failures"]]
    return notes


# Orders of the candidates and motions as printed; floors after the model's own.
_ORDERS: Final = {
    "likelihood": "by likelihood (ExpertAF equation 2)",
    "relative_likelihood": "by likelihood less the unconditional one",
    "fitted": "as Poise shows them",
    "nearest_to_correction": "nearest to the written correction",
    "nearest_neighbour": "floor: nearest to the learner (pairs are mined by this distance)",
    "shuffled": "floor: another learner's demonstration, by likelihood",
    "chance": "floor: chance",
}
_MOTIONS: Final = {
    "correction": "correction (F_g)",
    "retrieved_expert": "the demonstration shown first (the pair's own is a candidate)",
    "copy_learner": "floor: the learner, copied",
    "nearest_expert": "floor: nearest expert",
    "mean_expert": "floor: mean expert",
    "shuffled": "floor: correction against another pair's expert",
    "codec": "ceiling: the paired expert through the tokenizer",
}


def expertaf_tables(result: Mapping[str, Any]) -> str:
    """The result of `poise eval expertaf`."""
    ranks, poses = result["retrieval"], result["correction"]
    keys = list(ranks["orders"]["chance"])
    order_rows = [
        [name, *_figures(ranks["orders"][order], keys), str(ranks["n"])]
        for order, name in _ORDERS.items()
    ]
    header = ["retrieval [95% over participants]", *keys, "n"]
    nothing = {"pa_mpjpe": None, "mpjpe": None, "n": 0}
    motions = {motion: poses["motions"].get(motion, nothing) for motion in _MOTIONS}
    motion_rows = [
        [name, *_figures(motions[motion], ("pa_mpjpe", "mpjpe"), 1), str(motions[motion]["n"])]
        for motion, name in _MOTIONS.items()
    ]
    parts = [
        f"{result['suite']}, split {result['split']}: {counts_line(result['counts'])}",
        texts_table(result) if result["text_n"] else result["text_metrics_not_run"],
        f"{markdown(header, order_rows)}\ncandidates {ranks['candidates']}, "
        f"answered {ranks['answered']}",
        markdown(["corrected pose [95%]", "PA-MPJPE (mm)", "MPJPE (mm)", "n"], motion_rows)
        + f"\nexperts of the floors: {poses['experts_from']}",
    ]
    used = ", ".join(f"{name} ({count})" for name, count in result["inputs_used"].items())
    notes = [f"inputs used (answers): {used or 'none'}"]
    status = ", ".join(f"{name} {count}" for name, count in result["pairs"]["status"].items())
    notes.append(f"review of the pairs: {status}")
    for what in ("not_judged", "without_reference"):
        if result[what]:
            notes.append(f"{what.replace('_', ' ')}: {', '.join(result[what])}")
    notes += [f"failed: {f['id']}: {f['reason']}" for f in result["failures"]]
    return "\n\n".join([*parts, "\n".join(notes)])


def _figures(figures: Mapping[str, Any], keys: Sequence[str], digits: int = 3) -> list[str]:
    intervals = figures.get("intervals", {})
    return [
        with_interval(figures[key], intervals.get(key), 1 if key == "median_rank" else digits)
        for key in keys
    ]
