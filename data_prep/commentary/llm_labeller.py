"""The back end `llm`: any OpenAI-compatible endpoint, answers constrained to a JSON schema.

    poise data label DATASET -o DIR --backend llm --endpoint http://localhost:8000/v1 --model NAME

Requests run side by side, each with retries and back-off by the official client (429, 5xx,
timeouts; Retry-After is honoured). Every answer is checked against the schema again, whatever the
endpoint promised; one that fails is listed and not cached.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assistant.errors import PoiseError
from data_prep.commentary.cache import AnswerCache, request_key
from data_prep.commentary.labels import Answer, Comment, Failure, Label
from prompts.hashing import prompt_sha256
from prompts.labelling import LABEL_SCHEMA, parse_label_json, render_label_request

if TYPE_CHECKING:
    from openai import AsyncOpenAI

# How the schema is sent: OpenAI's field, vLLM's own, or not at all.
CONSTRAINTS: Final = ("response_format", "structured_outputs", "none")


@dataclass(frozen=True)
class LlmSettings:
    """Where and how to ask.

    Attributes:
        endpoint: base URL, with its `/v1`.
        model: name as the endpoint knows it.
        key_variable: environment variable that holds the key; local servers need none.
        constraint: one of `CONSTRAINTS`.
        concurrency: requests at a time.
        retries: of one request, after the first try.
        timeout: seconds for one try.
        max_tokens: of an answer.
        max_failures: more than these stop the run.
    """

    endpoint: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    constraint: str = "response_format"
    concurrency: int = 8
    retries: int = 5
    timeout: float = 120.0
    max_tokens: int = 400
    max_failures: int = 50

    def __post_init__(self) -> None:
        if self.constraint not in CONSTRAINTS:
            raise PoiseError(
                "unknown constraint", got=repr(self.constraint), expected=", ".join(CONSTRAINTS)
            )


class LlmLabeller:
    """Labels comments through an endpoint; answers that are in the cache are not asked for."""

    name = "llm"

    def __init__(self, settings: LlmSettings, cache: Path) -> None:
        self.settings = settings
        self.cache = cache
        self.prompt_sha256 = prompt_sha256()
        self.asked = 0

    def describe(self) -> dict[str, Any]:
        """Endpoint, model and prompt; requests that had to be sent."""
        return {
            "backend": self.name,
            "endpoint": self.settings.endpoint,
            "model": self.settings.model,
            "constraint": self.settings.constraint,
            "prompt_sha256": self.prompt_sha256,
            "requests": self.asked,
        }

    def label(
        self, comments: Sequence[Comment], progress: Callable[[int, int], None]
    ) -> list[Answer]:
        """One label or failure a comment; the same words on the same activity are asked once.

        Raises:
            PoiseError: the endpoint cannot be used at all, or too many comments failed.
        """
        requests = {comment: self._request(comment) for comment in dict.fromkeys(comments)}
        keys = {comment: request_key(request) for comment, request in requests.items()}
        by_key = {keys[comment]: request for comment, request in requests.items()}
        with AnswerCache(self.cache) as cache:
            answers = asyncio.run(_Run(self, cache, by_key, progress).answers())
        return [answers[keys[comment]] for comment in comments]

    def _request(self, comment: Comment) -> dict[str, Any]:
        schema = dict(LABEL_SCHEMA)
        request: dict[str, Any] = {
            "model": self.settings.model,
            "messages": render_label_request(comment.text, comment.activity),
            "temperature": 0.0,
            "max_tokens": self.settings.max_tokens,
        }
        if self.settings.constraint == "response_format":
            form = {"name": "label", "schema": schema, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self.settings.constraint == "structured_outputs":
            request["extra_body"] = {"structured_outputs": {"json": schema}}
        return request


class _Run:
    """One run over the requests: workers take them from a list until it is empty."""

    def __init__(
        self,
        labeller: LlmLabeller,
        cache: AnswerCache,
        requests: dict[str, dict[str, Any]],
        progress: Callable[[int, int], None],
    ) -> None:
        self.labeller = labeller
        self.settings = labeller.settings
        self.cache = cache
        self.requests = requests
        self.progress = progress
        self.found: dict[str, Answer] = {}
        self.failures = 0

    async def answers(self) -> dict[str, Answer]:
        """The answer to every request, by its key."""
        for key in self.requests:
            stored = self.cache.get(key)
            if stored is not None:
                answer = read_answer(stored)
                if isinstance(answer, Label):
                    self._keep(key, answer)
        todo = [key for key in self.requests if key not in self.found]
        if not todo:
            return self.found
        from openai import AsyncOpenAI

        async with AsyncOpenAI(
            base_url=self.settings.endpoint,
            api_key=os.environ.get(self.settings.key_variable) or "none",
            max_retries=self.settings.retries,
            timeout=self.settings.timeout,
        ) as client:
            todo.reverse()  # workers take from the end
            count = min(self.settings.concurrency, len(todo))
            workers = [asyncio.create_task(self._work(client, todo)) for _ in range(count)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        return self.found

    async def _work(self, client: "AsyncOpenAI", todo: list[str]) -> None:
        while todo:
            key = todo.pop()
            answer = await self._ask(client, key)
            self._keep(key, answer)
            if isinstance(answer, Failure):
                self._count_failure(answer)

    def _keep(self, key: str, answer: Answer) -> None:
        self.found[key] = answer
        self.progress(len(self.found), len(self.requests))

    def _count_failure(self, failure: Failure) -> None:
        self.failures += 1
        if self.failures > self.settings.max_failures:
            raise PoiseError(
                "stopped labelling: too many comments failed",
                got=f"{self.failures} failures, the last: {failure.reason}",
                expected=f"at most {self.settings.max_failures}",
                remedy="mend the cause or raise --max-failures; answers so far are cached",
            )

    async def _ask(self, client: "AsyncOpenAI", key: str) -> Answer:
        import openai

        self.labeller.asked += 1
        try:
            reply = await client.chat.completions.create(**self.requests[key])
        except (
            openai.AuthenticationError,
            openai.PermissionDeniedError,
            openai.NotFoundError,
        ) as fault:
            raise self._unusable(fault) from fault
        except openai.APIConnectionError as fault:
            # Without a single answer it is the endpoint that is wrong, not the comment.
            if not any(isinstance(answer, Label) for answer in self.found.values()):
                raise self._unusable(fault) from fault
            return Failure(f"no answer: {fault}")
        except openai.OpenAIError as fault:
            return Failure(f"no answer: {fault}")
        if not reply.choices or reply.choices[0].message.content is None:
            return Failure("an empty answer")
        text = reply.choices[0].message.content
        answer = read_answer(text)
        if isinstance(answer, Label):
            self.cache.put(
                key, text, model=self.settings.model, prompt_sha256=self.labeller.prompt_sha256
            )
        elif reply.choices[0].finish_reason == "length":
            return Failure(f"an answer cut at {self.settings.max_tokens} tokens")
        return answer

    def _unusable(self, fault: Exception) -> PoiseError:
        cause = f" ({fault.__cause__})" if fault.__cause__ else ""
        return PoiseError(
            f"cannot label by {self.settings.endpoint}",
            got=f"{fault}{cause}",
            expected=f"an OpenAI-compatible endpoint that serves {self.settings.model}",
            remedy=f"check --endpoint, --model and the key in ${self.settings.key_variable}",
        )


def read_answer(text: str) -> Answer:
    """The label of an answer's text, or why it is refused."""
    try:
        parsed = parse_label_json(text)
    except ValueError as fault:
        return Failure(f"refused, {fault}")
    return Label(parsed.summary, parsed.regions)
