"""The result of `poise eval calibration` as text and as a picture; both name the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.markdown import markdown
from eval.ordinal_heads import HEADS
from eval.tables import number, with_interval

KEYS: Final = ("accuracy", "mae", "ece")
NAMES: Final = ("accuracy", "MAE", "ECE", "accuracy of the surer half")


def name_of(data: Mapping[str, Any], n: int) -> str:
    """The data in words, for pictures and tables."""
    return f"{data['what']}, {n} clips, seed {data['seed']}"


def table(result: Mapping[str, Any]) -> str:
    """The heads as Markdown, each figure with its interval, the floor below."""
    heads, rows = result["heads"], []
    # A stored result has its keys sorted.
    for name in (*HEADS, *(name for name in heads if name not in HEADS)):
        row = heads[name]
        half = next(c for c in row["coverage"] if c["coverage"] >= 0.499)
        cells = (with_interval(row[k]["value"], (row[k]["low"], row[k]["high"])) for k in KEYS)
        rows.append([name, *cells, number(half["accuracy"])])
    rows.append(["majority", number(result["majority"]), number(result["majority_mae"]), "", ""])
    return markdown(["head", *NAMES], rows)


def summary(result: Mapping[str, Any]) -> str:
    """What was measured, and the table; a block of docs/proficiency/calibration.md too."""
    return (
        f"Data: {name_of(result['data'], result['n'])};\n"
        f"{result['performers']} performers, {result['folds']} folds by performer, 95% intervals "
        f"that draw performers;\nECE over {result['binning']}.\n\n{table(result)}"
    )


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
