"""The back end `model`: poise-mini itself reads the comment, without a clip.

    poise data label --evaluate FILE.jsonl --backend model [--checkpoint DIR]

An answer that is not two well-formed lines is a failure, never a guess: a checkpoint that was not
trained on this task fails on every comment.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from assistant.checkpoint import LANGUAGE_FOLDER, Checkpoint
from assistant.engine.base import Engine, GenerationOptions, Prompt
from data_prep.commentary.labels import Answer, Comment, Failure, Label
from prompts.hashing import prompt_sha256
from prompts.labelling import parse_mini_label, render_mini_request

BATCH: Final = 16
MAX_NEW_TOKENS: Final = 120


class ModelLabeller:
    """Labels comments by an engine's `generate`.

    Args:
        engine: any engine over a Poise model.
        about: what to record of it.
    """

    name = "model"

    def __init__(self, engine: Engine, about: dict[str, Any] | None = None) -> None:
        self.engine = engine
        self.about = dict(about or {})

    @classmethod
    def open(cls, folder: Path | None = None) -> "ModelLabeller":
        """The labeller over a checkpoint, by default the one that ships with Poise."""
        from assistant.engine.transformers_engine import TransformersEngine

        checkpoint = Checkpoint.open(folder)
        engine = TransformersEngine.from_pretrained(checkpoint.folder / LANGUAGE_FOLDER)
        return cls(engine, {"model": checkpoint.name, "model_sha256": checkpoint.sha256()})

    def describe(self) -> dict[str, Any]:
        """Checkpoint and prompt."""
        return {"backend": self.name, **self.about, "prompt_sha256": prompt_sha256()}

    def label(
        self, comments: Sequence[Comment], progress: Callable[[int, int], None]
    ) -> list[Answer]:
        """One label or failure a comment, greedy, in batches."""
        from assistant.model.processing_poise import ModelInputs

        options = GenerationOptions(max_new_tokens=MAX_NEW_TOKENS)
        answers: list[Answer] = []
        for start in range(0, len(comments), BATCH):
            prompts = [
                Prompt(render_mini_request(c.text, c.activity), ModelInputs())
                for c in comments[start : start + BATCH]
            ]
            generated = self.engine.generate(prompts, options)
            answers += [read_answer(generation.text) for generation in generated]
            progress(len(answers), len(comments))
        return answers


def read_answer(text: str) -> Answer:
    """The label of a generated text, or why it is refused."""
    try:
        parsed = parse_mini_label(text)
    except ValueError as fault:
        return Failure(f"refused, {fault}")
    return Label(parsed.summary, parsed.regions)
