"""Training samples of the language model: one simulated clip becomes one or two conversations.

A conversation holds the clip's prompt, its label and commentary (F_t), then either the corrected
codes (F_g) or the demonstration's codes (F_r): the tasks share their prefix in one sequence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from assistant.demos.library import Demonstration, Library
from assistant.errors import PoiseError
from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.perception import Perception, focus_window, turned
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.pose.windows import window_errors
from assistant.tasks.commentary import prompt_pieces
from assistant.tasks.retrieval import ranked_frames
from assistant.tasks.window import WINDOW_FPS, WindowFrames, cut_window
from prompts.parse import (
    DRILL_PREFIX,
    LABEL_PREFIX,
    REMARK_POLARITIES,
    remark_header,
)
from prompts.render import Message, render_messages
from prompts.vocabulary import LEVELS, NEEDS_IMPROVEMENT, REGIONS

if TYPE_CHECKING:
    from assistant.proficiency.assess import Assessment
    from data_prep.drills.simulate import Drill


class ToldClip(Protocol):
    """What F_t is learned from: a clip as the model meets it, and what is said of it."""

    @property
    def sample_id(self) -> str:
        """Its name."""
        ...

    @property
    def level(self) -> int | None:
        """0..3, None where there is nothing to judge."""
        ...

    @property
    def inputs(self) -> ModelInputs:
        """Features of the prompt."""
        ...

    @property
    def answer(self) -> str:
        """Label and commentary as the model should write them."""
        ...


class PairClip(ToldClip, Protocol):
    """What F_r and F_g are learned from: a learner's window, and a demonstration that fits it."""

    @property
    def activity(self) -> str:
        """What is done in it."""
        ...

    @property
    def learner_codes(self) -> np.ndarray:
        """[10, M] of the learner's window."""
        ...

    @property
    def target_codes(self) -> np.ndarray:
        """[10, M] that F_g learns."""
        ...

    @property
    def gold(self) -> int:
        """Place in the library of the demonstration that fits, -1 where none does."""
        ...


@dataclass(frozen=True)
class PerceivedClip:
    """A drill as the language model meets it.

    Attributes:
        window: the learner's frames; twin: [10, 17, 3] the fault-free motion in the same heading.
        inputs: features of the prompt.
        learner_codes, target_codes: [10, M], the second of the twin.
        gold: index of the library item nearest to the twin, -1 without a library.
        answer: label and commentary as the model should write them.
    """

    drill: "Drill"
    window: WindowFrames
    twin: np.ndarray
    inputs: ModelInputs
    learner_codes: np.ndarray
    target_codes: np.ndarray
    gold: int
    answer: str = ""

    @property
    def order(self) -> tuple[str, ...]:
        """Regions by falling probability of a fault, where the model is given it; else ().

        Commentary is told in this order, so that the drill is for the region that coaching puts
        first.
        """
        return () if self.inputs.numbers == "none" else fault_order(self.inputs.regions)

    @property
    def sample_id(self) -> str:
        """The drill's name."""
        return self.drill.sample_id

    @property
    def level(self) -> int | None:
        """The drill's level."""
        return self.drill.level

    @property
    def activity(self) -> str:
        """The drill's activity."""
        return self.drill.activity


def fault_order(regions: np.ndarray | None) -> tuple[str, ...]:
    """[18] P(polarity) of the six regions -> the regions by falling P(needs improvement)."""
    if regions is None:
        return ()
    faulty = np.reshape(regions, (len(REGIONS), -1))[:, NEEDS_IMPROVEMENT]
    return tuple(REGIONS[i] for i in np.argsort(-faulty, kind="stable"))


def demonstration_of(clip: PairClip, library: Library) -> Demonstration:
    """The library item that fits the clip: nearest to a drill's twin, or the paired expert.

    Raises:
        PoiseError: the library has none of the activity.
    """
    if clip.gold < 0:
        raise PoiseError(
            f"no demonstration of {clip.activity} to learn from",
            got=f"a library of {len(library)} windows without any",
            remedy="simulate more performers for it (data.library_performers)",
        )
    return library.items[clip.gold]


class Pairs:
    """Which demonstration each clip learns from.

    Args:
        kind: `LanguageSettings.demonstrations`.
        seed: of the draws of `unaligned`.
    """

    def __init__(self, library: Library, kind: str, seed: int) -> None:
        self.library, self.kind, self.seed = library, kind, seed
        self._shared: dict[str, int] = {}

    def pair(self, place: int, clip: PerceivedClip) -> tuple[np.ndarray, PerceivedClip]:
        """Codes [10, M] of the drill's demonstration, and the drill as F_g learns from it.

        Args:
            place: of the clip among all, of which the draw depends.

        Raises:
            PoiseError: the library has none of the activity.
        """
        codes = self.library.items[self.place(place, clip)].codes
        return codes, clip if self.kind == "aligned" else replace(clip, target_codes=codes)

    def place(self, number: int, clip: PairClip) -> int:
        """Place in the library of the demonstration of clip `number`."""
        activity = demonstration_of(clip, self.library).activity
        if self.kind == "aligned":
            return clip.gold
        if self.kind == "global":
            return self._global(activity)
        places = self._places(activity)
        rng = np.random.default_rng([self.seed, 16, number])
        return places[int(rng.integers(len(places)))]

    def _places(self, activity: str) -> list[int]:
        return [i for i, item in enumerate(self.library.items) if item.activity == activity]

    def _global(self, activity: str) -> int:
        """The item of the activity that is nearest to all others (mean PA-MPJPE)."""
        if activity not in self._shared:
            places = self._places(activity)
            frames = library_frames([self.library.items[i] for i in places])
            row = frames.reshape(-1, *frames.shape[2:])
            errors = window_errors(frames, [row], threads=1)[:, 0, :: frames.shape[1]]  # [N, N]
            self._shared[activity] = places[int(errors.mean(axis=1).argmin())]
        return self._shared[activity]


def twin_windows(drill: "Drill", windows: Sequence[WindowFrames]) -> list[WindowFrames]:
    """The twin's frames of the learner's windows, in the learner's heading."""
    if drill.twin is None:
        raise PoiseError(f"drill {drill.sample_id} has no fault-free twin", got=drill.activity)
    twin = normalise(drill.twin)
    return [cut_window(turned(twin, window.yaw), window.start) for window in windows]


def library_frames(items: Sequence[Demonstration]) -> np.ndarray:
    """[N, 10, 17, 3] the correction-window frames of library items."""
    step = round(items[0].fps / WINDOW_FPS)
    return np.stack([item.joints[::step] for item in items])


def nearest_items(motions: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index [M] and PA-MPJPE [M] (mm, mean over frames) of the candidate [N, F, 17, 3] nearest to
    each of `motions` [M, F, 17, 3]."""
    frames = candidates.shape[1]
    row = candidates.reshape(-1, *candidates.shape[2:])  # one behind the other: one long motion
    errors = window_errors(motions, [row], threads=1)[:, 0, ::frames]  # [M, N]
    best = errors.argmin(1)
    return best, errors[np.arange(len(best)), best]


def perceive(
    drills: Sequence["Drill"],
    poses: Sequence[NormalisedPose],
    assessments: Sequence["Assessment"],
    perception: Perception,
    *,
    library: Library | None = None,
) -> list[PerceivedClip]:
    """Windows, codes and prompt features of many clips, without video and without texts.

    Args:
        poses: what the learner's camera saw of each drill, normalised (with noise).
        assessments: of those poses; their scores must be out of sample for training.
    """
    windows = [focus_window(p, a) for p, a in zip(poses, assessments, strict=True)]
    twins = [twin_windows(d, [w])[0] for d, w in zip(drills, windows, strict=True)]
    features, codes = perception.encode_windows(windows)
    _, target_codes = perception.encode_windows(twins)
    golds = np.full(len(drills), -1)
    if library is not None:
        golds = gold_items(drills, np.stack([twin.joints for twin in twins]), library)
    return [
        PerceivedClip(
            drill=drill,
            window=windows[i],
            twin=twins[i].joints,
            inputs=perception.model_inputs(assessments[i], features[i], windows[i]),
            learner_codes=codes[i],
            target_codes=target_codes[i],
            gold=int(golds[i]),
        )
        for i, drill in enumerate(drills)
    ]


def gold_items(drills: Sequence["Drill"], twins: np.ndarray, library: Library) -> np.ndarray:
    """[N] place in the library of the item nearest to each twin [N, 10, 17, 3] among those of its
    drill's activity, -1 where there is none."""
    golds = np.full(len(drills), -1)
    for activity in sorted({item.activity for item in library.items}):
        places = [i for i, item in enumerate(library.items) if item.activity == activity]
        mine = [i for i, drill in enumerate(drills) if drill.activity == activity]
        if mine:
            frames = library_frames([library.items[i] for i in places])
            golds[mine] = np.array(places)[nearest_items(twins[mine], frames)[0]]
    return golds


@dataclass(frozen=True)
class TokenSample:
    """Token ids, labels (IGNORED where not supervised) and weights of one conversation.

    `sample_id` says in errors where it is from: the clip and the task.
    """

    ids: list[int]
    labels: list[int]
    weights: list[float]
    inputs: ModelInputs
    sample_id: str = ""


def commentary_messages(
    clip: ToldClip, commentary: str, *, demonstration: np.ndarray | None
) -> list[Message]:
    """F_t alone."""
    return render_messages(
        "commentary",
        target=commentary,
        demonstration=None if demonstration is None else demonstration.tolist(),
        **prompt_pieces(clip.inputs),
    )


def correction_messages(
    clip: PairClip, commentary: str, *, demonstration: np.ndarray | None, supervised: bool
) -> list[Message]:
    """F_t then F_g in one conversation."""
    messages = render_messages(
        "correction",
        commentary=commentary,
        learner_codes=clip.learner_codes.tolist(),
        demonstration=None if demonstration is None else demonstration.tolist(),
        target=clip.target_codes.tolist(),
        **prompt_pieces(clip.inputs),
    )
    return supervise(messages) if supervised else messages


def retrieval_messages(
    clip: PairClip, commentary: str, codes: np.ndarray, stride: int, *, supervised: bool
) -> list[Message]:
    """F_t then F_r in one conversation; the demonstration is never in its prompt.

    Args:
        codes: [10, M] of the demonstration.
        stride: `LanguageSettings.retrieval_stride`.
    """
    messages = render_messages(
        "retrieval",
        commentary=commentary,
        learner_codes=ranked_frames(clip.learner_codes, stride).tolist(),
        target=ranked_frames(codes, stride).tolist(),
        **prompt_pieces(clip.inputs),
    )
    return supervise(messages) if supervised else messages


def task_samples(
    processor: PoiseProcessor,
    clip: PairClip,
    kinds: Sequence[tuple[str, Sequence[Message]]],
    weighting: Mapping[str, Any],
) -> list[TokenSample]:
    """Conversations of one clip; of a correction only the written frames are learned.

    Args:
        kinds: tasks with their messages.
        weighting: `LanguageSettings.weighting`.
    """
    samples = []
    for task, messages in kinds:
        name = f"{clip.sample_id}/{task}"
        sample = token_sample(processor, messages, clip.inputs, sample_id=name, **weighting)
        if task == "correction":
            sample = ignore_guide(sample, *clip.learner_codes.shape)
        samples.append(sample)
    return samples


def supervise(messages: list[Message]) -> list[Message]:
    """The same messages with every assistant turn learned, the commentary included."""
    return [{k: v for k, v in message.items() if k != "supervised"} for message in messages]


def token_sample(
    processor: PoiseProcessor,
    messages: Sequence[Message],
    inputs: ModelInputs,
    *,
    verdict_weight: float = 1.0,
    equal_fields: bool = False,
    sample_id: str = "",
) -> TokenSample:
    """Tokenise a conversation.

    Args:
        verdict_weight: weight of the tokens that judge: the proficiency label, and the header of
            each remark (region and polarity). All others only put the verdict into words.
        equal_fields: instead, the label weighs as much as all else in its answer together. ProfVLM
            (5.5.1) counts some 35 tokens of commentary to one of the label.
    """
    ids, labels = processor.encode_with_labels(messages)
    weights = [0.0 if label == IGNORED else 1.0 for label in labels]
    start, end = label_positions(processor, ids, labels)
    if equal_fields and end > start:
        first, last = answer_span(labels, start)
        weights[start:end] = [(last - first) / (end - start) - 1] * (end - start)
    elif not equal_fields:
        for place in [*range(start, end), *header_positions(processor, ids, labels)]:
            weights[place] = verdict_weight
    return TokenSample(ids, labels, weights, inputs, sample_id)


def answer_span(labels: Sequence[int], place: int) -> tuple[int, int]:
    """First and one past the last position of the learned turn that holds `place`."""
    first, last = place, place
    while first > 0 and labels[first - 1] != IGNORED:
        first -= 1
    while last < len(labels) and labels[last] != IGNORED:
        last += 1
    return first, last


def ignore_guide(sample: TokenSample, frames: int, tokens_per_frame: int) -> TokenSample:
    """The sample of a guided pose sequence, its given frames no longer learned."""
    stride = tokens_per_frame + 1
    # Backwards from the end: sequence end and end of turn stand after the last written frame.
    last = max(i for i, label in enumerate(sample.labels) if label != IGNORED)
    start = last - 1 - 2 * frames * stride
    labels, weights = list(sample.labels), list(sample.weights)
    for frame in range(0, 2 * frames, 2):
        for place in range(start + frame * stride, start + (frame + 1) * stride):
            labels[place], weights[place] = IGNORED, 0.0
    return replace(sample, labels=labels, weights=weights)


def ignore_label(processor: PoiseProcessor, sample: TokenSample) -> TokenSample:
    """The sample, its proficiency label no longer learned."""
    labels, weights = list(sample.labels), list(sample.weights)
    for place in range(*label_positions(processor, sample.ids, sample.labels)):
        labels[place], weights[place] = IGNORED, 0.0
    return replace(sample, labels=labels, weights=weights)


def label_positions(
    processor: PoiseProcessor, ids: Sequence[int], labels: Sequence[int]
) -> tuple[int, int]:
    """First and one past the last position of the label's tokens, its full stop among them; (0, 0)
    if it is not learned.

    The label begins the first learned turn, or is a later line of it.
    """
    first = next((i for i, label in enumerate(labels) if label != IGNORED), None)
    if first is None:
        return 0, 0
    newline, lines = _line_labels(processor)
    for prefix, level in _turn_labels(processor):
        start = first + len(prefix)
        if tuple(ids[first : start + len(level)]) == prefix + level:
            return start, start + len(level)
    for i in range(first, answer_span(labels, first)[1]):
        for prefix, level in lines if ids[i] == newline else ():
            start = i + 1 + len(prefix)
            if tuple(ids[i + 1 : start + len(level)]) == prefix + level:
                return start, start + len(level)
    return 0, 0


@lru_cache(maxsize=4)
def _turn_labels(processor: PoiseProcessor) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Tokens of the label's prefix and of each level after it, where a turn begins with them."""
    prefix = tuple(processor.text_ids(LABEL_PREFIX))
    wholes = [tuple(processor.text_ids(f"{LABEL_PREFIX} {level}.")) for level in LEVELS]
    return [(prefix, whole[len(prefix) :]) for whole in wholes]


@lru_cache(maxsize=4)
def _line_labels(
    processor: PoiseProcessor,
) -> tuple[int, list[tuple[tuple[int, ...], tuple[int, ...]]]]:
    """The token of a line break, and the same tokens where a line begins with them."""
    newline = tuple(processor.text_ids("a\n"))
    prefix = tuple(processor.text_ids(f"a\n{LABEL_PREFIX}"))[len(newline) :]
    wholes = [tuple(processor.text_ids(f"a\n{LABEL_PREFIX} {level}.")) for level in LEVELS]
    return newline[-1], [(prefix, whole[len(newline) + len(prefix) :]) for whole in wholes]


def header_positions(
    processor: PoiseProcessor, ids: Sequence[int], labels: Sequence[int]
) -> list[int]:
    """Positions of the learned tokens that begin a line of the commentary: region and polarity of
    a remark, or the word that opens the drill."""
    newline, headers = _line_headers(processor)
    found: list[int] = []
    for i, token in enumerate(ids):
        if token != newline or labels[i] == IGNORED:
            continue
        for header in headers:
            if tuple(ids[i + 1 : i + 1 + len(header)]) == header:
                found += range(i + 1, i + 1 + len(header))
                break
    return found


@lru_cache(maxsize=4)
def _line_headers(processor: PoiseProcessor) -> tuple[int, list[tuple[int, ...]]]:
    """The token of a line break, and those of each header after it."""
    texts = [remark_header(r, p) for r in REGIONS for p in REMARK_POLARITIES] + [DRILL_PREFIX]
    lines = [processor.text_ids(f"a\n{text}") for text in texts]
    newline = processor.text_ids("a\n")
    return newline[-1], [tuple(line[len(newline) :]) for line in lines]
