"""What is refused before work: keys, hosts, busy lines, sizes, slow clients, a stopping server."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest

from assistant.coach import Coach
from assistant.errors import EngineStopped, PoiseError
from assistant.serving.errors import as_api_error
from assistant.serving.server import create_app
from assistant.serving.settings import ServeSettings

from .conftest import DEMO, WAIT, RunningServer, about, file_part, npz, running, wait_until

KEYS = ("first-key-of-two", "second-key-of-two")


@pytest.fixture(scope="module")
def keyed(coach: Coach) -> Iterator[RunningServer]:
    """Two keys, a line of one, short pauses; it looks at no clip, so it starts no worker."""
    settings = ServeSettings(
        port=0, api_keys=KEYS, max_chats=1, io_seconds=2.0, upload_bytes=10_000
    )
    with running(coach, settings, workers=False) as started:
        yield started


def auth(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def open_request(server: RunningServer, head: str, body: bytes = b"") -> Iterator[socket.socket]:
    """A raw connection on which a request has begun."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as raw:
        raw.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        yield raw


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/files"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/coach"),
        ("POST", "/v1/files"),
    ],
)
def test_every_route_but_health_asks_for_a_key(keyed, method: str, path: str) -> None:
    wrong = ({}, auth("first-key-of-tw"), auth("x"), {"Authorization": f"Basic {KEYS[0]}"})
    for headers in wrong:
        answer = keyed.http.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_no_route_of_the_app_was_forgotten(keyed) -> None:
    asked = set()
    for route in create_app(keyed.service).routes:
        for method in route.methods:
            path = route.path.format(model="poise-mini", file_id="file-1")
            asked.add(path)
            status = keyed.http.request(method, path).status_code
            assert status == (200 if path == "/health" else 401) or (
                (method, path) == ("HEAD", "/health")
            ), (method, path)
    assert {"/health", "/openapi.json", "/metrics", "/v1/models/poise-mini", "/v1/coach"} <= asked
    assert {"/v1/files", "/v1/files/file-1", "/v1/files/file-1/content"} <= asked


def test_health_needs_no_key(keyed) -> None:
    assert keyed.http.get("/health").json() == {"status": "ok"}


def test_health_tells_of_an_engine_that_has_stopped(coach: Coach) -> None:
    with running(coach, ServeSettings(port=0), workers=False) as started:
        assert started.http.get("/health").status_code == 200
        started.service.line.close()
        answer = started.http.get("/health")
    assert answer.status_code == 503 and answer.json() == {"status": "the engine has stopped"}


def test_a_stopped_engine_is_no_fault_of_the_request() -> None:
    told = as_api_error(EngineStopped("the engine has stopped", got="a fault of step 7"))
    assert (told.status, told.code) == (503, "engine_stopped")
    assert told.body()["error"]["type"] == "server_error" and "step 7" not in str(told)
    assert "Retry-After" in told.headers


def test_either_key_opens_and_neither_sees_the_others_files(keyed) -> None:
    mine = openai.OpenAI(base_url=f"{keyed.url}/v1", api_key=KEYS[0], max_retries=0)
    other = openai.OpenAI(base_url=f"{keyed.url}/v1", api_key=KEYS[1], max_retries=0)
    with mine, other:
        given = mine.files.create(file=("a.npz", b"PK-nothing"), purpose="user_data")
        assert [f.id for f in mine.files.list()] == [given.id]
        assert list(other.files.list()) == []
        for call in (other.files.retrieve, other.files.delete, other.files.content):
            with pytest.raises(openai.NotFoundError, match="never uploaded with this key"):
                call(given.id)
        with pytest.raises(openai.NotFoundError):
            other.chat.completions.create(model="poise-mini", messages=about(file_part(given.id)))
        assert mine.files.content(given.id).read() == b"PK-nothing"
        assert mine.files.delete(given.id).deleted
        with pytest.raises(openai.NotFoundError):
            mine.files.retrieve(given.id)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/coach", "/v1/files"])
def test_a_full_line_is_told_with_a_time(keyed, monkeypatch, path: str) -> None:
    """The place is taken when a request begins, before its body has come."""
    kind = "application/json" if path != "/v1/files" else 'multipart/form-data; boundary="b"'
    head = (
        f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: {kind}\n"
        f"Content-Length: 100\nAuthorization: Bearer {KEYS[0]}"
    )
    line = keyed.service.admissions["POST", path]
    wait_until(lambda: line.active == 0, "the end of other tests' requests")
    monkeypatch.setattr(line, "most", 1)
    with open_request(keyed, head):
        wait_until(lambda: line.active == 1, "the first request's place")
        answer = keyed.http.post(path, headers=auth(KEYS[1]), json={})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    error = answer.json()["error"]
    assert error["code"] == "server_busy" and "at most 1" in error["message"]
    assert keyed.metric("poise_rejected_total", reason="busy") >= 1
    wait_until(lambda: line.active == 0, "the place to be free again")


def test_a_body_that_does_not_come_is_given_up(keyed) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
        f"Content-Length: 100\nAuthorization: Bearer {KEYS[0]}"
    )
    with open_request(keyed, head, b"{") as raw:
        assert b"408" in raw.recv(4096).partition(b"\r\n")[0]


def test_a_client_that_does_not_read_is_given_up(coach: Coach) -> None:
    """A download that nobody takes ends after the longest pause, not with the client."""
    size = 24 * 2**20  # more than the system keeps for a connection
    settings = ServeSettings(port=0, io_seconds=1.0, upload_bytes=size)
    with running(coach, settings, workers=False) as started:
        part = started.openai.files.create(file=("a.npz", bytes(size)), purpose="user_data")
        head = f"GET /v1/files/{part.id}/content HTTP/1.1\nHost: localhost"
        with open_request(started, head) as raw:
            route = {"route": "/v1/files/{file_id}", "method": "GET", "status": "200"}
            wait_until(
                lambda: started.metric("poise_requests_total", **route) == 1, "the server's end"
            )
            received = 0
            with contextlib.suppress(ConnectionResetError):
                while chunk := raw.recv(2**20):
                    received += len(chunk)
        assert received < size


@pytest.mark.parametrize("stated", ["Content-Length: 99999999999", "Transfer-Encoding: chunked"])
def test_a_large_body_is_refused_before_it_is_read(keyed, stated: str) -> None:
    head = f"POST /v1/files HTTP/1.1\nHost: localhost\n{stated}\nAuthorization: Bearer {KEYS[0]}"
    head += '\nContent-Type: multipart/form-data; boundary="b"'
    start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.npz"\r\n\r\n'
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    body = b"%x\r\n%s\r\n" % (len(start), start) + 2 * chunk
    with open_request(keyed, head, body if "chunked" in stated else b"") as raw:
        answer = raw.recv(65536)
    assert b"413" in answer.partition(b"\r\n")[0], answer
    assert keyed.http.get("/health").status_code == 200


def test_a_file_over_the_limit_leaves_nothing(keyed) -> None:
    files = {"file": ("a.mp4", b"x" * 10_001)}
    answer = keyed.http.post("/v1/files", headers=auth(KEYS[0]), files=files)
    assert answer.status_code == 413
    assert list(keyed.service.store.folder.iterdir()) == []


def test_other_hosts_names_are_refused_without_keys(server) -> None:
    """A page of the web that has its name point here must not read the answers."""
    answer = httpx2.get(f"{server.url}/v1/models", headers={"Host": "evil.example"}, timeout=WAIT)
    assert answer.status_code == 403
    for host in ("localhost:1234", "127.0.0.1", "[::1]:80"):
        answer = httpx2.get(f"{server.url}/v1/models", headers={"Host": host}, timeout=WAIT)
        assert answer.status_code == 200, host


def test_a_stopping_server_takes_nothing_new(keyed) -> None:
    keyed.service.stopping = True
    try:
        assert keyed.http.get("/health").status_code == 503
        answer = keyed.http.post("/v1/coach", headers=auth(KEYS[0]), json={})
        assert answer.status_code == 503 and answer.headers["retry-after"]
        assert answer.json()["error"]["code"] == "stopping"
    finally:
        keyed.service.stopping = False


def test_files_are_removed_after_their_time(coach: Coach) -> None:
    settings = ServeSettings(port=0, file_seconds=1.0)
    with running(coach, settings, workers=False) as started:
        part = started.openai.files.create(file=("a.npz", b"PK-nothing"), purpose="user_data")
        (path,) = started.service.store.folder.iterdir()
        assert path.parent.stat().st_mode & 0o077 == 0  # nobody else may look
        wait_until(lambda: not path.exists(), "the end of the file's time")
        with pytest.raises(openai.NotFoundError):
            started.openai.files.retrieve(part.id)


def still(path: Path, body: np.ndarray) -> Path:
    """A person who stands for 190 seconds."""
    np.savez(path, joints=np.repeat(body[None].astype(np.float32), 1900, axis=0), fps=10.0)
    return path


@pytest.mark.parametrize("what", ["pixels", "seconds", "seconds of a pose", "bytes of a pose"])
def test_a_clip_over_the_limits_is_refused(
    server, tmp_path: Path, film, standing: np.ndarray, what: str
) -> None:
    path, said = {
        "pixels": lambda: (film(tmp_path / "a.mp4", 2, size=(4800, 2000)), "4800 x 2000 pixels"),
        "seconds": lambda: (film(tmp_path / "a.mp4", 3, times=[0, 3000, 6000]), "300.0 s"),
        "seconds of a pose": lambda: (still(tmp_path / "a.npz", standing), "190.0 s"),
        "bytes of a pose": lambda: (npz(tmp_path / "a.npz", (10**9, 17, 3)), "bytes unpacked"),
    }[what]()
    with path.open("rb") as file:
        part = file_part(server.openai.files.create(file=file, purpose="user_data").id)
    with pytest.raises(openai.BadRequestError) as caught:
        server.openai.chat.completions.create(model="poise-mini", messages=about(part))
    assert caught.value.code == "clip_unusable"
    assert said in str(caught.value) and "too large for this server" in str(caught.value)


@pytest.mark.parametrize("name", ["a.exe", "a", "a.npz.sh", "a.c3d", ".npz/../x"])
def test_other_endings_are_refused(server, name: str) -> None:
    answer = server.http.post("/v1/files", files={"file": (name, b"PK")})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "file_type"


def test_a_name_never_becomes_a_path(server) -> None:
    given = server.openai.files.create(
        file=("../../../tmp/own\\ed.npz", b"PK-x"), purpose="user_data"
    )
    assert given.filename == "ed.npz"
    path = server.service.store.get(given.id, "anyone").path
    assert path.parent == server.service.store.folder and path.name == f"{given.id}.npz"
    server.openai.files.delete(given.id)
    assert not path.exists()


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_request"),
        (b"{}", "text/plain", 415, "content_type"),
        (b'{"clip": []}', "application/json", 400, "invalid_request"),
        (b'{"clip": [{"type": "text", "text": "x"}]}', "application/json", 400, "invalid_request"),
    ],
)
def test_a_broken_body_is_one_line(server, body, kind: str, status: int, code: str) -> None:
    answer = server.http.post("/v1/coach", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code and "\n" not in error["message"]


def test_unknown_routes_and_methods(server) -> None:
    assert server.http.get("/v1/nothing").json()["error"]["code"] == "not_found"
    assert server.http.put("/v1/files").json()["error"]["code"] == "method_not_allowed"


def test_local_files_only_from_allowed_folders(
    server, clips_folder: Path, clip_paths: list[Path], tmp_path: Path
) -> None:
    outside = tmp_path / "outside.npz"
    outside.write_bytes((DEMO / "squat_demo.npz").read_bytes())
    link = clips_folder / "link.npz"
    link.symlink_to(outside)
    try:
        for path in (
            outside.as_uri(),
            link.as_uri(),
            f"{clips_folder.as_uri()}/../{tmp_path.name}/outside.npz",
            f"{clips_folder.as_uri()}/%2e%2e/x.npz",
            "file:///etc/passwd",
            "file://host/etc/passwd",
        ):
            part = {"type": "video_url", "video_url": {"url": path}}
            answer = server.http.post("/v1/coach", json={"clip": [part]})
            assert answer.status_code == 403, path
            assert str(tmp_path) not in answer.text
    finally:
        link.unlink()
    part = {"type": "video_url", "video_url": {"url": clip_paths[0].as_uri()}}
    messages = [{"role": "user", "content": [part]}]
    answer = server.openai.chat.completions.create(model="poise-mini", messages=messages)
    assert answer.choices[0].message.content.startswith("Proficiency Level:")


def test_settings_tell_all_faults_at_once(tmp_path: Path) -> None:
    with pytest.raises(PoiseError) as caught:
        ServeSettings(host="0.0.0.0", port=-1, max_chats=0, allow_folders=(tmp_path / "none",))
    for part in ("0.0.0.0", "port -1", "max_chats 0", "none"):
        assert part in str(caught.value)
    with pytest.raises(PoiseError, match="at least 8"):
        ServeSettings(api_keys=("short",))
    assert "first-key" not in repr(ServeSettings(api_keys=KEYS))
