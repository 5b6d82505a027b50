"""The output grammar of the commentary and of pose codes: the only writer and the only parser.

    Proficiency Level: Early Expert. Proficiency Commentary:
    Legs (needs improvement): You stop too high.
    Torso (correct): The chest stays up.
    Drill: Pause at the bottom of every rep.

The label comes first (ProfVLM Table 1), so its four strings can be scored after `LABEL_PREFIX`.
For ablations an answer may have another of the `ANSWER_FORMS`: the label as the last line (Table
8), or alone (Table 7). Reading is tolerant: a line that does not fit is dropped and named in
`problems`. The parser returns plain records; the domain's own types are built from them elsewhere.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from prompts.vocabulary import (
    LEVELS,
    POLARITIES,
    POSE_FRAME_END,
    POSE_SEQUENCE_END,
    REGIONS,
    TURN_END,
)

LABEL_PREFIX: Final = "Proficiency Level:"
COMMENTARY_PREFIX: Final = "Proficiency Commentary:"
DRILL_PREFIX: Final = "Drill:"

# What an answer holds, in its order; a model is trained on one of them and saved with its name.
ANSWER_FORMS: Final = ("label_first", "commentary_first", "label_only")
LABEL_FIRST, COMMENTARY_FIRST, LABEL_ONLY = ANSWER_FORMS

# In the text a polarity is written without the underscore; "not mentioned" makes no remark.
REMARK_POLARITIES: Final = POLARITIES[:2]

_LABEL = re.compile(r"\s*Proficiency\s+Level:\s*(?P<level>[^.\n]*)\.?", re.IGNORECASE)
_COMMENTARY = re.compile(r"Proficiency\s+Commentary:", re.IGNORECASE)
_LABEL_LINE = re.compile(r"^[ \t]*Proficiency\s+Level:", re.IGNORECASE | re.MULTILINE)
_REMARK = re.compile(r"(?P<region>\w+)\s*\((?P<polarity>[^()]*)\)\s*:(?P<text>.*)")
_CODE = re.compile(r"<\|pose_(\d+)\|>")


@dataclass(frozen=True)
class ParsedRemark:
    """One remark: a region of `REGIONS`, "needs_improvement" or "correct", and its sentences."""

    region: str
    polarity: str
    text: str


@dataclass(frozen=True)
class ParsedFeedback:
    """What a generated text says.

    Attributes:
        level: one of `LEVELS`, or None where the text names none of them (never a default).
        commentary: everything after `Proficiency Commentary:`, as written.
        remarks: in the order of the text, at most one a region.
        drill: the sentence of the last line, or None.
        problems: what did not fit the grammar; empty for a well-formed text.
    """

    level: str | None
    commentary: str
    remarks: tuple[ParsedRemark, ...]
    drill: str | None
    problems: tuple[str, ...]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def format_label(level: str) -> str:
    """The start of every answer: `Proficiency Level: Novice. Proficiency Commentary:`."""
    if level not in LEVELS:
        raise ValueError(f"unknown level; got: {level!r}; expected: {', '.join(LEVELS)}")
    return f"{LABEL_PREFIX} {level}. {COMMENTARY_PREFIX}"


def answer_start(form: str) -> str:
    """What every answer of a form begins with, whatever the clip."""
    return COMMENTARY_PREFIX if form == COMMENTARY_FIRST else LABEL_PREFIX


def up_to_label(commentary: str) -> str:
    """An answer that comments first, as far as the label's prefix; a label that it has is cut."""
    label = _last_label(commentary)
    body = commentary if label is None else commentary[: label.start()]
    return f"{body.rstrip()}\n{LABEL_PREFIX}"


def format_remark(remark: ParsedRemark) -> str:
    """`Legs (needs improvement): You stop too high.`"""
    text = _one_line(remark.text)
    faults = []
    if remark.region not in REGIONS:
        faults.append(f"region {remark.region!r}, expected {', '.join(REGIONS)}")
    if remark.polarity not in REMARK_POLARITIES:
        faults.append(f"polarity {remark.polarity!r}, expected {', '.join(REMARK_POLARITIES)}")
    if not text:
        faults.append("an empty text")
    if "<|" in text:
        faults.append(f"a special token in {text!r}")
    if faults:
        raise ValueError(f"not a remark; got: {'; '.join(faults)}")
    return f"{remark_header(remark.region, remark.polarity)} {text}"


def remark_header(region: str, polarity: str) -> str:
    """`Legs (needs improvement):`, what a remark begins with."""
    return f"{region.capitalize()} ({polarity.replace('_', ' ')}):"


def format_feedback(
    level: str, remarks: Iterable[ParsedRemark], drill: str | None, form: str = LABEL_FIRST
) -> str:
    """The text of one answer; `parse_feedback` gives the same level, remarks and drill back.

    White space inside a text becomes single spaces, since the grammar is by lines. Of the form
    LABEL_ONLY the label alone is written.

    Raises:
        ValueError: an unknown level, region, polarity or form, an empty text, a region named twice.
    """
    _check_form(form)
    remarks = tuple(remarks)
    regions = [remark.region for remark in remarks]
    twice = sorted({region for region in regions if regions.count(region) > 1})
    if twice:
        raise ValueError(f"one remark a region; got several of: {', '.join(twice)}")
    lines = [*map(format_remark, remarks)]
    if drill is not None:
        if not drill.strip() or "<|" in drill:
            raise ValueError(f"not a drill; got: {drill!r}; expected: a sentence, or None")
        lines.append(f"{DRILL_PREFIX} {_one_line(drill)}")
    return _arranged(level, lines, form)


def format_plain(level: str, text: str, form: str = LABEL_FIRST) -> str:
    """An answer whose commentary is free text, as ProfVLM's (Table 1), on one line.

    Raises:
        ValueError: an unknown level or form, or an empty text.
    """
    _check_form(form)
    if not text.strip():
        raise ValueError(f"not a commentary; got: {text!r}; expected: some words")
    return _arranged(level, [_one_line(text)], form)


def _arranged(level: str, lines: Sequence[str], form: str) -> str:
    """Label and lines of commentary in the order of a form."""
    label = format_label(level)
    if form == LABEL_FIRST:
        return "\n".join([label, *lines])
    alone = f"{LABEL_PREFIX} {level}."
    return alone if form == LABEL_ONLY else "\n".join([COMMENTARY_PREFIX, *lines, alone])


def _check_form(form: str) -> None:
    if form not in ANSWER_FORMS:
        raise ValueError(f"unknown form; got: {form!r}; expected: {', '.join(ANSWER_FORMS)}")


def _last_label(text: str) -> re.Match[str] | None:
    """Where the last line that begins like a label begins."""
    return max(_LABEL_LINE.finditer(text), key=lambda found: found.start(), default=None)


def _read_level(text: str) -> tuple[str | None, list[str]]:
    found = _LABEL.match(text)
    if found is None:
        return None, [f"no {LABEL_PREFIX!r} at the start"]
    name = _one_line(found["level"])
    by_name = {level.lower(): level for level in LEVELS}
    if name.lower() not in by_name:
        return None, [f"unknown level {name!r}, expected {', '.join(LEVELS)}"]
    return by_name[name.lower()], []


def _read_remark(line: str) -> ParsedRemark | str:
    """The remark of a line, or what is wrong with it."""
    found = _REMARK.fullmatch(line)
    if found is None:
        return f"not a remark: {line!r}"
    region = found["region"].lower()
    polarity = "_".join(found["polarity"].lower().replace("_", " ").split())
    text = _one_line(found["text"])
    if region not in REGIONS:
        return f"unknown region in {line!r}, expected {', '.join(REGIONS)}"
    if polarity not in REMARK_POLARITIES:
        return f"unknown polarity in {line!r}, expected {', '.join(REMARK_POLARITIES)}"
    if not text:
        return f"remark without text: {line!r}"
    return ParsedRemark(region, polarity, text)


def _read_lines(body: str) -> tuple[tuple[ParsedRemark, ...], str | None, list[str]]:
    remarks: dict[str, ParsedRemark] = {}
    drill: str | None = None
    problems = []
    for line in filter(None, (line.strip() for line in body.split("\n"))):
        if line.lower().startswith(DRILL_PREFIX.lower()):
            text = _one_line(line[len(DRILL_PREFIX) :])
            if drill is not None or not text:
                problems.append(f"second drill: {line!r}" if text else "drill without text")
            else:
                drill = text
            continue
        remark = _read_remark(line)
        if isinstance(remark, str):
            problems.append(remark)
        elif remark.region in remarks:
            problems.append(f"second remark on {remark.region}: {line!r}")
        else:
            remarks[remark.region] = remark
    return tuple(remarks.values()), drill, problems


def parse_feedback(text: str, form: str = LABEL_FIRST) -> ParsedFeedback:
    """Read one answer; whatever the text, `problems` says what was dropped.

    Args:
        form: one of `ANSWER_FORMS`; fields in another order are missing.
    """
    _check_form(form)
    label, said = _fields(text.split(TURN_END)[0], form)
    level, problems = _read_level(label)
    if form != LABEL_FIRST and (rest := _after_label(label)):
        problems.append(f"after the label: {rest!r}")
    if form == LABEL_ONLY:
        return ParsedFeedback(level, "", (), None, tuple(problems))
    if said is None:
        problems.append(f"no {COMMENTARY_PREFIX!r}")
        return ParsedFeedback(level, "", (), None, tuple(problems))
    remarks, drill, more = _read_lines(said)
    return ParsedFeedback(level, said, remarks, drill, tuple(problems + more))


def remark_first(answer: str, region: str) -> str:
    """An answer, label first, with the remark on a region before the others; as it is where it does
    not fit the grammar or has no such remark."""
    parsed = parse_feedback(answer)
    chosen = [remark for remark in parsed.remarks if remark.region == region]
    if parsed.problems or parsed.level is None or not chosen:
        return answer
    others = [remark for remark in parsed.remarks if remark.region != region]
    return format_feedback(parsed.level, chosen + others, parsed.drill)


def _fields(text: str, form: str) -> tuple[str, str | None]:
    """The part that should begin with the label, and the commentary where there is one."""
    if form == COMMENTARY_FIRST:
        last, first = _last_label(text), _COMMENTARY.match(text.lstrip())
        label = "" if last is None else text[last.start() :]
        body = text[: len(text) - len(label)].lstrip()
        return label, None if first is None else body[first.end() :].strip()
    found = _COMMENTARY.search(text)
    return text, None if found is None else text[found.end() :].strip()


def _after_label(text: str) -> str:
    found = _LABEL.match(text)
    return "" if found is None else text[found.end() :].strip()


def parse_pose_codes(text: str, *, frames: int, tokens_per_frame: int) -> list[list[int]]:
    """Codebook indices [frames, tokens_per_frame] of a generated pose sequence.

    Raises:
        ValueError: another number of frames, or of codes in a frame, or anything beside codes.
    """
    body, end, _ = text.strip().partition(POSE_SEQUENCE_END)
    if not end or not body.endswith(POSE_FRAME_END):
        raise ValueError(
            f"pose codes; got: no end; expected: ...{POSE_FRAME_END}{POSE_SEQUENCE_END}"
        )
    parts: Sequence[str] = body.removesuffix(POSE_FRAME_END).split(POSE_FRAME_END)
    codes = [[int(code) for code in _CODE.findall(part)] for part in parts]
    lengths = [len(frame) for frame in codes]
    if lengths != [tokens_per_frame] * frames or _CODE.sub("", "".join(parts)).strip():
        raise ValueError(
            f"pose codes; got: frames of {lengths} codes; expected: {frames} frames of "
            f"{tokens_per_frame} codes and nothing else"
        )
    return codes
