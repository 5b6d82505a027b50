"""Words of a text as METEOR and CIDEr count them: Penn Treebank tokens in small letters."""

import re
from typing import Final

# The tokens that COCO's caption evaluation leaves out after the Penn Treebank tokenizer.
PUNCTUATION: Final = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", "(", ")", "[", "]", "{", "}"]
    + [".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
# nltk's own sentence splitter needs a model that must be downloaded.
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


def sentences(text: str) -> list[str]:
    """The sentences of a text, split after a full stop, question or exclamation mark."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def words(text: str) -> list[str]:
    """Treebank tokens of each sentence in turn, in small letters, punctuation among them."""
    from nltk.tokenize import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    return [w.lower() for part in sentences(text) for w in tokenizer.tokenize(part)]


def caption_words(text: str) -> list[str]:
    """`words` without punctuation."""
    return [word for word in words(text) if word not in PUNCTUATION]
