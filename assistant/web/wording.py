"""How the report puts values into words, and where its small bars start and end (in percent)."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prompts.vocabulary import REGIONS

_UNITS = {"deg": "°", "degrees": "°", "deg/s": " °/s", "ratio": "", "": ""}
_ENDINGS = {
    "min": "lowest",
    "max": "highest",
    "mean": "average",
    "std": "spread",
    "range": "range",
}
_UNMARKED_WORDS = {"pa": "PA", "mpjpe": "MPJPE", "rms": "RMS"}


def quantity_name(name: str) -> str:
    """`knee_flexion_min` -> `Knee flexion (lowest)`; other names lose only their underscores."""
    words = [_UNMARKED_WORDS.get(word, word) for word in str(name).split("_") if word]
    if not words:
        return str(name)
    ending = f" ({_ENDINGS[words.pop()]})" if len(words) > 1 and words[-1] in _ENDINGS else ""
    sentence = " ".join(words)
    return sentence[:1].upper() + sentence[1:] + ending


def label(name: str) -> str:
    """`basketball_free_throw` -> `Basketball free throw`."""
    text = str(name).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def unit_name(unit: str | None) -> str:
    """The sign written behind a number, with the space that it needs."""
    unit = "" if unit is None else str(unit)
    return _UNITS.get(unit, f" {unit}")


def decimals(error: float | None, value: float) -> int:
    """Decimals worth printing: as many as the error (or else the value) has meaning for."""
    scale = abs(error) if error else abs(value) / 10
    if scale >= 5:
        return 0
    if scale >= 0.5:
        return 1
    return 2 if scale >= 0.05 else 3


def measure(value: float | None, unit: str | None, error: float | None = None) -> str:
    """`118 ± 6°`; a missing value is a dash, never a zero."""
    if value is None:
        return "–"
    digits = decimals(error, value)
    text = f"{value:.{digits}f}"
    if error is not None:
        text += f" ± {error:.{digits}f}"
    return (text + unit_name(unit)).replace("-", "\N{MINUS SIGN}")


def seconds(value: float | None) -> str:
    """`1.40 s`, or a dash."""
    return "–" if value is None else f"{value:.2f} s"


def percent(share: float | None) -> str:
    """`97%`; shares below half a percent stay visible as `<1%`."""
    if share is None:
        return "–"
    if 0 < share < 0.005:
        return "<1%"
    return f"{100 * share:.0f}%"


def number(value: Any) -> str:
    """A number of the provenance or of a score, short, or the text as it is."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
    if isinstance(value, list | tuple):
        return ", ".join(number(item) for item in value) or "none"
    return str(value)


def triangulation(found: Mapping[str, Any]) -> str:
    """How well the views agree, for people."""
    return (
        f"{found['views']} views, {percent(found['kept_share'])} of {found['observations']} "
        f"landmarks kept, median reprojection error {found['reprojection_px_median']:.1f} px "
        f"(all landmarks {found['reprojection_px_median_all']:.1f} px), bone lengths vary by at "
        f"most {found['bone_std_mm']:.0f} mm"
    )


def place(low: float, high: float, start: float, end: float) -> dict[str, float]:
    """Left edge and width, in percent, of [start, end] on an axis from low to high, clipped."""
    span = high - low if high > low else 1.0
    left = min(max((start - low) / span, 0.0), 1.0)
    right = min(max((end - low) / span, left), 1.0)
    return {"left": round(100 * left, 2), "width": round(100 * (right - left), 2)}


def evidence_chart(evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    """Places of the learner's value ± error and of the experts' mean ± std on a common axis."""
    value, mean = evidence.get("value"), evidence.get("expert_mean")
    if value is None or mean is None:
        return None
    error, std = evidence.get("error") or 0.0, evidence.get("expert_std") or 0.0
    low, high = min(value - error, mean - std), max(value + error, mean + std)
    margin = 0.12 * (high - low) if high > low else 1.0
    low, high = low - margin, high + margin
    return {
        "experts": place(low, high, mean - std, mean + std),
        "mean": place(low, high, mean, mean),
        "error": place(low, high, value - error, value + error),
        "value": place(low, high, value, value),
    }


def measurement_charts(measurements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
    """One bar per measurement; measurements of the same unit share one axis, which is stated."""
    rows = list(measurements)
    axes: dict[str, tuple[float, float]] = {}
    for row in rows:
        if row.get("value") is None:
            continue
        error = row.get("error") or 0.0
        unit = str(row.get("unit"))
        low, high = axes.get(unit, (0.0, 0.0))
        axes[unit] = (min(low, row["value"] - error), max(high, row["value"] + error))
    charts: list[dict[str, Any] | None] = []
    for row in rows:
        if row.get("value") is None:
            charts.append(None)
            continue
        low, high = axes[str(row.get("unit"))]
        error = row.get("error") or 0.0
        charts.append(
            {
                "bar": place(low, high, min(0.0, row["value"]), max(0.0, row["value"])),
                "error": place(low, high, row["value"] - error, row["value"] + error),
            }
        )
    return charts


def group_remarks(
    remarks: list[Mapping[str, Any]], focus_region: str | None
) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Remarks by region: the focus first, then what needs improvement, then what is correct."""

    def rank(region: str) -> tuple[bool, bool, int]:
        needs = any(r["polarity"] == "needs_improvement" for r in remarks if r["region"] == region)
        return (region != focus_region, not needs, REGIONS.index(region))

    present = {remark["region"] for remark in remarks}
    return [
        (region, [r for r in remarks if r["region"] == region])
        for region in sorted(present, key=rank)
    ]


def region_states(remarks: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Every region's state on the figure: `fix` wins over `good`, without a remark `none`."""
    states = dict.fromkeys(REGIONS, "none")
    for remark in remarks:
        if remark["polarity"] == "needs_improvement":
            states[remark["region"]] = "fix"
        elif states[remark["region"]] == "none":
            states[remark["region"]] = "good"
    return states


def axis_ticks(duration: float) -> list[dict[str, float]]:
    """At most eight round times along the timeline, each with its place in percent."""
    steps = (0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)
    step = next((s for s in steps if duration / s <= 7), 1800)
    count = int(duration / step) + 1
    return [
        {"time": i * step, "left": round(100 * i * step / duration, 2)}
        for i in range(count)
        if i * step <= 0.94 * duration
    ]


def stack_spans(items: Iterable[Mapping[str, Any]], duration: float) -> dict[str, Any]:
    """Bars of one timeline row; spans that overlap get rows of their own below each other."""
    ends: list[float] = []
    bars = []
    timed = [i for i in items if i.get("start") is not None and i.get("end") is not None]
    for item in sorted(timed, key=lambda item: (item["start"], item["end"])):
        row = next((i for i, end in enumerate(ends) if end <= item["start"]), len(ends))
        ends[row : row + 1] = [item["end"]]
        bars.append((item, place(0, duration, item["start"], item["end"]) | {"row": row}))
    return {"rows": max(len(ends), 1), "bars": bars}


def sentences(text: str) -> tuple[str, str]:
    """The first sentence and the rest: the reason stands big, the advice below it."""
    first, *rest = re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(text.split()), maxsplit=1)
    return first, rest[0] if rest else ""
