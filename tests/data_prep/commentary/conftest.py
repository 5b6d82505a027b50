"""An HTTP endpoint of ours for what a well-behaved model server cannot be asked to do."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from prompts.vocabulary import REGIONS

# Status, headers, content of the answer's message (or of an error).
Reply = tuple[int, dict[str, str], str]


def good_answer(**regions: str) -> str:
    """The text of a valid answer."""
    said = dict.fromkeys(REGIONS, "not_mentioned") | regions
    return json.dumps({"summary": "The knees bend well.", "regions": said})


class Endpoint:
    """Serves `/v1/chat/completions` by a function of (comment, how often it was asked before)."""

    def __init__(self) -> None:
        self.reply: Callable[[str, int], Reply] = lambda comment, before: (200, {}, good_answer())
        self.delay = 0.0
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []
        self.running = 0
        self.most_running = 0
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    def comments(self) -> list[str]:
        """The comment of every request, in the order of their coming."""
        return [json.loads(r["messages"][-1]["content"])["comment"] for r in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        request = json.loads(handler.rfile.read(length))
        comment = json.loads(request["messages"][-1]["content"])["comment"]
        with self._lock:
            before = self.comments().count(comment)
            self.requests.append(request)
            self.keys.append(handler.headers["Authorization"])
            self.times.append(time.monotonic())
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        time.sleep(self.delay)
        status, headers, text = self.reply(comment, before)
        with self._lock:
            self.running -= 1
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        }
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
        body |= {"choices": [choice]} if status == 200 else {"error": {"message": text}}
        data = json.dumps(body).encode()
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client had waited long enough, or was killed


@pytest.fixture
def endpoint():
    served = Endpoint()
    yield served
    served.server.shutdown()
    served.server.server_close()
