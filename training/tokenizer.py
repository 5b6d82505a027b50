"""Train the language model's tokenizer: SentencePiece BPE with byte fallback.

The folder that `train_tokenizer` writes loads by `AutoTokenizer.from_pretrained(folder)` as an
ordinary fast tokenizer. Ids: 0 `<|unk|>`, 1 `<|pad|>`, 256 bytes, the learned pieces, then the
special tokens of `prompts.vocabulary.special_tokens` in their order, so the pose codes are
contiguous; last the calls of the chat, where the model learns dialogues. There is no dummy space
before a text, and a newline is one byte token, so `decode(encode(text)) == text`; the one exception
is U+2581, which stands for a space inside SentencePiece and is read back as one.
"""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from prompts.render import chat_template
from prompts.vocabulary import CALLS, TURN_END, TURN_START, special_tokens

# Spelled like the other special tokens, so that escaping "<|" covers them too.
UNKNOWN: Final = "<|unk|>"
PAD: Final = "<|pad|>"
N_BYTES: Final = 256
MODEL_FILE: Final = "tokenizer.model"


def _train_pieces(lines: list[str], vocabulary: int) -> bytes:
    import sentencepiece

    model = io.BytesIO()  # a file's name would be written into the model
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        split_digits=True,
        unk_id=0,
        unk_piece=UNKNOWN,
        pad_id=1,
        pad_piece=PAD,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,  # the same bytes on every run
        max_sentence_length=1 << 16,
        minloglevel=2,
    )
    return model.getvalue()


def _configuration(codebook_size: int) -> dict[str, object]:
    return {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "legacy": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": TURN_START,
        "eos_token": TURN_END,
        "pad_token": PAD,
        "unk_token": UNKNOWN,
        "extra_special_tokens": special_tokens(codebook_size),
        "model_max_length": 2048,
        "padding_side": "right",
    }


def train_tokenizer(
    texts: Iterable[str],
    folder: Path,
    *,
    vocabulary: int = 1024,
    codebook_size: int = 256,
    calls: bool = False,
) -> None:
    """Train on `texts` and write a folder for `AutoTokenizer.from_pretrained`.

    Args:
        texts: what the model will read and write; special tokens in them are not learned.
        folder: made if it is missing.
        vocabulary: pieces before the special tokens, the 256 bytes among them.
        codebook_size: pose codes, one special token each.
        calls: add the tokens by which a chat answer calls for what is shown or filled in.

    Raises:
        PoiseError: too little text for that many pieces.
    """
    specials = [*special_tokens(codebook_size), *CALLS]
    lines = [line for text in texts for line in _plain_lines(text, specials)]
    try:
        model = _train_pieces(lines, vocabulary)
    except RuntimeError as error:
        raise PoiseError(
            "the tokenizer cannot be trained",
            got=f"{len(lines)} lines of text and vocabulary {vocabulary} ({error})",
            expected=f"enough text for {vocabulary - N_BYTES - 2} pieces",
            remedy="give more text or a smaller vocabulary",
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    (folder / "chat_template.jinja").write_text(chat_template(), encoding="utf-8")
    configuration = json.dumps(_configuration(codebook_size), indent=2, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(configuration + "\n", encoding="utf-8")
    if calls:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        add_calls(tokenizer)
        tokenizer.save_pretrained(folder)


def add_calls(tokenizer: Any) -> None:
    """Add the calls of the chat to a vocabulary.

    They are no special tokens: decoding an answer keeps them.
    """
    from transformers import AddedToken

    tokenizer.add_tokens([AddedToken(call, normalized=False, special=False) for call in CALLS])


def _plain_lines(text: str, specials: list[str]) -> list[str]:
    """The lines of a text without special tokens."""
    for token in specials:
        if token in text:
            text = text.replace(token, "\n")
    return [line for line in text.split("\n") if line.strip()]
