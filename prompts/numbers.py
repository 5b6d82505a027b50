"""The numbers of Stage 1 and 2 in the prompt: as one token each, as digits, or not at all.

`<|score|>` stands for the 14 proficiency numbers and `<|regions|>` for the 18 of the regions
(`prompts.vocabulary`). As digits the same numbers are text with two decimals, so that each is
within 0.005 of what the token is made from; a stream without a margin is named as missing.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from prompts.render import render_template
from prompts.vocabulary import LEVELS, PLACEHOLDERS, REGIONS

NUMBER_FORMS: Final = ("token", "digits", "none")
# How many numbers each modality has; no other modality is made of numbers.
NUMERIC: Final = {"score": 14, "regions": 18}
DECIMALS: Final = 2
STREAMS: Final = ("ego", "exo", "pose")


def render_numbers(modality: str, values: Iterable[float] | None, form: str) -> str:
    """The piece of the prompt that gives the numbers; empty where it says nothing of them.

    Args:
        modality: "score" [p_base(4), q(3), u of ego, exo, pose, presence of ego, exo, gaze, pose]
            or "regions" [6 x (needs improvement, correct, not mentioned)], flat.
        values: its numbers, or None where the clip has none.
        form: one of `NUMBER_FORMS`.

    Raises:
        ValueError: an unknown form, another number of numbers, or one that is not finite.
    """
    if form not in NUMBER_FORMS:
        raise ValueError(f"unknown form of numbers; got: {form!r}; expected: {NUMBER_FORMS}")
    if values is None or form == "none":
        return ""
    if form == "token":
        return PLACEHOLDERS[modality]
    numbers = [float(value) for value in values]
    if len(numbers) != NUMERIC[modality] or not all(map(math.isfinite, numbers)):
        wanted = f"{NUMERIC[modality]} finite numbers"
        raise ValueError(f"cannot render {modality}; got: {numbers}; expected: {wanted}")
    return _score_digits(numbers) if modality == "score" else _region_digits(numbers)


def _digits(value: float) -> str:
    return f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"  # + 0.0: never "-0.00"


def _score_digits(numbers: Sequence[float]) -> str:
    """`Novice 0.61, ...; at least Early Expert 0.39, ...; margin ego missing, ...`"""
    p_base, q, u, presence = numbers[:4], numbers[4:7], numbers[7:10], numbers[10:]
    ego, exo, gaze, pose = (bool(flag) for flag in presence)
    said = [
        _digits(value) if there else "missing"
        for value, there in zip(u, (ego, exo, pose), strict=True)
    ]
    return render_template(
        "score_digits",
        levels=[f"{name} {_digits(p)}" for name, p in zip(LEVELS, p_base, strict=True)],
        at_least=[f"{name} {_digits(p)}" for name, p in zip(LEVELS[1:], q, strict=True)],
        margins=[f"{name} {margin}" for name, margin in zip(STREAMS, said, strict=True)],
        gaze="present" if gaze else "missing",
    )


def _region_digits(numbers: Sequence[float]) -> str:
    """`(needs improvement, correct, not mentioned) head 0.10 0.20 0.70, ...`"""
    rows = [map(_digits, numbers[i * 3 : i * 3 + 3]) for i in range(len(REGIONS))]
    return render_template(
        "regions_digits",
        regions=[" ".join([name, *row]) for name, row in zip(REGIONS, rows, strict=True)],
    )
