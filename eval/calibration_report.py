"""The result of `poise eval calibration` as text and as a picture; both name the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.errors import PoiseError
from eval.tables import with_interval


def name_of(data: Mapping[str, Any], n: int) -> str:
    """The data in words, for pictures and tables."""
    return f"{data['what']}, {n} clips, seed {data['seed']}"


def table(result: Mapping[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"{name_of(result['data'], result['n'])}; {result['performers']} performers, "
        f"{result['folds']} folds by performer; ECE over {result['binning']}",
        f"{'head':30}{'accuracy':24}{'MAE':24}{'ECE':24}accuracy at 50% coverage",
    ]
    for name, row in result["heads"].items():
        cells = "".join(
            with_interval(row[key]["value"], (row[key]["low"], row[key]["high"])).ljust(24)
            for key in ("accuracy", "mae", "ece")
        )
        half = next(c for c in row["coverage"] if c["coverage"] >= 0.499)
        lines.append(f"{name:30}{cells}{half['accuracy']:.3f}")
    lines.append(f"{'majority':30}{result['majority']:<24.3f}{result['majority_mae']:<24.3f}")
    return "\n".join(lines)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write reliability and coverage-accuracy curves of the heads as one PNG.

    Raises:
        PoiseError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PoiseError("cannot draw", got=str(error), remedy="pip install matplotlib") from error
    figure = Figure(figsize=(11, 5))
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    for name, row in result["heads"].items():
        bins = row["reliability"]
        label = f"{name}, ECE {row['ece']['value']:.3f}"
        left.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], marker="o",
                  markersize=3, label=label)  # fmt: skip
        curve = row["coverage"]
        right.plot([c["coverage"] for c in curve], [c["accuracy"] for c in curve], marker="o",
                   markersize=3, label=name)  # fmt: skip
    right.axhline(result["majority"], color="grey", linewidth=0.8, linestyle="--")
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", title="Reliability")
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel="share of clips judged",
              ylabel="accuracy of those judged", title="Abstention (dashed: majority)")  # fmt: skip
    left.legend(fontsize=7)
    figure.suptitle(name_of(result["data"], result["n"]), fontsize=9)
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=120, format="png")
    except OSError as fault:
        raise PoiseError(
            f"cannot write {path}", got=str(fault), remedy="name another file"
        ) from fault
