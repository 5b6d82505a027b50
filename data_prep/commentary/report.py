"""The results of `poise data label --evaluate` as text, and as a block of their page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.markdown import markdown


def text_table(result: Mapping[str, Any]) -> str:
    """One result for a terminal."""
    lines = [
        f"{result['file']}: {result['n']} comments, {result['mentioned']} mentioned regions, "
        f"{result['failures']} failures, back end {result['backend']}",
        f"{'region':<8}{'n':>5}{'precision':>11}{'recall':>8}{'F1':>7}  95% interval",
    ]
    for name, row in result["regions"].items():
        low, high = row["f1_interval"]
        lines.append(
            f"{name:<8}{row['n']:>5}{row['precision']:>11.3f}{row['recall']:>8.3f}"
            f"{row['f1']:>7.3f}  {low:.3f} to {high:.3f}"
        )
    lines += [f"{key} {_with_interval(result, key)}" for key in ("micro_f1", "macro_f1")]
    floors = ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in result["floors"].items())
    return "\n".join([*lines, f"floors (micro F1): {floors}"])


def page_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a result, real comments before composed ones."""
    header = ["comments", "back end", "n", "failures", "micro F1", "macro F1", "best constant",
              "majority", "shuffled"]  # fmt: skip
    ordered = sorted(results.values(), key=lambda r: (r["backend"], r["file"], r["lines"]))
    rows = [
        [
            _comments(result),
            result["backend"],
            str(result["n"]),
            str(result["failures"]),
            *(_with_interval(result, key) for key in ("micro_f1", "macro_f1")),
            *(f"{result['floors'][k]:.3f}" for k in ("best_constant", "majority", "shuffled")),
        ]
        for result in ordered
    ]
    return markdown(header, rows)


def _comments(result: Mapping[str, Any]) -> str:
    name = Path(result["file"]).name
    return name if result["lines"] == "all" else f"{name}, {result['lines']} lines"


def _with_interval(result: Mapping[str, Any], key: str) -> str:
    low, high = result[f"{key}_interval"]
    return f"{result[key]:.3f} ({low:.3f} to {high:.3f})"
