"""Annotation files in every wrapping, and booleans in every spelling."""

import json

import pytest

from data_prep.egoexo4d.index import TakeIndex
from data_prep.egoexo4d.stream import as_flag, read_entries

ENTRIES = [{"take_uid": "a", "n": 1.5}, {"take_uid": "b", "n": 2}, {"take_uid": "a", "n": 3}]
BY_TAKE = {"a": [ENTRIES[0], ENTRIES[2]], "b": [ENTRIES[1]]}


@pytest.mark.parametrize(
    "value",
    [
        ENTRIES,
        {"annotations": ENTRIES},
        {"ds": "2024", "version": 2, "annotations": ENTRIES, "after": [{"x": 1}]},
        {"ds": "2024", "annotations": BY_TAKE},
        BY_TAKE,
        {"a": ENTRIES[0], "b": ENTRIES[1]},
    ],
    ids=["list", "wrapped list", "among others", "wrapped object", "object", "single entries"],
)
def test_every_wrapping_gives_the_same_entries(tmp_path, value):
    path = tmp_path / "file.json"
    path.write_text(" \n" + json.dumps(value))
    found = list(read_entries(path))
    assert {uid for uid, _ in found} == {"a", "b"}
    assert all(uid == entry["take_uid"] for uid, entry in found)
    assert sorted(entry["n"] for _, entry in found) == (
        [1.5, 2, 3] if len(found) == 3 else [1.5, 2]
    )


@pytest.mark.parametrize("empty", ["[]", "{}", '{"annotations": []}', '{"annotations": {}}'])
def test_a_file_without_entries(tmp_path, empty):
    path = tmp_path / "file.json"
    path.write_text(empty)
    assert list(read_entries(path)) == []


@pytest.mark.parametrize("value", [True, "1", 1, "true", "True", " 1 "])
def test_true(value):
    assert as_flag(value) is True


@pytest.mark.parametrize("value", [False, "0", 0, "false", None, ""])
def test_false(value):
    assert as_flag(value) is False


@pytest.mark.parametrize("value", [2, "yes!", [1], "01"])
def test_no_flag(value):
    with pytest.raises(ValueError, match="is no boolean"):
        as_flag(value)


def test_the_index_joins_by_take_in_order(tmp_path):
    with TakeIndex(tmp_path) as index:
        assert index.fill("said", [("b", [1]), ("a", {"x": None}), ("b", "ä")]) == 3
        assert index.fill("seen", [("b", 2.5)]) == 1
        assert index.get("said", "b") == [[1], "ä"]
        assert index.get("said", "a") == [{"x": None}]
        assert index.get("said", "c") == []
        assert index.get("seen", "b") == [2.5]
        index.fill("seen", [("b", 3)])
        assert index.get("seen", "b") == [2.5, 3]
    assert list(tmp_path.iterdir()) == []
