"""The feedback record as text for people."""

from collections.abc import Mapping
from typing import Any

from assistant.web.wording import triangulation
from prompts.vocabulary import LEVELS, NEEDS_IMPROVEMENT, POLARITIES

SIGNS = {POLARITIES[NEEDS_IMPROVEMENT]: "to improve", "correct": "good"}


def describe(record: Mapping[str, Any]) -> str:
    """Several lines: activity, level, what to fix first, remarks with evidence, demonstration."""
    clip, activity = record["clip"], record["activity"]
    lines = [f"{clip['id']} ({clip['duration']:.1f} s)"]
    if not record["judged"]:
        lines += ["Not judged.", record["abstain_reason"], *_pose(record), *_measurements(record)]
        return "\n".join(lines)
    found = record["proficiency"]
    lines.append(f"Activity: {_words(activity['name'])} ({activity['probability']:.0%})")
    chances = ", ".join(f"{n} {p:.0%}" for n, p in zip(LEVELS, found["probabilities"], strict=True))
    lines.append(f"Level: {found['level']} ({chances})")
    lines.append(f"       {record['provenance']['level_basis']}")
    if record["focus"]:
        first = record["remarks"][record["focus"]["remark"]]
        lines.append(f"Fix first: {first['text']}")
        if record["focus"]["drill"]:
            lines.append(f"Practise: {record['focus']['drill']}")
    lines.append("Remarks:")
    lines += [_remark(remark) for remark in record["remarks"]]
    if record["demonstrations"]:
        best = record["demonstrations"][0]
        lines.append(f"Watch: {best['id']} ({best['pa_mpjpe_mm']:.0f} mm from your motion)")
    elif record["demonstration_reason"]:
        lines.append(record["demonstration_reason"])
    corrected = record["correction"]
    lines.append(
        f"Corrected pose: {corrected['start']:.1f} to {corrected['end']:.1f} s, "
        f"{corrected['pa_mpjpe_to_learner_mm']:.0f} mm from yours; level by the scores "
        f"{corrected['level_before']} -> {corrected['level_after']}"
    )
    return "\n".join([*lines, *_pose(record), *_measurements(record)])


def _pose(record: Mapping[str, Any]) -> list[str]:
    found = record["provenance"].get("triangulation")
    return [f"Pose: {triangulation(found)}"] if found else []


def _words(name: str) -> str:
    return name.replace("_", " ")


def _remark(remark: Mapping[str, Any]) -> str:
    when = f" [{remark['start']:.1f}-{remark['end']:.1f} s]" if remark["start"] is not None else ""
    line = f"  {remark['region']} ({SIGNS[remark['polarity']]}){when}: {remark['text']}"
    shown = remark["evidence"]
    if shown:
        verdict = "supported" if remark["supported"] else "not supported by the measurement"
        mine = f"{_short(shown['value'])} ± {_short(shown['error'])} {shown['unit']}"
        experts = f"{_short(shown['expert_mean'])} ± {_short(shown['expert_std'])}"
        line += (
            f"\n      {_words(shown['quantity'])} {mine}, simulated experts {experts}: {verdict}"
        )
    return line


def _measurements(record: Mapping[str, Any]) -> list[str]:
    rows = [
        f"  {_words(m['quantity'])}: {m['value']:.1f} ± {m['error']:.1f} {m['unit']}"
        for m in record["measurements"]
    ]
    return ["Measurements:", *rows] if rows else []


def _short(value: float) -> str:
    """Whole numbers from ten on, else one decimal."""
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"
