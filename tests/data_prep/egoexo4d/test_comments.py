"""What becomes of comments, ratings, descriptions and notes that are not as they should be."""

import json

import pytest

from data_prep.egoexo4d.comments import atomic_actions, comments, notes, rating
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.layout import Layout
from data_prep.egoexo4d.takes import Take

TAKE = Take("uid", "train", "u:1", "soccer", "kick", 0, {}, name="take_1", duration=20.0)


def said(**changes):
    spoken = {"video_time": 5.0, "text": " well done ", "error": False} | changes
    return [{"commentary": "take_1/ab12cd", "commentary_data": [spoken]}]


def test_a_good_comment():
    findings = Findings()
    (comment,) = comments(TAKE, said(), findings)
    assert (comment.expert, comment.number, comment.time) == ("ab12cd", 0, 5.0)
    assert comment.text == "well done"
    assert not findings.counts


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"error": "1"}, "with_transcription_error"),
        ({"error": "Traceback"}, "with_transcription_error"),
        ({"text": None}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"video_time": None}, "without_time"),
        ({"video_time": float("nan")}, "without_time"),
        ({"video_time": 0.2}, "before_anything_was_seen"),
        ({"video_time": 21.5}, "after_the_end"),
    ],
)
def test_a_comment_of_no_use_is_counted(changes, reason):
    findings = Findings()
    assert list(comments(TAKE, said(**changes), findings)) == []
    assert findings.counts == {f"comments_{reason}": 1}


def test_a_pause_just_behind_the_end_is_kept():
    assert len(list(comments(TAKE, said(video_time=20.5, error="0"), Findings()))) == 1


def test_an_expert_counts_once():
    findings = Findings()
    assert len(list(comments(TAKE, said() + said(), findings))) == 1
    assert findings.names == {"experts_twice": ["uid/ab12cd"]}


@pytest.mark.parametrize(
    ("proficiency", "expected", "named"),
    [
        ({"rating": 7, "why": "calm"}, (7, "calm"), 0),
        ({"rating": "7"}, (7, None), 0),
        ({"rating": 7.0}, (7, None), 0),
        ({"rating": None}, (None, None), 0),
        ({}, (None, None), 0),
        ({"rating": 11}, (None, None), 1),
        ({"rating": 6.5}, (None, None), 1),
        ({"rating": "good"}, (None, None), 1),
    ],
)
def test_ratings(tmp_path, proficiency, expected, named):
    (tmp_path / "takes.json").write_text("[]")
    path = tmp_path / "annotations/expert_commentary/take_1/ab12cd/data.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"proficiency": proficiency}))
    findings = Findings()
    assert rating(Layout(tmp_path), TAKE, "ab12cd", findings) == expected
    assert len(findings.names.get("ratings_unreadable", [])) == named
    assert rating(Layout(tmp_path), TAKE, "ef34gh", findings) == (None, None)
    assert findings.counts["ratings_absent"] == 1


def test_descriptions_of_several_annotators_are_one_list_in_time():
    entries = [
        {"rejected": "0", "descriptions": [{"text": "late", "timestamp": 9, "subject": "C"}]},
        {"rejected": False, "descriptions": [{"text": "early", "timestamp": 1.5, "unsure": "0"}]},
        {"descriptions": [{"text": "lost", "timestamp": None}]},
    ]
    findings = Findings()
    assert atomic_actions(entries, findings) == [
        {"t": 1.5, "action": "early"},
        {"t": 9.0, "action": "late"},
    ]
    assert findings.counts == {"atomic_descriptions_empty": 1}


@pytest.mark.parametrize(
    ("value", "sentences"),
    [
        (["one", " two "], ["one", "two"]),
        ("['one', \"two's\"]", ["one", "two's"]),
        ("plain", ["plain"]),
        ("[broken", ["[broken"]),
        (None, []),
        ([""], []),
    ],
)
def test_lists_in_every_spelling(value, sentences):
    entry = {"tips_for_improvement": [{"video_time": 3.0, "list": value, "expert_uid": "e"}]}
    found = list(notes(TAKE, [entry]))
    assert [note["text"] for note in found] == sentences
    assert all((note["polarity"], note["time"], note["expert"]) == (0, 3.0, "e") for note in found)
