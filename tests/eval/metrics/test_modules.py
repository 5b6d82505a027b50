"""Every metric is an `evaluate` module: loadable from its folder, and strict about its lists."""

from pathlib import Path

import evaluate
import pytest

from assistant.errors import PoiseError
from eval.metrics import METRICS, load

FOLDER = Path(__file__).parents[3] / "eval" / "metrics"
WITHOUT_REFERENCES = ("format_compliance", "specificity", "actionability")


def test_every_folder_is_registered() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/*.py") if path.stem == path.parent.name}
    assert folders == set(METRICS)
    assert len(METRICS) == 23


@pytest.mark.parametrize("name", METRICS)
def test_evaluate_loads_it_from_its_folder(name: str, tmp_path: Path) -> None:
    loaded = evaluate.load(str(FOLDER / name), cache_dir=str(tmp_path))
    assert type(loaded).__name__ == METRICS[name]
    assert loaded.description


@pytest.mark.parametrize("name", METRICS)
def test_empty_and_misaligned_lists_are_refused(name: str) -> None:
    with pytest.raises(PoiseError, match="nothing to score"):
        load(name).compute(predictions=[], references=[])
    with pytest.raises(PoiseError, match="nothing to score"):
        load(name).compute()
    if name not in WITHOUT_REFERENCES:
        with pytest.raises(PoiseError, match="got: 2 predictions and 3 references"):
            load(name).compute(predictions=["a"] * 2, references=["a"] * 3)
        with pytest.raises(PoiseError, match="got: 2 predictions and 0 references"):
            load(name).compute(predictions=["a"] * 2, references=None)


def test_metrics_combine() -> None:
    both = evaluate.combine([load("rouge_l"), load("cider")])
    found = both.compute(predictions=["a b c d", "e"], references=["a b c d", "f"])
    assert found["rouge_l"] == 0.5
    assert found["cider"] == pytest.approx(5.0)


def test_batches_add_up() -> None:
    metric = load("accuracy")
    metric.add_batch(predictions=[0, 1], references=[0, 2])
    metric.add_batch(predictions=[3], references=[3])
    assert metric.compute()["accuracy"] == pytest.approx(2 / 3)
