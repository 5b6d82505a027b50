"""Tables of the suites on datasets: every number beside its interval, its floors and n."""

from collections.abc import Mapping
from typing import Any, Final

from eval.tables import markdown, number, score_rows, with_interval

_LEVEL_ROWS: Final = (
    ("accuracy, top-1", "accuracy", 3),
    ("macro-F1", "macro_f1", 3),
    ("MAE", "mae", 3),
    ("quadratic kappa, of judged", "quadratic_kappa", 3),
    ("ECE, of judged", "ece", 3),
    ("format compliance, of judged", "format_compliance", 3),
)


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
    rules = result["benchmark_rules"]
    used = ", ".join(f"{name} ({count})" for name, count in result["inputs_used"].items())
    notes = [f"inputs used (answers): {used or 'none'}"]
    if not rules["kept"]:
        forbidden = ", ".join(rules["forbidden_inputs_used"])
        notes.append(f"NOT a benchmark result: the benchmark forbids {forbidden}")
    for kind, names in result["missing"].items():
        if names:
            notes.append(f"{kind.replace('_', ' ')}: {', '.join(names)}")
    for subset, figures in result["views"].items():
        notes += [f"failed ({subset}): {f['id']}: {f['reason']}" for f in figures["failures"]]
    return notes
