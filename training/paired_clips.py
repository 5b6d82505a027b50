"""Pairs as the language model learns them (ExpertAF sections 3.2 and 3.3): `language.pairs`.

F_t: every labelled row of split train without a demonstration; a paired learner's a second time,
its closest expert in the prompt (`language.demonstration_dropout`) and the level not learned: only
beginners have pairs, so that a demonstration would tell it. F_r and F_g: every pair of split train
that no review rejected; both follow the commentary and write the codes of the expert's two seconds,
which were mined to be in step with the learner's: F_r as a demonstration, F_g as the correction,
turned to face as the learner does. A demonstration is never in the prompt of these two: they would
copy it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from assistant.demos.library import Library
from assistant.errors import PoiseError
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.perception import Perception, turned
from assistant.pose.alignment import best_yaw
from assistant.pose.normalise import NormalisedPose
from assistant.tasks.window import WINDOW_FPS, WindowFrames, cut_window, window_times
from eval.pair_experts import paired_experts
from eval.pairs import LearnerPair, PairTable
from prompts.parse import LABEL_ONLY
from training.dataset_clips import (
    NAMED,
    POSES_AT_ONCE,
    DatasetClip,
    Seen,
    dataset_clips,
    labelled_rows,
    read_rows,
    seen,
    told_sample,
    told_samples,
)
from training.dataset_pairs import LEARNED, MEASURED, expert_library, pair_table
from training.language_samples import (
    Pairs,
    TokenSample,
    correction_messages,
    ignore_label,
    retrieval_messages,
    task_samples,
)
from training.progress import Progress
from training.run import Run


@dataclass(frozen=True)
class PairedClip:
    """A learner and one of its experts as the language model meets them.

    Attributes:
        learner: name of the row; start: second of the take at which its window begins.
        expert: name of the expert's two seconds (`eval.pairs.Stretch.name`).
        activity: as the expert's item in the library names it; level: the learner's.
        inputs: features of the prompt, of the learner's window.
        answer: level and text of the learner's row.
        learner_codes: [10, M] of the learner's window.
        gold: place in the library of what is learned: the expert, or another where the recipe
            pairs anew (`language.demonstrations`).
        demonstration: [10, M] that F_r learns: the library's codes, in the expert's own heading.
        target_codes: [10, M] that F_g learns: of the same frames turned to the learner.
    """

    learner: str
    start: float
    expert: str
    activity: str
    level: int
    inputs: ModelInputs
    answer: str
    learner_codes: np.ndarray
    gold: int
    demonstration: np.ndarray
    target_codes: np.ndarray

    @property
    def sample_id(self) -> str:
        """Learner, its window and the expert's."""
        return f"{self.learner}@{self.start:.3f}>{self.expert}"


@cache  # one run lives as long as its process
def paired_clips(run: Run) -> list[PairedClip]:
    """All pairs of split train whose learners are learned, by learner, region and nearness; once
    those of the same two windows, which two regions may have.

    Raises:
        PoiseError: there is none.
    """
    table = pair_table(run.recipe.language.pairs)
    told = {clip.sample_id: clip for clip in dataset_clips(run, LEARNED)}
    pairs = [pair for pair in table.every if pair.split == LEARNED]
    kept = _once([pair for pair in pairs if pair.sample_id in told])
    if not kept:
        raise PoiseError(
            f"nothing to learn of the pairs of {run.recipe.language.pairs}",
            got=f"{len(pairs)} pairs of split {LEARNED}, none whose learner is learned",
            expected="a learner with a text, and with a film or pose that the model is given",
            remedy="label and pair the dataset again, or set language.comments=all",
        )
    clips = _clips(run, told, kept, expert_library(run), run.recipe.language.demonstrations)
    left_out = sorted({pair.sample_id for pair in pairs} - told.keys())
    progress = Progress("pairs")
    progress.say(f"{len(clips)} pairs of {len({clip.learner for clip in clips})} learners")
    if left_out:
        names = ", ".join(left_out[:NAMED])
        progress.say(f"{len(left_out)} learners left out, no text or nothing to look at: {names}")
    about = {
        "pairs_sha256": table.sha256,
        "pairs": len(clips),
        "learners": len({clip.learner for clip in clips}),
        "experts": len(expert_library(run)),
        "status": table.statuses,
        "left_out": left_out,
    }
    run.write_metrics("pairs_train", about)
    return clips


def measured_pairs(run: Run) -> list[PairedClip]:
    """`loop.evaluation_clips` learners of split validation, each with its closest expert."""
    language, limit = run.recipe.language, run.recipe.loop.evaluation_clips
    table = pair_table(language.pairs)
    rows = {row["sample_id"]: row for row in labelled_rows(language)[MEASURED]}
    pairs = [pair for pair in table.of(MEASURED) if pair.sample_id in rows]
    rng = np.random.default_rng([run.recipe.seed, 21])
    chosen = sorted(rng.choice(len(pairs), min(limit, len(pairs)), replace=False))
    pairs = [pairs[i] for i in chosen]
    clips, _ = read_rows(run, MEASURED, [rows[pair.sample_id] for pair in pairs])
    told = {clip.sample_id: clip for clip in clips}
    pairs = [pair for pair in pairs if pair.sample_id in told]
    return _clips(run, told, pairs, Library(paired_experts(run.perception(), table, pairs)))


def pair_samples(run: Run, processor: PoiseProcessor, own: Mapping[str, str]) -> list[TokenSample]:
    """F_t of all rows, F_t of paired learners who are shown an expert, F_r and F_g of all pairs.

    Args:
        own: the model's own commentary of some learners, which F_r and F_g then follow.
    """
    settings, seed = run.recipe.language, run.recipe.seed
    clips, samples = paired_clips(run), []
    for clip in clips:
        said = own.get(clip.learner, clip.answer)
        asked = retrieval_messages(
            clip, said, clip.demonstration, settings.retrieval_stride, supervised=False
        )
        kinds = [
            ("retrieval", asked),
            ("correction", correction_messages(clip, said, demonstration=None, supervised=False)),
        ]
        samples += task_samples(processor, clip, kinds, settings.weighting)
    shown = {
        learner: clips[place].demonstration
        for learner, place in _closest_places(run, clips).items()
        if np.random.default_rng([seed, 20, place]).random() >= settings.demonstration_dropout
    }
    told = told_samples(processor, dataset_clips(run, LEARNED), settings)
    return [*told, *_shown_samples(run, processor, shown), *samples]


def _shown_samples(
    run: Run, processor: PoiseProcessor, shown: Mapping[str, np.ndarray]
) -> list[TokenSample]:
    """F_t of learners again, with codes [10, M] of a demonstration in the prompt: the words alone
    are learned. An answer that is a level alone has none."""
    settings = run.recipe.language
    if settings.answer_form == LABEL_ONLY:
        return []
    samples = [
        told_sample(
            processor, clip, settings, demonstration=shown[clip.sample_id], task="commentary_shown"
        )
        for clip in paired_learners(run)
        if clip.sample_id in shown
    ]
    return [ignore_label(processor, sample) for sample in samples]


def _closest_places(run: Run, clips: Sequence[PairedClip]) -> dict[str, int]:
    """Learner to the place of its closest expert among the clips."""
    table = pair_table(run.recipe.language.pairs)
    closest = {(pair.sample_id, pair.learner.start, pair.expert.name) for pair in table.pairs}
    places = enumerate(clips)
    return {c.learner: i for i, c in places if (c.learner, c.start, c.expert) in closest}


def paired_learners(run: Run) -> list[DatasetClip]:
    """The learned clips that have a pair."""
    paired = {clip.learner for clip in paired_clips(run)}
    return [clip for clip in dataset_clips(run, LEARNED) if clip.sample_id in paired]


def _once(pairs: Sequence[LearnerPair]) -> list[LearnerPair]:
    """The first pair of each learner, window and expert."""
    found: dict[tuple[str, str, str], LearnerPair] = {}
    for pair in pairs:
        found.setdefault((pair.sample_id, pair.learner.name, pair.expert.name), pair)
    return list(found.values())


def _clips(
    run: Run,
    told: Mapping[str, DatasetClip],
    pairs: Sequence[LearnerPair],
    library: Library,
    kind: str = "aligned",
) -> list[PairedClip]:
    """The clips of pairs whose learners are among `told` and whose experts are in the library; of
    another `kind` they learn from another item of it (`LanguageSettings.demonstrations`)."""
    places = {item.demonstration_id: i for i, item in enumerate(library.items)}
    windows = _learner_windows(run, told, pairs)
    learners = [windows[pair.sample_id, pair.learner.name] for pair in pairs]
    clips = []
    for pair, learner in zip(pairs, learners, strict=True):
        clip, gold = told[pair.sample_id], places[pair.expert.name]
        clips.append(
            PairedClip(
                learner=pair.sample_id,
                start=pair.learner.start,
                expert=pair.expert.name,
                activity=library.items[gold].activity,
                level=clip.level,
                inputs=replace(learner.inputs, video=clip.inputs.video, frames=clip.inputs.frames),
                answer=clip.answer,
                learner_codes=learner.codes,
                gold=gold,
                demonstration=library.items[gold].codes,
                target_codes=library.items[gold].codes,
            )
        )
    chosen = Pairs(library, kind, run.recipe.seed)
    golds = [chosen.place(i, clip) for i, clip in enumerate(clips)]
    items = [library.items[gold] for gold in golds]
    names = [item.demonstration_id for item in items]
    targets = turned_codes(run.perception(), pair_table(run.recipe.language.pairs), names, learners)
    return [
        replace(clip, gold=gold, demonstration=item.codes, target_codes=codes)
        for clip, gold, item, codes in zip(clips, golds, items, targets, strict=True)
    ]


def turned_codes(
    perception: Perception, table: PairTable, experts: Sequence[str], learners: Sequence[Seen]
) -> list[np.ndarray]:
    """Codes [10, M] of experts' two seconds, each as a whole turned to its learner's window.

    Expert and learner face +x by headings of their own, over other spans. The difference is no
    correction, but coaching, which puts a correction back at the learner's heading, would turn the
    learner by it.

    Args:
        experts: names of their windows (`eval.pairs.Stretch.name`), one a learner.
    """
    stretches = {pair.expert.name: pair.expert for pair in table.every}
    motions = {name: table.motion(stretches[name]) for name in sorted(set(experts))}
    windows = [
        _facing(motions[name], learner) for name, learner in zip(experts, learners, strict=True)
    ]
    codes: list[np.ndarray] = []
    for start in range(0, len(windows), POSES_AT_ONCE):
        codes += list(perception.encode_windows(windows[start : start + POSES_AT_ONCE])[1])
    return codes


def _facing(expert: NormalisedPose, learner: Seen) -> WindowFrames:
    """The expert's frames after the one yaw that brings them nearest to the learner's."""
    sure = expert.at_times(window_times(0.0), WINDOW_FPS).confidence * learner.confidence
    turn = best_yaw(cut_window(expert, 0.0).joints, learner.joints, sure)
    return cut_window(turned(expert, expert.yaw - turn), 0.0)


def _learner_windows(
    run: Run, told: Mapping[str, DatasetClip], pairs: Sequence[LearnerPair]
) -> dict[tuple[str, str], Seen]:
    """What is seen of each learner's windows, by its name and theirs; the closest pair's has been
    seen before."""
    table, perception = pair_table(run.recipe.language.pairs), run.perception()
    found: dict[tuple[str, str], Seen] = {}
    for pair in table.pairs:
        clip = told.get(pair.sample_id)
        if clip is not None and clip.seen is not None:
            found[pair.sample_id, pair.learner.name] = clip.seen
    others = {(pair.sample_id, pair.learner.name): pair for pair in pairs}
    waiting = [key for key in others if key not in found]
    for start in range(0, len(waiting), POSES_AT_ONCE):
        some = waiting[start : start + POSES_AT_ONCE]
        motions = [table.clip(others[key]) for key in some]
        found |= dict(zip(some, seen(perception, motions), strict=True))
    return found
