"""The JSON answer of a large language model, held against the schema that it was asked for."""

import json
from collections.abc import Mapping
from typing import Any


def read_json_answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The object in an answer.

    Raises:
        ValueError: no JSON, or not of the schema; the message names the first place.
    """
    import jsonschema

    try:
        answer: dict[str, Any] = json.loads(text)
        jsonschema.validate(answer, schema)
    except json.JSONDecodeError as fault:
        raise ValueError(f"no JSON: {fault}") from None
    except jsonschema.ValidationError as fault:
        place = "/".join(map(str, fault.absolute_path)) or "the answer"
        raise ValueError(f"not of the schema at {place}: {fault.message}") from None
    return answer
