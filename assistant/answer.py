"""An answer of the language model, level and commentary, in the form that the model was trained on.

Most models name the level first; for ablations it may be named last, or alone (`prompts.parse`).
Coaching and training both ask here, so that a model is measured as it is run.
"""

from collections.abc import Sequence

from assistant.engine.base import Engine, GenerationOptions
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import answer_prompt, commentary_prompt
from prompts.parse import (
    COMMENTARY_FIRST,
    LABEL_FIRST,
    LABEL_ONLY,
    answer_start,
    format_feedback,
    format_label,
    up_to_label,
)


def said_before_label(engine: Engine, inputs: Sequence[ModelInputs], *, seed: int = 0) -> list[str]:
    """Each answer as far as the label's prefix, "" where the model begins with the label.

    Give it to `label_prompt`: a level that comes last is judged after the model's own commentary.
    """
    config = engine.config
    if config.answer_form != COMMENTARY_FIRST:
        return [""] * len(inputs)
    prompts = [
        answer_prompt(each, config.answer_form, fused_video=config.projector_fused)
        for each in inputs
    ]
    written = engine.generate(prompts, GenerationOptions(seed=seed))
    start = answer_start(config.answer_form)
    return [up_to_label(start + answer.text) for answer in written]


def whole_answers(
    engine: Engine,
    inputs: Sequence[ModelInputs],
    names: Sequence[str],
    said: Sequence[str],
    *,
    seed: int = 0,
) -> list[str]:
    """The text of each answer with its level forced to the named one.

    Args:
        names: the levels.
        said: from `said_before_label`.
    """
    config = engine.config
    if config.answer_form == LABEL_ONLY:
        return [format_feedback(name, (), None, LABEL_ONLY) for name in names]
    if config.answer_form == COMMENTARY_FIRST:
        return [f"{before} {name}." for before, name in zip(said, names, strict=True)]
    prompts = [
        commentary_prompt(each, name, fused_video=config.projector_fused)
        for each, name in zip(inputs, names, strict=True)
    ]
    written = engine.generate(prompts, GenerationOptions(seed=seed))
    return [
        f"{format_label(name)}{answer.text}" for name, answer in zip(names, written, strict=True)
    ]


def check_label_first(config: PoiseConfig) -> None:
    """Raise PoiseError for a model of another form, where answers are streamed as they come."""
    if config.answer_form != LABEL_FIRST:
        raise PoiseError(
            "this model cannot be chatted with",
            got=f"a model that answers {config.answer_form}, trained for an ablation",
            expected=f"one that answers {LABEL_FIRST}",
            remedy="coach or evaluate it, or serve another one",
        )
