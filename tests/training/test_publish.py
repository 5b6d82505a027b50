"""Uploading a checkpoint: huggingface_hub's own client against a small hub on this machine."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, constants

from assistant.errors import PoiseError
from training.publish import push_folder

NAME = "someone/poise-test"
FILES = {"README.md": b"# A card\n", "language/model.safetensors": b"weights"}


class Hub(ThreadingHTTPServer):
    """The hub's answers to making a repository and to a commit of small files.

    `refused` names a part of an address that is answered with a status.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.committed: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.refused: dict[str, int] = {}


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        hub = self.server
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        hub.asked.append(self.path)
        hub.tokens.add(self.headers["Authorization"])
        status = next((code for part, code in hub.refused.items() if part in self.path), 200)
        answer: dict[str, Any] = {"error": "refused", "url": f"{hub.address}/{NAME}"}
        if status == 200:
            answer = self.answer(body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, body: bytes) -> dict[str, Any]:
        hub = self.server
        if self.path == "/api/repos/create":
            hub.made.append(json.loads(body))
            return {"url": f"{hub.address}/{NAME}"}
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            return {
                "files": [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in files
                ]
            }
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    hub.committed[value["path"]] = base64.b64decode(value["content"])
            return {"commitUrl": f"{hub.address}/{NAME}/commit/1", "commitOid": "1" * 40}
        return {}  # the card's header is valid

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    server = Hub()
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
    close_session()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_every_file_lies_in_a_private_repository(hub: Hub, exported: Path) -> None:
    assert push_folder(exported, NAME) == f"{hub.address}/{NAME}"
    (made,) = hub.made
    assert (made["organization"], made["name"]) == tuple(NAME.split("/"))
    assert made.get("private") is True or made.get("visibility") == "private"
    assert hub.committed == FILES
    assert sum("/commit/" in path for path in hub.asked) == 1  # all of it or nothing
    assert hub.tokens == {"Bearer hf_test"}


def test_a_repository_that_is_there_takes_another_commit(hub: Hub, exported: Path) -> None:
    hub.refused = {"/api/repos/create": 409}
    push_folder(exported, NAME)
    assert hub.committed == FILES


@pytest.mark.parametrize(("part", "status"), [("/api/repos/create", 401), ("/commit/", 403)])
def test_what_the_hub_refuses_is_one_line(hub: Hub, exported: Path, part: str, status: int) -> None:
    hub.refused = {part: status}
    with pytest.raises(PoiseError, match=f"cannot upload .* to {NAME}; got: .*{status}") as caught:
        push_folder(exported, NAME)
    assert "hf auth login" in str(caught.value) and "\n" not in str(caught.value)
    assert hub.committed == {}
    assert {p.name for p in exported.iterdir()} == {"README.md", "language"}


def test_a_name_that_is_none_and_a_hub_that_is_away_are_one_line(
    hub: Hub, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PoiseError, match=r"cannot upload .* to a/b/c; got: "):
        push_folder(exported, "a/b/c")
    hub.shutdown()
    hub.server_close()
    with pytest.raises(PoiseError, match=f"cannot upload .* to {NAME}; got: "):
        push_folder(exported, NAME)


def test_nothing_is_made_for_a_folder_without_weights(hub: Hub, exported: Path) -> None:
    (exported / "language" / "model.safetensors").unlink()
    with pytest.raises(PoiseError, match="nothing to upload"):
        push_folder(exported, NAME)
    assert hub.asked == []
