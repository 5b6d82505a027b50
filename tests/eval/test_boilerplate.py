"""Shared words are cut, and a constant prefix raises no printed score."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.cli import main
from eval.boilerplate import strip_references, strip_shared
from eval.metrics import load
from eval.text_scores import score_texts

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
