"""Specificity and actionability: the offline proxies by hand, the judge over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assistant.errors import PoiseError
from eval.metrics import load
from eval.metrics.rubric import actionability, specificity

SCORES = {"Good job.": 1, "Bend the knees at the bottom.": 5, "Hm.": "much"}


@pytest.mark.parametrize(
    ("text", "specific", "actionable"),
    [
        ("Good job, that was nice!", 0.0, 0.0),
        ("The knees cave in at the bottom.", 1.0, 0.0),
        ("Your balance was off.", 0.0, 0.0),
        ("The hips are nice.", 0.5, 0.0),
        ("Push the knees outward.", 1.0, 1.0),
        ("The trunk leans too far forward. You should keep it tall.", 0.5, 0.5),
        ("The legs stop early, so bend them deeper.", 1.0, 1.0),
        ("", 0.0, 0.0),
    ],
)
def test_the_proxies_read_sentence_by_sentence(
    text: str, specific: float, actionable: float
) -> None:
    assert (specificity(text), actionability(text)) == (specific, actionable)


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A small server that speaks the chat protocol and rates known comments."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            comment = json.loads(body["messages"][-1]["content"])["comment"]
            content = json.dumps({"reason": "so it is", "score": SCORES[comment]})
            message = {"role": "assistant", "content": content}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            reply = json.dumps(
                {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                 "choices": [choice]}
            ).encode()  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    server.shutdown()
    server.server_close()


def test_a_judge_behind_an_endpoint(endpoint: tuple[str, list[dict[str, Any]]]) -> None:
    url, seen = endpoint
    found = load("actionability").compute(
        predictions=["Good job.", "Bend the knees at the bottom.", ""], endpoint=url, model="m"
    )
    assert found["actionability_per_sample"] == [0.0, 1.0, 0.0]
    assert (found["actionability_asked"], found["actionability_judged"]) == (2, 2)
    assert found["actionability_method"] == "judge"
    assert len(found["actionability_prompt_sha256"]) == 64
    assert "ACTIONABILITY" in seen[0]["messages"][0]["content"]
    assert seen[0]["temperature"] == 0.0


def test_a_judge_that_answers_nonsense_or_not_at_all(
    endpoint: tuple[str, list[dict[str, Any]]],
) -> None:
    url, _ = endpoint
    with pytest.raises(PoiseError, match=r"refused; got: 1 of 1.*not of the schema"):
        load("specificity").compute(predictions=["Hm."], endpoint=url, model="m")
    with pytest.raises(PoiseError, match="cannot judge by http://127"):
        load("specificity").compute(
            predictions=["Hm."], endpoint="http://127.0.0.1:1/v1", model="m", retries=0
        )
