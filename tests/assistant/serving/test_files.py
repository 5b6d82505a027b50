"""Room in the store of uploads: what is stored and what is being written never exceed it."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from assistant.serving.errors import ApiError
from assistant.serving.files import FileStore, StoredFile

ROOM = 10


@pytest.fixture
def store() -> Iterator[FileStore]:
    made = FileStore(ROOM, 60.0)
    yield made
    made.close()


def add(store: FileStore, source: io.BytesIO, most: int = ROOM) -> StoredFile:
    return store.add(source, "a.npz", owner="me", max_bytes=most)


def test_a_file_for_which_there_is_no_room_may_come_later(store: FileStore) -> None:
    kept = add(store, io.BytesIO(b"12345678"))
    with pytest.raises(ApiError, match="full") as caught:
        add(store, io.BytesIO(b"123"))
    assert (caught.value.status, caught.value.code) == (507, "store_full")
    assert "Retry-After" in caught.value.headers
    with pytest.raises(ApiError, match="larger than 2 bytes") as caught:
        add(store, io.BytesIO(b"123"), most=2)
    assert caught.value.status == 413 and "Retry-After" not in caught.value.headers
    assert list(store.folder.iterdir()) == [kept.path]
    store.discard(kept)
    add(store, io.BytesIO(b"1234567890"))


class Held(io.BytesIO):
    """A source whose bytes come when they are let go, or fail."""

    def __init__(self, data: bytes, *, fails: bool = False) -> None:
        super().__init__(data)
        self.reading, self.go, self._fails = Event(), Event(), fails

    def read(self, size: int | None = -1) -> bytes:
        self.reading.set()
        assert self.go.wait(60)
        if self._fails:
            raise OSError("gone")
        return super().read(size)


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_being_written_has_its_room(store: FileStore, fails: bool) -> None:
    slow = Held(b"12345678", fails=fails)
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(add, store, slow)
        assert slow.reading.wait(60)
        with pytest.raises(ApiError, match="full"):
            add(store, io.BytesIO(b"123"))
        add(store, io.BytesIO(b"12"))
        slow.go.set()
        assert (writing.exception() is not None) == fails
    assert sum(path.stat().st_size for path in store.folder.iterdir()) == (2 if fails else ROOM)
    if fails:  # its room is free again
        add(store, io.BytesIO(b"12345678"))
