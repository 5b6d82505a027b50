"""Conversations in pose codes: corrections (F_g), demonstrations (F_r), and the library's own.

Each is asked after a clip's features or without any, and never after a commentary: what the answer
is follows from the learner's codes alone.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from assistant.demos.library import Library
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.perception import Perception
from assistant.tasks.commentary import prompt_pieces
from assistant.tasks.retrieval import ranked_frames
from data_prep.drills.records import Drill
from prompts.render import Codes, render_messages
from training.language_samples import (
    PairClip,
    Pairs,
    PerceivedClip,
    TokenSample,
    ignore_guide,
    token_sample,
)
from training.moment_windows import near_moments
from training.run import Run

# Task, name, features, the learner's codes and those to write.
Asked = tuple[str, str, ModelInputs, Codes, Codes]


def code_samples(
    run: Run,
    processor: PoiseProcessor,
    drills: Sequence[Drill],
    clips: Sequence[PerceivedClip],
    library: Library,
) -> list[TokenSample]:
    """F_g and F_r without commentary: of pool A without features, of pool B after them; and every
    item of the library after no clip at all."""
    perception = run.perception()
    asked: list[Asked] = []
    for copy in range(run.recipe.pretrain.windows_per_clip):
        asked += plain_corrections(drills, perception, run.recipe.seed + 100 + copy)
    language = run.recipe.language
    pairs = Pairs(library, language.demonstrations, run.recipe.seed)
    given = (pairs.pair(i, clip) for i, clip in enumerate(clips))
    asked += pair_codes(given, language.retrieval_stride)
    return [
        *asked_samples(processor, asked),
        *library_samples(processor, library, language.retrieval_stride),
    ]


def plain_corrections(drills: Sequence[Drill], perception: Perception, seed: int) -> list[Asked]:
    """F_g of a window near a true moment of each clip, without features."""
    _, learners, twins = near_moments(drills, seed)
    given, wanted = (perception.encode_windows(some)[1].tolist() for some in (learners, twins))
    return [
        ("correction", drill.sample_id, ModelInputs(), learner, twin)
        for drill, learner, twin in zip(drills, given, wanted, strict=True)
    ]


def pair_codes(pairs: Iterable[tuple[np.ndarray, PairClip]], stride: int) -> list[Asked]:
    """F_g and F_r of each clip after its features; beside it its demonstration's codes [10, M].

    Args:
        stride: `LanguageSettings.retrieval_stride`.
    """
    asked: list[Asked] = []
    for gold, clip in pairs:
        learner, name = clip.learner_codes.tolist(), clip.sample_id
        asked.append(("correction", name, clip.inputs, learner, clip.target_codes.tolist()))
        seen, shown = (ranked_frames(c, stride).tolist() for c in (clip.learner_codes, gold))
        asked.append(("retrieval", name, clip.inputs, seen, shown))
    return asked


def asked_samples(processor: PoiseProcessor, asked: Sequence[Asked]) -> list[TokenSample]:
    """The conversations; of a correction the written frames alone are learned."""
    samples = []
    for task, name, inputs, learner, target in asked:
        messages = render_messages(
            task, learner_codes=learner, target=target, **prompt_pieces(inputs)
        )
        sample = token_sample(processor, messages, inputs, sample_id=f"{name}/{task}")
        if task == "correction":
            sample = ignore_guide(sample, len(learner), len(learner[0]))
        samples.append(sample)
    return samples


def library_samples(processor: PoiseProcessor, library: Library, stride: int) -> list[TokenSample]:
    """Codes of every item after no clip at all."""
    return [
        token_sample(
            processor,
            render_messages("retrieval", target=ranked_frames(item.codes, stride).tolist()),
            ModelInputs(),
            sample_id=item.demonstration_id,
        )
        for item in library.items
    ]
