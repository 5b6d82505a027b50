"""Models, coaching, the OpenAPI document and the counts, over HTTP."""

import io
import subprocess
import sys
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import jsonschema
import numpy as np
import openai
import pytest

from assistant import cli
from assistant.coach import Coach
from assistant.demos.store import DemoStore
from assistant.errors import PoiseError
from assistant.feedback import validate
from assistant.pose.read import read_pose
from assistant.serving.own_server import ServerProcess
from assistant.serving.run import load
from assistant.serving.settings import ServeSettings

from .conftest import DEMO, MODEL, WAIT, file_part

CLIP = DEMO / "squat_demo.npz"


def test_models(server) -> None:
    assert [model.id for model in server.openai.models.list()] == [MODEL]
    assert server.openai.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError, match="expected: poise-mini"):
        server.openai.models.retrieve("gpt-4o")


def test_an_idle_connection_is_the_clients_to_close(server) -> None:
    """The openai package asks again on a connection that was idle for up to 5 s; the question is
    lost if the server closes it at that moment."""
    place = urlsplit(server.url)
    connection = HTTPConnection(place.hostname, place.port, timeout=WAIT)
    for pause in (0.0, 5.5):
        time.sleep(pause)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
        assert connection.sock is not None  # http.client would open a new one unasked
    connection.close()


def test_files_come_back_as_they_were(server) -> None:
    given = server.openai.files.create(file=("a.npz", b"PK-bytes"), purpose="user_data")
    assert (given.bytes, given.filename, given.object) == (8, "a.npz", "file")
    assert server.openai.files.content(given.id).read() == b"PK-bytes"
    assert given.id in [f.id for f in server.openai.files.list()]
    assert server.openai.files.delete(given.id).deleted


def test_coaching_is_the_record_of_the_command_line(server, tmp_path: Path) -> None:
    with (DEMO / "squat_demo.npz").open("rb") as file:
        given = server.openai.files.create(file=file, purpose="user_data")
    body = {"clip": [file_part(given.id)], "seed": 7}
    answer = server.http.post("/v1/coach", json=body)
    assert answer.status_code == 200
    record = answer.json()
    validate(record)
    assert record["judged"] and record["clip"]["id"] == "squat_demo"
    assert record["provenance"]["engine"] == "transformers" and record["provenance"]["seed"] == 7
    chat = server.openai.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": [file_part(given.id)]}]
    )
    text = chat.choices[0].message.content
    assert record["proficiency"]["level"] == chat.model_extra["poise"]["level"]
    assert all(remark["text"] in text for remark in record["remarks"])
    corrected = server.http.get(record["correction"]["pose"])
    path = tmp_path / "correction.npz"
    path.write_bytes(corrected.content)
    assert len(read_pose(path)) == round(2 * record["correction"]["fps"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("film.mp4", b"no film at all", "film.mp4"),
        ("pose.npz", b"no archive at all", "pose.npz"),
        ("pose.json", b"[]", "pose.json"),
    ],
)
def test_a_clip_that_cannot_be_read_says_why(server, name: str, content: bytes, said: str) -> None:
    given = server.openai.files.create(file=(name, content), purpose="user_data")
    answer = server.http.post("/v1/coach", json={"clip": [file_part(given.id)]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "clip_unusable" and said in error["message"]
    assert str(server.service.store.folder) not in error["message"]


def test_pickled_objects_are_refused(server) -> None:
    file = io.BytesIO()
    joints = np.array([{"a": 1}] * 30, dtype=object)
    np.savez(file, joints=joints, fps=30.0)
    given = server.openai.files.create(file=("pose.npz", file.getvalue()), purpose="user_data")
    answer = server.http.post("/v1/coach", json={"clip": [file_part(given.id)]})
    assert answer.status_code == 400
    assert "Python objects" in answer.json()["error"]["message"]


def test_the_document_describes_the_routes(server) -> None:
    document = server.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/chat/completions", "/v1/models", "/v1/files", "/v1/coach", "/health"):
        assert path in document["paths"]
    schemas = document["components"]["schemas"]

    def references(part: object) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*map(references, part.values()))
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    missing = {r for r in references(document) if r.rpartition("/")[2] not in schemas}
    assert not missing
    body = schemas["ChatRequest"]
    jsonschema.Draft202012Validator.check_schema(body)
    assert set(body["required"]) == {"model", "messages"}


def test_counts_are_told(server) -> None:
    server.http.get("/v1/models")
    text = server.http.get("/metrics").text
    for name in (
        'poise_requests_total{method="GET",route="/v1/models",status="200"}',
        "poise_time_to_first_token_seconds_count",
        "poise_engine_running",
        "process_resident_memory_bytes",
    ):
        assert name in text


@pytest.mark.slow
def test_demonstrations_come_from_ones_own_library(coach: Coach, tmp_path: Path) -> None:
    """Two coachings at once read it in two threads."""
    own = coach.library.of_activity("bodyweight_squat")
    mine = [replace(item, demonstration_id=f"mine-{i}") for i, item in enumerate(own)]
    DemoStore.create(tmp_path / "mine", coach.checkpoint.sha256(), mine)
    started = ServerProcess("--library", str(tmp_path / "mine"))
    try:
        url = f"data:application/x-npz;base64,{b64encode(CLIP.read_bytes()).decode()}"
        part = {"type": "video_url", "video_url": {"url": url}}

        def shown(seed: int) -> set[str]:
            body = {"clip": [part], "seed": seed}
            answer = httpx2.post(f"{started.url}/v1/coach", json=body, timeout=WAIT)
            return {row["id"] for row in answer.json()["demonstrations"]}

        with ThreadPoolExecutor(2) as threads:
            for found in threads.map(shown, range(2)):
                assert found and all(name.startswith("mine-") for name in found)
    finally:
        started.end()


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "assistant.cli", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=170)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--engine", "onnx"), "expected: transformers, vllm"),
        (("--host", "0.0.0.0"), "no API key"),
        (("--adapter", "golf=here"), "serves no adapters"),
        (("--allow-folder", "/no/such/folder", "--max-chats", "0"), "max_chats 0"),
        (("--port", "0", "--library", "/no/such/folder"), "no expert library in /no/such/folder"),
    ],
)
def test_a_server_that_cannot_start_says_why(options: tuple[str, ...], said: str) -> None:
    done = serve(*options)
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_adapter_cannot_hide_behind_the_checkpoints_name(tmp_path: Path) -> None:
    settings = ServeSettings(port=0)
    with pytest.raises(PoiseError, match=f"--adapter {MODEL}=") as caught:
        load(None, settings, engine="vllm", adapters={"golf": tmp_path, MODEL: tmp_path})
    assert "\n" not in str(caught.value)


def test_without_vllm_the_message_names_the_command(monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        "assistant.serving.cli.find_spec", lambda name: None if name == "vllm" else find_spec(name)
    )
    assert cli.main(["serve", "--engine", "vllm"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("poise: the engine vllm is not installed")
    assert "make serve" in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""
