"""From messages and perception features to the tensors that the model reads.

`PoiseProcessor` is the only place where a prompt becomes token ids: training, evaluation, chat and
serving all call it. `placeholder_count` is the one rule for how many tokens a modality takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, ProcessorMixin

from assistant.errors import PoiseError
from assistant.model.configuration_poise import GIVEN
from prompts.numbers import NUMERIC
from prompts.vocabulary import CALLS

MODALITIES = ("video", "pose", "score", "regions", "stage1")
IGNORED = -100


@dataclass(frozen=True)
class ModelInputs:
    """Perception features of one clip; a missing modality is None.

    Attributes:
        video: [V, video_size], one row per view in the order of `prompts.vocabulary.VIEWS`.
        pose: [F, pose_size], one row per frame of the correction window.
        score: [14] the proficiency numbers.
        regions: [18] P(polarity) of the six regions.
        stage1: [K, stage1_size] pooled Stage-1 features.
        frames: video frames that each view's feature was made from (named in the prompt).
        numbers: how score and regions are given to the model, one of
            `prompts.numbers.NUMBER_FORMS`; that of the model's configuration.
        pose_text: the pose as text (`prompts.pose_text`), where the model is given it so: its rows
            are then not spliced in.
        demonstration: [frames, tokens] codes of an expert who shows it, for the prompt of the
            commentary alone (ExpertAF's full supervision); None as the paper runs F_t.
    """

    video: np.ndarray | None = None
    pose: np.ndarray | None = None
    score: np.ndarray | None = None
    regions: np.ndarray | None = None
    stage1: np.ndarray | None = None
    frames: int = 8
    numbers: str = "token"
    pose_text: str = ""
    demonstration: Sequence[Sequence[int]] | None = None

    def spliced(self, modality: str) -> np.ndarray | None:
        """The features whose embedding rows replace placeholders; None where there are none, or
        where the prompt gives them as text or not at all."""
        if modality in NUMERIC and self.numbers != "token":
            return None
        if modality == "pose" and self.pose_text:
            return None
        rows: np.ndarray | None = getattr(self, modality)
        return rows

    def given(self, inputs: str) -> "ModelInputs":
        """The same clip without the features that a model is not given, by a name of `GIVEN`."""
        hidden: dict[str, Any] = {n: None for n in GIVEN["all"] if n not in GIVEN[inputs]}
        if "pose" in hidden:
            hidden["pose_text"] = ""
        return replace(self, **hidden) if hidden else self

    def check_forms(self, numbers: str, pose_form: str) -> None:
        """Raise PoiseError where numbers or pose are given in another form than the model's."""
        given = [m for m in NUMERIC if getattr(self, m) is not None]
        pose = "text" if self.pose_text else "features" if self.pose is not None else pose_form
        for what, got, wanted in (
            (" and ".join(given), self.numbers if given else numbers, numbers),
            ("the pose", pose, pose_form),
        ):
            if got != wanted:
                raise PoiseError(
                    f"the prompt gives {what} in a form that the model does not know",
                    got=got,
                    expected=wanted,
                    remedy="build the inputs by the Perception of the same checkpoint",
                )

    def counts(self, *, fused_video: bool = False) -> dict[str, int]:
        """Placeholders of each modality in this clip's prompt."""
        return {
            m: placeholder_count(m, self.spliced(m), fused_video=fused_video) for m in MODALITIES
        }


def placeholder_count(
    modality: str, features: np.ndarray | None, *, fused_video: bool = False
) -> int:
    """How many placeholder tokens, and so embedding rows, the features of a modality take."""
    if features is None:
        return 0
    if modality in NUMERIC:
        return 1
    if modality == "video" and fused_video:
        return 1 if len(features) else 0
    return len(features)


def mismatch(modality: str, placeholders: int, rows: int, sample: int = 0) -> PoiseError:
    """The error of a prompt with another number of placeholders than its features have rows."""
    return PoiseError(
        f"the prompt does not match its {modality} features",
        got=f"{placeholders} placeholders and {rows} rows in sample {sample}",
        expected="as many placeholders as rows",
        remedy="build prompt and features by PoiseProcessor",
    )


class PoiseProcessor(ProcessorMixin):
    """Tokenises conversations and pads the features of a batch with presence masks."""

    attributes = ["tokenizer"]
    tokenizer_class = "AutoTokenizer"

    def __init__(self, tokenizer: Any = None, fused_video: bool = False, **kwargs: Any) -> None:
        self.fused_video = fused_video
        super().__init__(tokenizer, **kwargs)

    def encode(
        self, messages: Sequence[dict[str, str]], *, answer_start: str | None = None
    ) -> list[int]:
        """Token ids of a prompt that ends where the assistant speaks, after `answer_start`."""
        text = self.tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=True
        )
        return self.text_ids(text + (answer_start or ""))

    def text_ids(self, text: str) -> list[int]:
        """Token ids of a piece of text, nothing added before or after."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def call_ids(self) -> dict[str, int]:
        """The calls of the chat that this vocabulary has: all of them, or none where the model
        learned no dialogues."""
        known = self.tokenizer.get_added_vocab()
        return {call: known[call] for call in CALLS if call in known}

    def encode_with_labels(self, messages: Sequence[dict[str, str]]) -> tuple[list[int], list[int]]:
        """Token ids of a whole conversation and labels: assistant tokens and their end-of-turn."""
        encoded = self.tokenizer.apply_chat_template(
            list(messages),
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids, mask = encoded["input_ids"], encoded["assistant_masks"]
        if not any(mask):
            raise PoiseError(
                "nothing to learn from a conversation",
                got="no assistant token under the chat template",
                expected="a template with {% generation %} marks and an assistant message",
            )
        return ids, [token if kept else IGNORED for token, kept in zip(ids, mask, strict=True)]

    def collate(
        self,
        token_ids: Sequence[Sequence[int]],
        inputs: Sequence[ModelInputs],
        *,
        labels: Sequence[Sequence[int]] | None = None,
        label_weights: Sequence[Sequence[float]] | None = None,
        padding_side: str = "right",
        packed: bool = False,
    ) -> BatchFeature:
        """Pad a batch. Junk in padding changes nothing: it is masked everywhere.

        Packed, the samples stand in one row without padding. Positions begin anew with each, which
        is how transformers knows that no sample attends to another; it looks at them only where
        there is neither a mask nor a cache, so the batch asks for none.

        Args:
            token_ids: one list per sample.
            inputs: the features of each sample.
            labels, label_weights: as long as the token ids, for training.
            padding_side: "right" for training, "left" for generation.
        """
        if packed:
            return self._packed(token_ids, inputs, labels, label_weights)
        length = max(len(ids) for ids in token_ids)
        pad = self.tokenizer.pad_token_id

        def padded(rows: Sequence[Sequence[Any]], fill: Any, dtype: torch.dtype) -> torch.Tensor:
            out = torch.full((len(rows), length), fill, dtype=dtype)
            for i, row in enumerate(rows):
                values = torch.tensor(list(row), dtype=dtype)
                if padding_side == "right":
                    out[i, : len(row)] = values
                else:
                    out[i, length - len(row) :] = values
            return out

        batch = {
            "input_ids": padded(token_ids, pad, torch.long),
            "attention_mask": padded([[1] * len(ids) for ids in token_ids], 0, torch.long),
        }
        if labels is not None:
            batch["labels"] = padded(labels, IGNORED, torch.long)
        if label_weights is not None:
            batch["label_weights"] = padded(label_weights, 0.0, torch.float32)
        for modality in MODALITIES:
            batch |= stack_features(modality, [sample.spliced(modality) for sample in inputs])
        return BatchFeature(batch)

    def _packed(
        self,
        token_ids: Sequence[Sequence[int]],
        inputs: Sequence[ModelInputs],
        labels: Sequence[Sequence[int]] | None,
        label_weights: Sequence[Sequence[float]] | None,
    ) -> BatchFeature:
        """All samples in one row [1, T]; their features stay one row a sample."""

        def row(values: Sequence[Sequence[Any]], dtype: torch.dtype) -> torch.Tensor:
            return torch.tensor([[item for value in values for item in value]], dtype=dtype)

        batch: dict[str, Any] = {
            "use_cache": False,
            "input_ids": row(token_ids, torch.long),
            "position_ids": row([range(len(ids)) for ids in token_ids], torch.long),
        }
        if labels is not None:
            # The sample before must not learn to foretell how the next one begins.
            batch["labels"] = row([[IGNORED, *some[1:]] for some in labels], torch.long)
        if label_weights is not None:
            batch["label_weights"] = row(label_weights, torch.float32)
        for modality in MODALITIES:
            batch |= stack_features(modality, [sample.spliced(modality) for sample in inputs])
        return BatchFeature(batch)

    def __call__(
        self,
        conversations: Sequence[Sequence[dict[str, str]]],
        inputs: Sequence[ModelInputs],
        *,
        answer_starts: Sequence[str | None] | None = None,
    ) -> BatchFeature:
        """Left-padded tensors for generation from conversations that wait for an answer."""
        starts = answer_starts if answer_starts is not None else [None] * len(conversations)
        token_ids = [
            self.encode(messages, answer_start=start)
            for messages, start in zip(conversations, starts, strict=True)
        ]
        return self.collate(token_ids, inputs, padding_side="left")


def stack_features(modality: str, rows: Sequence[np.ndarray | None]) -> dict[str, torch.Tensor]:
    """`{modality}_features` and `{modality}_mask` of a batch; empty when no sample has any."""
    present = [row for row in rows if row is not None and len(row)]
    if not present:
        return {}
    if modality in NUMERIC:
        features = torch.zeros(len(rows), len(present[0]))
        mask = torch.zeros(len(rows), dtype=torch.bool)
        for i, row in enumerate(rows):
            if row is not None:
                features[i], mask[i] = torch.as_tensor(row, dtype=torch.float32), True
    else:
        most = max(len(row) for row in present)
        features = torch.zeros(len(rows), most, present[0].shape[-1])
        mask = torch.zeros(len(rows), most, dtype=torch.bool)
        for i, row in enumerate(rows):
            if row is not None:
                features[i, : len(row)] = torch.as_tensor(row, dtype=torch.float32)
                mask[i, : len(row)] = True
    return {f"{modality}_features": features, f"{modality}_mask": mask}
