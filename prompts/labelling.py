"""The labelling task: a spoken comment becomes a one-sentence summary and six polarities.

Two dialects. A large language model gets a system prompt, examples and the comment as a JSON
object, and answers with JSON of `LABEL_SCHEMA`. poise-mini, whose vocabulary is small, gets one
line and answers with two:

    Legs (needs improvement). Torso (correct).
    Summary: The knees fall inward, but the chest stays up.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from prompts.hashing import TEMPLATE_FOLDER
from prompts.json_answer import read_json_answer
from prompts.render import Message, escape_user_text, render_template
from prompts.vocabulary import POLARITIES, REGIONS, TURN_END

EXAMPLES_FILE: Final = TEMPLATE_FOLDER / "label_examples.json"
SUMMARY_PREFIX: Final = "Summary:"
NOTHING_JUDGED: Final = "Nothing judged."
MAX_WORDS: Final = 40  # of a summary; large models are asked for 30
_WORD: Final = r'[^ "\\\n\r\t]{1,30}'

# Endpoints differ in which bounds of a string they know; a pattern is known to all. It counts
# words, since xgrammar 0.2.8 (in vLLM) fails on repetitions above some hundred.
LABEL_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "summary": {"type": "string", "pattern": f"^{_WORD}( {_WORD}){{0,{MAX_WORDS - 1}}}$"},
        "regions": {
            "type": "object",
            "properties": {name: {"type": "string", "enum": list(POLARITIES)} for name in REGIONS},
            "required": list(REGIONS),
            "additionalProperties": False,
        },
    },
    "required": ["summary", "regions"],
    "additionalProperties": False,
}

# Decoders count broken characters differently, so the words of a summary are counted here anew.
_CHECKED: Final = {
    **LABEL_SCHEMA,
    "properties": {**LABEL_SCHEMA["properties"], "summary": {"type": "string"}},
}

_REGION = re.compile(r"(?P<region>\w+) \((?P<polarity>[^()]*)\)\.")


@dataclass(frozen=True)
class ParsedLabel:
    """A label as generated: one sentence, and 0, 1 or 2 for each of the six regions."""

    summary: str
    regions: dict[str, int]


def encode_data(fields: Mapping[str, Any]) -> str:
    r"""One JSON object on one line, whose strings cannot end the text around them.

    `<`, `>`, `[` and `]` inside strings are written as \u escapes, so no model's control token,
    tag or fence can be typed in a comment; decoding gives the text back as it was.
    """
    parts = []
    for key, value in fields.items():
        text = json.dumps(value)
        if isinstance(value, str):
            for sign in "<>[]":
                text = text.replace(sign, f"\\u{ord(sign):04x}")
        parts.append(f"{json.dumps(key)}: {text}")
    return "{" + ", ".join(parts) + "}"


@lru_cache(maxsize=1)
def _examples() -> tuple[Message, ...]:
    turns: list[Message] = []
    for example in json.loads(EXAMPLES_FILE.read_text("utf-8")):
        answer = {"summary": example["summary"], "regions": example["regions"]}
        turns += [
            _request(example["comment"], example["activity"]),
            {"role": "assistant", "content": json.dumps(answer)},
        ]
    return tuple(turns)


def _request(comment: str, activity: str | None) -> Message:
    return {"role": "user", "content": encode_data({"activity": activity, "comment": comment})}


def render_label_request(comment: str, activity: str | None = None) -> list[Message]:
    """Chat messages for a large language model: rules, examples, the comment as data."""
    system: Message = {"role": "system", "content": render_template("label_system")}
    return [system, *_examples(), _request(comment, activity)]


def parse_label_json(text: str) -> ParsedLabel:
    """The label of an answer that should follow `LABEL_SCHEMA`.

    Raises:
        ValueError: no JSON, not of the schema (the message names the first place), or a summary
            of no words or too many.
    """
    answer = read_json_answer(text, _CHECKED)
    numbers = {name: POLARITIES.index(answer["regions"][name]) for name in REGIONS}
    return ParsedLabel(_checked_summary(answer["summary"]), numbers)


def render_mini_request(
    comment: str, activity: str | None = None, target: ParsedLabel | None = None
) -> list[Message]:
    """Chat messages for poise-mini; with a `target` a training conversation."""
    name = None if activity is None else escape_user_text(activity.replace("_", " "))
    text = render_template("label_mini", activity=name, comment=escape_user_text(comment))
    messages: list[Message] = [
        {"role": "system", "content": render_template("system")},
        {"role": "user", "content": text},
    ]
    if target is not None:
        messages.append({"role": "assistant", "content": format_mini_label(target)})
    return messages


def format_mini_label(label: ParsedLabel) -> str:
    """The two lines that poise-mini writes; `parse_mini_label` gives the same label back.

    Raises:
        ValueError: an empty or too long summary, other regions than the six.
    """
    summary = _one_line(label.summary)
    fits = 0 < len(summary.split()) <= MAX_WORDS and "<|" not in summary
    if not fits or set(label.regions) != set(REGIONS):
        raise ValueError(
            f"not a label; got: {label}; expected: six regions, 1 to {MAX_WORDS} words of summary"
        )
    said = [
        f"{name.capitalize()} ({POLARITIES[label.regions[name]].replace('_', ' ')})."
        for name in REGIONS
        if POLARITIES[label.regions[name]] != POLARITIES[-1]
    ]
    return f"{' '.join(said) or NOTHING_JUDGED}\n{SUMMARY_PREFIX} {summary}"


def parse_mini_label(text: str) -> ParsedLabel:
    """The label of poise-mini's two lines.

    Raises:
        ValueError: not two such lines; the message says what is wrong.
    """
    lines = [line.strip() for line in text.split(TURN_END)[0].strip().split("\n") if line.strip()]
    if len(lines) != 2 or not lines[1].startswith(SUMMARY_PREFIX):
        raise ValueError(f"not a line of regions and a line {SUMMARY_PREFIX!r}: {text[:80]!r}")
    summary = _checked_summary(lines[1].removeprefix(SUMMARY_PREFIX))
    return ParsedLabel(summary, _read_regions(lines[0]))


def _read_regions(line: str) -> dict[str, int]:
    regions = dict.fromkeys(REGIONS, len(POLARITIES) - 1)
    found = list(_REGION.finditer(line))
    rest = _REGION.sub("", line).strip()
    if rest != ("" if found else NOTHING_JUDGED):
        raise ValueError(f"not a line of regions: {line[:80]!r}")
    for match in found:
        name, polarity = match["region"].lower(), match["polarity"].replace(" ", "_")
        if name not in regions or polarity not in POLARITIES[:-1]:
            raise ValueError(f"unknown region or polarity: {match[0]!r}")
        if regions[name] != len(POLARITIES) - 1:
            raise ValueError(f"a region twice: {match[0]!r}")
        regions[name] = POLARITIES.index(polarity)
    return regions


def _checked_summary(text: str) -> str:
    summary = _one_line(text)
    count = len(summary.split())
    if not 0 < count <= MAX_WORDS:
        raise ValueError(f"summary of {count} words, expected 1 to {MAX_WORDS}")
    return summary


def _one_line(text: str) -> str:
    return " ".join(text.split())
