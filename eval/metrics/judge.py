"""A language model as judge of texts, behind any OpenAI-compatible endpoint."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from assistant.errors import PoiseError
from prompts.hashing import prompt_sha256
from prompts.judging import HIGHEST, JUDGE_SCHEMA, LOWEST, parse_judge_json, render_judge_request

# A run with more failures than this share says nothing about the texts.
MOST_FAILED: Final = 0.05


@dataclass(frozen=True)
class JudgeSettings:
    """Where and how to ask.

    Attributes:
        endpoint: base URL, with its `/v1`; model: name as the endpoint knows it.
        key_variable: environment variable that holds the key; local servers need none.
        concurrency: requests at a time; retries: of one request; timeout: seconds for one try.
    """

    endpoint: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    concurrency: int = 8
    retries: int = 5
    timeout: float = 120.0


def judge(rubric: str, texts: Sequence[str], settings: JudgeSettings) -> dict[str, Any]:
    """Scores of the texts, 1 to 5 laid on 0 to 1; an empty text is not asked about and scores 0.

    Returns:
        scores (None where no valid answer came), asked, judged, endpoint, model, prompt_sha256.

    Raises:
        PoiseError: the endpoint cannot be used, or more than one answer in twenty was refused.
    """
    import openai

    client = openai.OpenAI(
        base_url=settings.endpoint,
        api_key=os.environ.get(settings.key_variable) or "none",
        max_retries=settings.retries,
        timeout=settings.timeout,
    )
    form = {"name": "rating", "schema": dict(JUDGE_SCHEMA), "strict": True}

    def ask(text: str) -> float | str:
        request: dict[str, Any] = {
            "model": settings.model,
            "messages": render_judge_request(rubric, text),
            "temperature": 0.0,
            "max_tokens": 200,
            "response_format": {"type": "json_schema", "json_schema": form},
        }
        reply = client.chat.completions.create(**request)
        try:
            score = parse_judge_json(reply.choices[0].message.content or "")
        except ValueError as fault:
            return str(fault)
        return (score - LOWEST) / (HIGHEST - LOWEST)

    todo = [i for i, text in enumerate(texts) if text.strip()]
    try:
        with client, ThreadPoolExecutor(settings.concurrency) as pool:
            answers = list(pool.map(ask, (texts[i] for i in todo)))
    except openai.OpenAIError as fault:
        raise PoiseError(
            f"cannot judge by {settings.endpoint}",
            got=str(fault),
            expected=f"an OpenAI-compatible endpoint that serves {settings.model}",
            remedy=f"check endpoint, model and the key in ${settings.key_variable}",
        ) from fault
    refused = [answer for answer in answers if isinstance(answer, str)]
    if len(refused) > MOST_FAILED * len(todo):
        raise PoiseError(
            "too many of the judge's answers were refused",
            got=f"{len(refused)} of {len(todo)}, the first: {refused[0]}",
        )
    scores: list[float | None] = [0.0] * len(texts)
    for i, answer in zip(todo, answers, strict=True):
        scores[i] = None if isinstance(answer, str) else answer
    return {
        "scores": scores,
        "asked": len(todo),
        "judged": len(todo) - len(refused),
        "endpoint": settings.endpoint,
        "model": settings.model,
        "prompt_sha256": prompt_sha256(),
    }
