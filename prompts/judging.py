"""The judge's task: a coaching comment gets 1 to 5 by a rubric, with a reason."""

from collections.abc import Mapping
from typing import Any, Final

from prompts.json_answer import read_json_answer
from prompts.labelling import encode_data
from prompts.render import Message, render_template

RUBRICS: Final = ("specificity", "actionability")
LOWEST: Final = 1
HIGHEST: Final = 5
JUDGE_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "score": {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
    },
    "required": ["reason", "score"],
    "additionalProperties": False,
}


def render_judge_request(rubric: str, text: str) -> list[Message]:
    """Chat messages: the rubric, then the comment as data.

    Raises:
        ValueError: no such rubric.
    """
    if rubric not in RUBRICS:
        raise ValueError(f"unknown rubric; got: {rubric!r}; expected: {', '.join(RUBRICS)}")
    return [
        {"role": "system", "content": render_template("judge_system", rubric=rubric)},
        {"role": "user", "content": encode_data({"comment": text})},
    ]


def parse_judge_json(text: str) -> int:
    """The score 1 to 5 of an answer.

    Raises:
        ValueError: no JSON, or not of the schema.
    """
    return int(read_json_answer(text, JUDGE_SCHEMA)["score"])
