"""METEOR (Banerjee and Lavie 2005) as nltk computes it, with WordNet's synonyms.

Not the METEOR 1.5 of 2014, which has other weights and paraphrases.
"""

from typing import Any

from assistant.errors import PoiseError
from eval.metrics import base, wordnet
from eval.metrics.words import words


class Meteor(base.TextMetric):
    """METEOR, 0 to 1 (alpha 0.9, beta 3, gamma 0.5), mean over clips; the best of several
    references. `synonyms="none"` does without WordNet, gives other numbers and says so."""

    SOURCE = "Banerjee and Lavie 2005, METEOR; nltk.translate.meteor_score"

    def _compute(
        self, predictions: Any, references: Any, synonyms: str = "wordnet"
    ) -> dict[str, Any]:
        from nltk.translate.meteor_score import meteor_score

        if synonyms not in ("wordnet", "none"):
            raise PoiseError("unknown synonyms", got=repr(synonyms), expected="wordnet, none")
        reader = wordnet.reader() if synonyms == "wordnet" else wordnet.NoSynonyms()
        scores = [
            meteor_score([words(text) for text in texts], words(said), wordnet=reader)
            if said.strip()
            else 0.0
            for said, texts in zip(predictions, base.reference_lists(references), strict=True)
        ]
        return base.mean_result("meteor", scores) | {"meteor_synonyms": reader.label}
