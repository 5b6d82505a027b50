"""BLEU-4 of the whole set (Papineni et al. 2002), by sacrebleu; printed with its signature."""

from typing import Any

from eval.metrics import base


class Bleu4(base.TextMetric):
    """BLEU-4 of the corpus, 0 to 1 (sacrebleu's score over 100), one or several references.

    `bleu4_per_sample` is the smoothed sentence BLEU, whose mean is not the corpus score.
    """

    SOURCE = "Papineni et al. 2002, BLEU; Post 2018, A Call for Clarity in Reporting BLEU Scores"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        from sacrebleu.metrics.bleu import BLEU

        lists = base.reference_lists(references)
        most = max(map(len, lists))
        # sacrebleu wants the first reference of every clip, then the second, None where none.
        columns: list[list[Any]] = [
            [row[i] if i < len(row) else None for row in lists] for i in range(most)
        ]
        corpus, sentence = BLEU(), BLEU(effective_order=True)
        score = corpus.corpus_score(predictions, columns).score / 100
        rows = zip(predictions, lists, strict=True)
        return {
            "bleu4": float(score),
            "bleu4_per_sample": [
                float(sentence.sentence_score(said, texts).score / 100) for said, texts in rows
            ],
            "bleu4_signature": str(corpus.get_signature()),
        }
