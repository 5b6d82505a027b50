"""Measures on clips of validation performers while the language model trains.

`loss` is that of the whole conversation (label, commentary, corrected codes). `label_field` and
`commentary_field` are the shares of free greedy answers that hold the field (ProfVLM Table 9), and
`format` the share without any fault: both fields, in order, every line a remark or the drill.
`level_accuracy` and `level_macro_f1` are of the level that the answer names. With
`language.dataset` the clips are takes of its validation split, and `format` is left out, since its
texts are free. With `language.pairs` `loss` is that of label and commentary, and `retrieval_loss`
and `correction_loss` are those of the codes that F_r and F_g learn, on validation pairs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.model.processing_poise import PoiseProcessor
from assistant.tasks.commentary import prompt_pieces
from prompts.parse import LABEL_FIRST, parse_feedback
from prompts.render import render_messages
from prompts.vocabulary import LEVELS
from training.clips import told
from training.dataset_clips import dataset_clips
from training.language_samples import (
    PerceivedClip,
    TokenSample,
    ToldClip,
    commentary_messages,
    correction_messages,
    ignore_guide,
    perceive,
    retrieval_messages,
    task_samples,
    token_sample,
)
from training.paired_clips import PairedClip, measured_pairs
from training.precision import uses_bf16
from training.run import Run, learner_poses
from training.video_features import drawn_views, masked, rendered_features

LOSS_BATCH = 8


class HeldOut:
    """Called with the model, at any step; its clips are perceived at the first call."""

    def __init__(self, run: Run, processor: PoiseProcessor) -> None:
        self.run, self.processor = run, processor
        self._clips: Sequence[ToldClip] = []
        self._pairs: Sequence[PairedClip] = []

    def __call__(self, model: Any) -> dict[str, float]:
        """The measures; leaves the model in eval mode."""
        if not self._clips:
            self._clips = measured_clips(self.run)
            self._pairs = measured_pairs(self.run) if self.run.recipe.language.pairs else []
        inner: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        inner.eval()
        bf16 = uses_bf16(self.run.recipe.language.precision)
        with torch.autocast(inner.device.type, torch.bfloat16, enabled=bf16):
            losses = {"loss": self._loss(inner, self._told())}
            if self._pairs:
                losses |= {task: self._loss(inner, some) for task, some in self._paired().items()}
            return {**losses, **self._compliance(inner)}

    def _paired(self) -> dict[str, list[TokenSample]]:
        """F_r and F_g of the pairs, as in training."""
        found: dict[str, list[TokenSample]] = {"retrieval_loss": [], "correction_loss": []}
        stride = self.run.recipe.language.retrieval_stride
        for clip in self._pairs:
            asked = retrieval_messages(
                clip, clip.answer, clip.demonstration, stride, supervised=False
            )
            fixed = correction_messages(clip, clip.answer, demonstration=None, supervised=False)
            kinds = [("retrieval", asked), ("correction", fixed)]
            samples = task_samples(self.processor, clip, kinds, {})
            for mine, sample in zip(found.values(), samples, strict=True):
                mine.append(sample)
        return found

    def _told(self) -> list[TokenSample]:
        """The clips' conversations as in training, but never with a demonstration."""
        language, samples = self.run.recipe.language, []
        for clip in self._clips:
            if language.tasks == "commentary" or language.dataset:
                messages = commentary_messages(clip, clip.answer, demonstration=None)
                samples.append(token_sample(self.processor, messages, clip.inputs))
                continue
            assert isinstance(clip, PerceivedClip)
            messages = correction_messages(clip, clip.answer, demonstration=None, supervised=True)
            sample = token_sample(self.processor, messages, clip.inputs)
            samples.append(ignore_guide(sample, *clip.learner_codes.shape))
        return samples

    @torch.inference_mode()
    def _loss(self, model: Any, samples: Sequence[TokenSample]) -> float:
        losses = []
        for start in range(0, len(samples), LOSS_BATCH):
            some = samples[start : start + LOSS_BATCH]
            batch = self.processor.collate(
                [s.ids for s in some], [s.inputs for s in some], labels=[s.labels for s in some]
            ).to(model.device)
            losses.append(model(**batch).loss.item())
        return float(np.mean(losses))

    def _compliance(self, model: Any) -> dict[str, float]:
        prompts = [
            Prompt(render_messages("commentary", **prompt_pieces(clip.inputs)), clip.inputs)
            for clip in self._clips
        ]
        answers = TransformersEngine(model, self.processor).generate(prompts, GenerationOptions())
        form = self.run.recipe.language.answer_form
        texts = [answer.text for answer in answers]
        found = compliance(texts, form) | levels_said(texts, form, self._clips)
        if self.run.recipe.language.dataset:
            del found["format"]
        return found


def compliance(texts: Sequence[str], form: str = LABEL_FIRST) -> dict[str, float]:
    """Shares of texts with a label field, with a commentary field, and without any fault."""
    read = [parse_feedback(text, form) for text in texts]
    return {
        "label_field": float(np.mean([r.level is not None for r in read])),
        "commentary_field": float(np.mean([bool(r.commentary) for r in read])),
        "format": float(np.mean([not r.problems for r in read])),
    }


def levels_said(texts: Sequence[str], form: str, clips: Sequence[ToldClip]) -> dict[str, float]:
    """Accuracy and macro F1 of the levels that the texts name (ProfVLM Tables 4 and 6 to 8), beside
    the share of the commonest level. A text that names none is wrong."""
    true = np.array([clip.level for clip in clips])
    found = [parse_feedback(text, form).level for text in texts]
    said = np.array([-1 if level is None else LEVELS.index(level) for level in found])
    f1 = [
        2 * np.sum((said == k) & (true == k)) / max(np.sum(said == k) + np.sum(true == k), 1)
        for k in range(len(LEVELS))
        if np.any(true == k)
    ]
    return {
        "level_accuracy": float(np.mean(said == true)),
        "level_macro_f1": float(np.mean(f1)),
        "level_majority": float(np.bincount(true).max() / len(true)),
        "n": len(true),
    }


def with_films(run: Run, clips: Sequence[PerceivedClip], seed: int) -> list[PerceivedClip]:
    """The clips with films where the model is given nothing else; else as they are, since others
    are measured, as they are calibrated, on poses alone."""
    language, perception = run.recipe.language, run.perception()
    if language.inputs != "video":
        return list(clips)
    filmed = drawn_views(len(clips), language.video_share, language.rig, seed)
    rows = rendered_features(
        [clip.drill.pose for clip in clips],
        [clip.window.start for clip in clips],
        perception,
        filmed,
        seed,
        run.recipe.data.workers,
    )
    return [
        replace(clip, inputs=replace(clip.inputs, video=masked(row, names, language.views)))
        for clip, row, names in zip(clips, rows, filmed, strict=True)
    ]


def measured_clips(run: Run) -> Sequence[ToldClip]:
    """`loop.evaluation_clips` clips of the validation performers, or takes of a dataset's."""
    if run.recipe.language.dataset:
        return dataset_clips(run, "validation", run.recipe.loop.evaluation_clips)
    return validation_clips(run)


def validation_clips(run: Run) -> list[PerceivedClip]:
    """The first clips of known activities of the validation performers, as the model meets them."""
    drills = [d for d in run.pool("validation") if d.level is not None]
    drills = drills[: run.recipe.loop.evaluation_clips]
    seed, perception = run.recipe.seed + 32, run.perception()
    poses = learner_poses(drills, seed)
    assessments = perception.assessor.assess_many(poses)
    clips = with_films(run, perceive(drills, poses, assessments, perception), seed)
    return [told(run, clip, seed, i) for i, clip in enumerate(clips)]
