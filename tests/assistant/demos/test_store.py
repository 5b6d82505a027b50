"""One's own library on disk: whole changes only, several writers, damage, other checkpoints."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from assistant.demos import store as store_module
from assistant.demos.choice import Choice
from assistant.demos.library import Demonstration, Library
from assistant.demos.store import FOLDER, ROWS_A_BATCH, DemoStore, is_store, open_library
from assistant.errors import PoiseError

# Adds items of its own names, one commit each, until it has added all of them or is killed.
WRITER = """
import sys
from pathlib import Path
from dataclasses import replace
from assistant.demos.store import DemoStore
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = DemoStore.open(folder)
first = store.select(__import__("assistant.demos.choice", fromlist=["Choice"]).Choice(), 1)[0]
print("ready", flush=True)
for i in range(count):
    pair = [replace(first, demonstration_id=f"{name}-{i}-{part}") for part in "ab"]
    store.add(pair)
    print(i, flush=True)
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def names(library: Library) -> set[str]:
    return {item.demonstration_id for item in library.items}


@pytest.fixture
def store(library: Library, tmp_path: Path) -> DemoStore:
    return DemoStore.create(tmp_path / "own", "sha-of-a-checkpoint", library.items)


def test_everything_comes_back(library: Library, store: DemoStore) -> None:
    mine = replace(
        library.items[0], demonstration_id="mine", level=None, licence=None, source="mediapipe",
        origin="film.mp4", note='a "note"; DROP', thumbnail=b"\xff\xd8jpeg", correct_regions=(),
    )  # fmt: skip
    store.add([mine])
    opened = open_library(store.folder)
    assert isinstance(opened, DemoStore)
    assert (len(opened), opened.encoded_by) == (7, "sha-of-a-checkpoint")
    for expected, found in zip([*library.items, mine], opened.items, strict=True):
        for field in fields(Demonstration):
            theirs, ours = getattr(found, field.name), getattr(expected, field.name)
            if field.name == "joints":
                assert theirs == pytest.approx(ours, abs=0.5e-4 + 1e-6)  # tenths of a millimetre
            elif field.name == "codes":
                assert np.array_equal(theirs, ours)
            else:
                assert theirs == ours


def test_the_hash_tells_what_is_in_it(library: Library, store: DemoStore) -> None:
    assert store.sha256() == Library(list(store.items)).sha256() == library.sha256()
    before = store.sha256()
    store.remove([library.items[0].demonstration_id])
    assert store.sha256() == Library(library.items[1:]).sha256() != before
    turned = replace(library.items[1], joints=library.items[1].joints[::-1])
    assert Library([turned]).sha256() != Library([library.items[1]]).sha256()


def test_a_store_says_whether_its_activities_are_told_apart(
    library: Library, store: DemoStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = library.items[0].window
    told = DemoStore.create(tmp_path / "any", "sha", library.items, any_activity=True)
    for found in (told, open_library(tmp_path / "any")):
        assert found.any_activity and len(found.candidates("golf_swing", window)) == len(library)
        assert found.sha256() == Library(library.items, any_activity=True).sha256()
    for found in (store, open_library(store.folder)):
        assert not found.any_activity and not found.candidates("golf_swing", window)

    # As stores were written before.
    schema = store_module._schema
    monkeypatch.setattr(
        store_module, "_schema",
        lambda about: schema({k: v for k, v in about.items() if k != "any_activity"}),
    )  # fmt: skip
    DemoStore.create(tmp_path / "old", "sha", library.items)
    assert b"any_activity" not in DemoStore.open(tmp_path / "old")._table.schema.metadata
    assert not DemoStore.open(tmp_path / "old").any_activity


def test_a_name_is_given_once(library: Library, store: DemoStore) -> None:
    new = replace(library.items[0], demonstration_id="new")
    for items, name in (([new, library.items[1]], "expert-1"), ([new, new], "new")):
        with pytest.raises(PoiseError, match="already; got: " + name):
            store.add(items)
    assert names(store) == names(library)  # none of the refused calls left anything


def many(library: Library, count: int) -> list[Demonstration]:
    """Random motions, every hundredth under a licence of its own."""
    rng = np.random.default_rng(0)
    return [
        replace(
            library.items[0], demonstration_id=f"many-{i}", licence="rare" if i % 100 == 0 else "x",
            joints=rng.normal(0, 0.5, (30, 17, 3)).astype(np.float32),
        )
        for i in range(count)
    ]  # fmt: skip


def test_an_addition_of_several_batches_is_one_commit(library: Library, store: DemoStore) -> None:
    items = many(library, ROWS_A_BATCH + 10)
    before = store._table.version
    with pytest.raises(PoiseError, match="cannot write the library"):  # damaged in the second batch
        store.add([*items[:-1], replace(items[-1], codes=None)])  # type: ignore[arg-type]
    assert (store._table.version, len(DemoStore.open(store.folder))) == (before, 6)
    store.add(items)  # no name of the failed attempt is taken
    assert (store._table.version, len(DemoStore.open(store.folder))) == (before + 1, 6 + len(items))


def test_a_rare_condition_finds_all_that_a_full_scan_finds(
    library: Library, tmp_path: Path
) -> None:
    """The index alone would look into 20 of 60 partitions."""
    from lancedb.index import IvfFlat

    items, rare = many(library, 1500), Choice(licences=("rare",))
    store = DemoStore.create(tmp_path / "own", "sha", items, index_from=1500)
    (index,) = store._table.list_indices()
    assert index.num_indexed_rows == 1500
    # So few rows would give one partition.
    store._table.create_index("vector", config=IvfFlat(distance_type="l2", num_partitions=60))
    wanted = Library(items).nearest(items[5].window, rare, 20)
    assert len(wanted) == 15
    found = DemoStore.open(store.folder).nearest(items[5].window, rare, 20)
    assert [item.demonstration_id for item in found] == [item.demonstration_id for item in wanted]


def test_items_are_taken_out_or_nothing_is(library: Library, store: DemoStore) -> None:
    with pytest.raises(PoiseError, match=r"no such demonstration in .*; got: nobody"):
        store.remove(["expert-0", "nobody"])
    assert len(store) == 6
    store.remove(["expert-0", "expert-3"])
    assert names(DemoStore.open(store.folder)) == names(library) - {"expert-0", "expert-3"}


def test_a_fault_while_building_leaves_no_library(library: Library, tmp_path: Path) -> None:
    def items():
        yield from library.items[:3]
        raise PoiseError("the source is damaged")

    with pytest.raises(PoiseError, match=r"^the source is damaged$"):
        DemoStore.create(tmp_path, "sha", items())
    assert not is_store(tmp_path)
    with pytest.raises(PoiseError, match=r"no expert library in .*poise demos build"):
        open_library(tmp_path)
    assert len(DemoStore.create(tmp_path, "sha", library.items)) == 6


def test_a_library_is_never_built_over_another(library: Library, store: DemoStore) -> None:
    with pytest.raises(PoiseError, match="got: a library; expected: a new or empty folder"):
        DemoStore.create(store.folder, "sha", library.items[:1])
    assert len(DemoStore.open(store.folder)) == 6


def test_a_library_is_never_built_among_other_files(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path)
    with pytest.raises(PoiseError, match=r"got: library\.\w+ in it; expected: a new or empty"):
        DemoStore.create(tmp_path, "sha", ())
    assert type(open_library(tmp_path)) is Library


def test_codes_of_another_checkpoint_are_refused(store: DemoStore) -> None:
    store.check_encoding("sha-of-a-checkpoint")
    with pytest.raises(PoiseError, match=r"encoded by another checkpoint.*poise demos build"):
        store.check_encoding("sha-of-something-else")


def test_many_additions_are_joined(
    library: Library, store: DemoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.demos.store.MOST_FILES", 4)
    for i in range(6):
        store.add([replace(library.items[0], demonstration_id=f"more-{i}")])
    found = DemoStore.open(store.folder)
    assert len(found) == len(names(found)) == 12
    assert found._table.stats()["fragment_stats"]["num_fragments"] <= 4


@pytest.mark.parametrize("kind", ["manifest", "lance"])
@pytest.mark.parametrize("content", ["empty", "half", "other"])
def test_a_damaged_file_is_one_line(store: DemoStore, kind: str, content: str) -> None:
    for path in (store.folder / FOLDER).rglob(f"*.{kind}"):
        whole = path.read_bytes()
        half = whole[: len(whole) // 2]
        path.write_bytes({"empty": b"", "half": half, "other": b"x" * len(whole)}[content])
    with pytest.raises(PoiseError, match=f"cannot read the library in {store.folder}") as caught:
        DemoStore.open(store.folder).select(Choice())
    assert "\n" not in str(caught.value)


def test_two_writers_at_once_lose_nothing(library: Library, store: DemoStore) -> None:
    count = 8
    both = [writer(store.folder, name, count) for name in ("first", "second")]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    added = {
        f"{name}-{i}-{part}" for name in ("first", "second") for i in range(count) for part in "ab"
    }
    assert names(DemoStore.open(store.folder)) == names(library) | added


def test_a_writer_waits_for_the_other(library: Library, store: DemoStore) -> None:
    """A name that the other gave in between is noticed, also by a store opened before."""
    stale = DemoStore.open(store.folder)
    item = replace(library.items[0], demonstration_id="both")
    store.add([item])
    with pytest.raises(PoiseError, match="already; got: both"):
        stale.add([item])
    assert len(stale) == 7


@pytest.mark.slow
def test_kills_while_writing_harm_nothing(library: Library, store: DemoStore) -> None:
    """A writer is killed at random moments; what it said is done is there, and only whole pairs."""
    rng = np.random.default_rng(int.from_bytes(os.urandom(4)))
    survived: set[str] = set()
    killed_while_writing = 0
    for attempt in range(8):
        process = writer(store.folder, f"run{attempt}", 1000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # Machines differ in speed: some writers are waited for, so that each has begun something.
        said = [process.stdout.readline() for _ in range(attempt % 3)]
        time.sleep(float(rng.uniform(0.0, 0.6)))
        process.send_signal(signal.SIGKILL)
        done = [int(line) for line in "".join([*said, process.stdout.read()]).split()]
        assert process.wait() == -signal.SIGKILL
        opened = DemoStore.open(store.folder)
        found = names(opened)
        survived |= {f"run{attempt}-{i}-{part}" for i in done for part in "ab"}
        assert names(library) | survived <= found
        extra = found - names(library) - survived  # committed, and killed before it could say so
        assert len(extra) in (0, 2)
        survived |= extra
        killed_while_writing += len(done) > 0
        assert len(opened) == len(found)
        window = library.items[0].window
        (nearest,) = opened.nearest(window, Choice(activity=library.items[0].activity), 1)
        assert np.allclose(nearest.window, window, atol=1e-3)
        opened.add([replace(library.items[0], demonstration_id=f"after-{attempt}")])
        survived.add(f"after-{attempt}")
    assert killed_while_writing > 0


@pytest.mark.slow
def test_a_build_that_is_killed_leaves_no_library(library: Library, tmp_path: Path) -> None:
    code = """
import sys
from dataclasses import replace
from pathlib import Path
from assistant.demos.library import Library
from assistant.demos.store import DemoStore
first = Library.load(Path(sys.argv[2])).items[0]
def items():
    for i in range(200000):
        if i == 3000:
            print("writing", flush=True)
        yield replace(first, demonstration_id=str(i))
DemoStore.create(Path(sys.argv[1]), "sha", items())
"""
    library.save(tmp_path / "snapshot")
    folder = tmp_path / "own"
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "snapshot")]
    for delay in (0.0, 0.3, 1.0):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        time.sleep(delay)
        process.kill()
        process.wait()
        assert not is_store(folder)
    assert len(DemoStore.create(folder, "sha", library.items)) == 6
    assert len(DemoStore.open(folder).select(Choice())) == 6
