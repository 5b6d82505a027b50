"""A model's JSON answer is read where it keeps to the schema, and refused with the place."""

import pytest

from prompts.json_answer import read_json_answer
from prompts.judging import JUDGE_SCHEMA, parse_judge_json


def test_an_answer_that_keeps_to_the_schema() -> None:
    text = '{"reason": "names the knee", "score": 4}'
    assert read_json_answer(text, JUDGE_SCHEMA) == {"reason": "names the knee", "score": 4}
    assert parse_judge_json(text) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Score: 4", "no JSON"),
        ('{"reason": "x", "score": 6}', "not of the schema at score: 6"),
        ('{"score": 4}', "not of the schema at the answer: 'reason'"),
        ("[4]", "not of the schema at the answer"),
    ],
)
def test_what_does_not_keep_to_it_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_judge_json(text)
