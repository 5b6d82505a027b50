"""Measures on clips of validation performers while the language model trains.

`loss` is that of the whole conversation (label, commentary, corrected codes). `label_field` and
`commentary_field` are the shares of free greedy answers that hold the field (ProfVLM Table 9), and
`format` the share without any fault: both fields, in order, every line a remark or the drill.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.model.processing_poise import PoiseProcessor
from assistant.tasks.commentary import prompt_pieces
from data_prep.drills.commentary import compose_summary
from prompts.parse import parse_feedback
from prompts.render import render_messages
from training.language_samples import (
    PerceivedClip,
    correction_messages,
    ignore_guide,
    perceive,
    token_sample,
)
from training.precision import uses_bf16
from training.run import Run, learner_poses

LOSS_BATCH = 8


class HeldOut:
    """Called with the model, at any step; its clips are perceived at the first call."""

    def __init__(self, run: Run, processor: PoiseProcessor) -> None:
        self.run, self.processor = run, processor
        self._clips: list[PerceivedClip] = []

    def __call__(self, model: Any) -> dict[str, float]:
        """The measures; leaves the model in eval mode."""
        if not self._clips:
            self._clips = validation_clips(self.run)
        inner: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        inner.eval()
        bf16 = uses_bf16(self.run.recipe.language.precision)
        with torch.autocast(inner.device.type, torch.bfloat16, enabled=bf16):
            return {"loss": self._loss(inner), **self._compliance(inner)}

    @torch.inference_mode()
    def _loss(self, model: Any) -> float:
        samples = []
        for clip in self._clips:
            messages = correction_messages(
                clip, clip.answer, demonstration=None, supervised=True
            )  # as in training, but never with a demonstration
            sample = token_sample(self.processor, messages, clip.inputs)
            samples.append(ignore_guide(sample, *clip.learner_codes.shape))
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
        return compliance([answer.text for answer in answers])


def compliance(texts: list[str]) -> dict[str, float]:
    """Shares of texts with a label field, with a commentary field, and without any fault."""
    read = [parse_feedback(text) for text in texts]
    return {
        "label_field": float(np.mean([r.level is not None for r in read])),
        "commentary_field": float(np.mean([bool(r.commentary) for r in read])),
        "format": float(np.mean([not r.problems for r in read])),
    }


def validation_clips(run: Run) -> list[PerceivedClip]:
    """The first clips of known activities of the validation performers, as the model meets them."""
    drills = [d for d in run.pool("validation") if d.level is not None]
    drills = drills[: run.recipe.loop.evaluation_clips]
    seed, perception = run.recipe.seed + 32, run.perception()
    poses = learner_poses(drills, seed)
    assessments = perception.assessor.assess_many(poses)
    clips = perceive(drills, poses, assessments, perception)
    return [
        replace(
            clip,
            answer=compose_summary(clip.drill, np.random.default_rng([seed, 9, i])),
            inputs=replace(clip.inputs, numbers=run.recipe.language.numbers),
        )
        for i, clip in enumerate(clips)
    ]
