"""Shared words are cut, and a constant prefix raises no printed score."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.cli import main
from eval.boilerplate import strip_references, strip_shared, strip_shared_remarks
from eval.metrics import load
from eval.score_files import read_aligned
from eval.scoring import score_files
from eval.tables import text_notes
from eval.text_scores import score_texts
from prompts.parse import parse_feedback

PREFIX = "Here is what the expert would say about this attempt of the learner in the video:"
SAID = [
    "The knees cave in at the bottom, so push them out.",
    "Your trunk leans too far forward.",
    "",
    "Both heels stay on the floor, nice.",
    "Snap the wrist and hold the finish.",
]
WANTED = [
    ["Both knees fall inward.", "The knees squeeze together."],
    ["The chest drops over the thighs."],
    ["The feet are flat."],
    ["Good work, the heels are down."],
    ["The hand falls early after the release."],
]
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d.", "e,"]), max_size=5).map(" ".join)


def test_shared_words_are_cut_from_both_ends() -> None:
    found = strip_shared(["So: bend the legs. Bye.", "So: look up! Bye.", ""])
    assert found.texts == ["bend the legs.", "look up!", ""]
    assert (found.start, found.end) == ("So :", "Bye .")


def test_one_text_alone_keeps_its_words_and_the_same_text_for_all_keeps_none() -> None:
    assert strip_shared(["Bend the legs."]).texts == ["Bend the legs."]
    assert strip_shared(["Bend the legs."] * 3).texts == ["", "", ""]


def test_words_are_not_cut_in_two() -> None:
    assert strip_shared(["There", "These"]).texts == ["There", "These"]


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(WORDS, min_size=2, max_size=6), prefix=WORDS, suffix=WORDS)
def test_any_constant_prefix_leaves_the_same_rest(
    texts: list[str], prefix: str, suffix: str
) -> None:
    assert strip_shared([f"{prefix} {t}" for t in texts]).texts == strip_shared(texts).texts


def test_references_keep_at_least_one_text_a_clip() -> None:
    kept, shared = strip_references([["The end."], ["The end."]])
    assert kept == [["The end."], ["The end."]] and shared.start == ""
    cut, _ = strip_references([["So bend."], ["So look up.", "So jump."]])
    assert cut == [["bend"], ["look up", "jump"]]


def test_a_constant_prefix_raises_no_score() -> None:
    """The trap: without the cut the prefix lifts every text metric, also of unrelated texts."""
    metrics = ("rouge_l", "bleu4", "cider", "meteor", "bertscore", "specificity", "actionability")
    chosen = {"meteor": {"synonyms": "none"}}
    plain = score_texts(SAID, WANTED, metrics=metrics, settings=chosen)
    for where in ("predictions", "references", "both"):
        said = SAID if where == "references" else [f"{PREFIX} {text}" for text in SAID]
        wanted = (
            WANTED
            if where == "predictions"
            else [[f"{PREFIX} {text}" for text in row] for row in WANTED]
        )
        trapped = score_texts(said, wanted, metrics=metrics, settings=chosen)
        assert trapped.samples == plain.samples
        for key, value in plain.values.items():
            if key != "boilerplate":
                assert trapped.values[key] == value, (where, key)
        prefixed = trapped.values["boilerplate"]["predictions"][0]
        assert prefixed.startswith("Here is what") or where == "references"


@pytest.mark.parametrize("name", ["rouge_l", "bleu4"])
def test_the_trap_is_there_without_the_cut(name: str) -> None:
    unrelated = [row[::-1] for row in WANTED[1:] + WANTED[:1]]
    said = [row[0] for row in WANTED]
    bare = load(name).compute(predictions=said, references=unrelated)[name]
    lifted = load(name).compute(
        predictions=[f"{PREFIX} {text}" for text in said],
        references=[[f"{PREFIX} {text}" for text in row] for row in unrelated],
    )[name]
    assert bare < 0.25 and lifted > 0.5


def test_a_constant_prefix_raises_no_score_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for prefix in ("", f"{PREFIX} "):
        rows = [{"id": i, "text": prefix + text} for i, text in enumerate(SAID)]
        truth = [{"id": i, "texts": [prefix + t for t in row]} for i, row in enumerate(WANTED)]
        for name, lines in (("said", rows), ("true", truth)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tmp_path / f"{name}.jsonl").write_text(text, "utf-8")
        files = [str(tmp_path / f"{name}.jsonl") for name in ("said", "true")]
        assert main(["eval", "score", *files, "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    plain, trapped = results
    scores = [key for key, value in plain.items() if isinstance(value, float)]
    assert {"bertscore_f1", "meteor", "rouge_l", "bleu4", "cider", "specificity"} <= set(scores)
    assert {key: trapped[key] for key in scores} == {key: plain[key] for key in scores}
    assert trapped["samples"] == plain["samples"]


def test_remarks_that_all_share_are_cut_wherever_they_stand() -> None:
    same = "Torso (correct): The chest stays up."
    found, cut = strip_shared_remarks(
        [
            f"Legs (correct): They drive up.\n{same}\nDrill: Jump.",
            f"{same} Legs (needs improvement): They stop early.",
            "",
            f"So. {same}",
        ]
    )
    assert cut == [same]
    assert found == [
        "Legs (correct): They drive up.\nDrill: Jump.",
        "Legs (needs improvement): They stop early.",
        "",
        "So.",
    ]
    assert strip_shared_remarks([same]) == ([same], [])
    assert strip_shared_remarks([same, same]) == (["", ""], [same])
    assert strip_shared_remarks([same, "Torso (correct): The chest is up."])[1] == []


REMARKS = st.lists(
    st.sampled_from(
        ["Legs (correct): a.", "Legs (needs improvement): b.", "Torso (correct): c.", "Drill: d."]
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(answers=st.lists(REMARKS, min_size=2, max_size=4), more=REMARKS, sep=st.sampled_from("\n "))
def test_any_remarks_put_in_front_of_all_answers_leave_the_same_rest(
    answers: list[list[str]], more: list[str], sep: str
) -> None:
    plain = ["\n".join(lines) for lines in answers]
    assert (
        strip_shared_remarks([sep.join([*more, text]) for text in plain])[0]
        == strip_shared_remarks(plain)[0]
    )


LABEL = "Proficiency Level: Novice. Proficiency Commentary:"
ANSWERS = [
    ["Legs (needs improvement): The knees cave in.", "Torso (correct): The chest stays up."],
    ["Torso (needs improvement): The trunk leans too far forward.", "Drill: Pause at the bottom."],
    ["Feet (correct): Both heels stay on the floor."],
    ["Legs (correct): The hips go all the way down.", "Head (correct): The eyes look ahead."],
]
GOLD = [
    ["Legs (needs improvement): Both knees fall inward."],
    ["Legs (needs improvement): The squat is too shallow.", "Torso (correct): It stays tall."],
    ["Feet (correct): The feet are flat."],
    ["Legs (needs improvement): The knees drift in."],
]
IN_FRONT = [
    "Legs (needs improvement): The knees cave in at the bottom.",
    PREFIX,
    f"{PREFIX}\nTorso (correct): The chest stays tall.\nDrill: Go slowly.",
]


def scored(folder: Path, prefix: str, sep: str, sides: str) -> dict[str, Any]:
    """Answers scored with a prefix behind the label of all answers of some sides."""
    for side, lists in (("predictions", ANSWERS), ("references", GOLD)):
        said = prefix + sep if prefix and side in sides else ""
        rows = [
            {
                "id": i,
                "answer": f"{LABEL}\n{said}" + "\n".join(lines),
                "activity": "bodyweight_squat",
                "faults": [{"name": "knee_valgus", "region": "legs"}] if i % 2 else [],
            }
            for i, lines in enumerate(lists)
        ]
        (folder / side).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    data = read_aligned(folder / "predictions", folder / "references")
    chosen = ["rouge_l", "accuracy", "region_polarity_f1", "format_compliance",
              "hallucination_rate"]  # fmt: skip
    return score_files(data, metrics=chosen)


def test_a_constant_prefix_of_answers_raises_no_score(tmp_path: Path) -> None:
    plain = scored(tmp_path, "", "", "")
    assert plain["shared_remarks"] == {"predictions": [], "references": []}
    assert 0 < plain["region_polarity_f1"] < 1 and 0 < plain["hallucination_rate"] < 1
    same = {key for key, value in plain.items() if isinstance(value, int | float)}
    assert {"region_polarity_f1", "hallucination_rate", "rouge_l", "format_compliance"} <= same
    same.remove("format_compliance_grammar")  # of the answer as it is, which may break it
    for prefix in IN_FRONT:
        for sep, sides in (("\n", "predictions"), (" ", "predictions, references")):
            trapped = scored(tmp_path, prefix, sep, sides)
            assert trapped["samples"] == plain["samples"]
            assert {key: trapped[key] for key in same} == {key: plain[key] for key in same}
            assert trapped["format_compliance_grammar"] <= plain["format_compliance_grammar"]
            lines = prefix.split("\n")
            for side, cut in trapped["shared_remarks"].items():
                assert sorted(cut) == (sorted(lines) if side in sides else [])
                for line in cut:
                    assert f"remark cut from all {side}: {line!r}" in text_notes(trapped)


def test_the_trap_of_a_constant_remark_is_there_without_the_cut() -> None:
    def items(lists: list[list[str]], first: str = "") -> list[list[str]]:
        read = [parse_feedback(f"{LABEL}\n" + "\n".join([first, *lines])) for lines in lists]
        return [[f"{r.region}:{r.polarity}" for r in answer.remarks] for answer in read]

    plain, lifted = (
        load("region_polarity_f1").compute(predictions=items(ANSWERS, p), references=items(GOLD))
        for p in ("", IN_FRONT[0])
    )
    assert lifted["region_polarity_f1"] > plain["region_polarity_f1"] + 0.1


def test_remarks_of_their_own_field_are_cut_where_all_share_them(tmp_path: Path) -> None:
    same = {"region": "head", "polarity": "correct", "text": "The eyes look ahead."}
    own = {"region": "legs", "polarity": "needs_improvement", "text": "The knees cave in."}
    truth = {"activity": "bodyweight_squat", "faults": [{"name": "knee_valgus", "region": "legs"}]}
    for remarks, n in (([[same, own], [same], [same]], 1), ([[same], [same], []], 0)):
        for name, rows in (
            ("p", [{"id": i, "remarks": said} for i, said in enumerate(remarks)]),
            ("r", [{"id": i, **truth} for i in range(3)]),
        ):
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = score_files(read_aligned(tmp_path / "p", tmp_path / "r"))
        assert result["hallucination_rate_n"] == n
        assert result["hallucination_rate"] == (0.0 if n else None)
        assert result["shared_remarks"]["predictions"] == ["Head (correct): The eyes look ahead."]
