"""Scores of a trained run on test performers: levels, texts, fields of free answers, poses.

Every clip has a pose and features of films of all five views; a row's model is shown what its
settings say. Stage 1 reads the pose alone, and the activity is given, so that every clip is
answered. Every figure has its floors in the same result, on the same clips.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.coach import Coach
from assistant.coach_result import CoachInput, CoachResult, Judged
from assistant.demos.contrastive import DualEncoder
from assistant.engine.base import GenerationOptions, Prompt
from assistant.perceive import perceive
from assistant.perception import Perception
from assistant.tasks.commentary import prompt_pieces
from assistant.tasks.window import given_as_text
from assistant.timing import Timings
from eval.commentaries import score_commentaries
from eval.corrections import correction_scores
from eval.levels import derangement
from eval.proficiency_controls import figures
from eval.summaries import Scores, summarise_corrections
from eval.testset import TestClip, balanced
from eval.variants import BATCH, CoachVariant
from prompts.parse import LABEL_ONLY, parse_feedback
from prompts.render import render_messages
from prompts.vocabulary import LEVELS, VIEWS

DIGITS: Final = 4
Film = Callable[[str, Mapping[str, float]], Mapping[str, np.ndarray]]


class SeenClips:
    """Test clips as perception sees them, once for all rows that share it.

    Args:
        film: makes features [5, D] of the views of clips, by name, from the name of the frozen
            parts and the second at which each clip's focus window begins.
    """

    def __init__(self, clips: Sequence[TestClip], film: Film) -> None:
        self.clips, self.film = list(clips), film
        self._seen: dict[str, list[Judged]] = {}

    def of(self, perception: Perception, identity: str) -> list[Judged]:
        """The clips as the model behind `perception` is given them.

        Args:
            identity: names the frozen parts.
        """
        if identity not in self._seen:
            items = self._see(replace(perception, inputs="all", pose_form="features"))
            features = self.film(identity, {i.given.clip_id: i.window.start for i in items})
            self._seen[identity] = [
                replace(item, inputs=replace(item.inputs, video=features[item.given.clip_id]))
                for item in items
            ]
        return [given(item, perception) for item in self._seen[identity]]

    def _see(self, perception: Perception) -> list[Judged]:
        found: dict[str, Judged] = {}
        for activity in dict.fromkeys(clip.activity for clip in self.clips):
            shown = [
                CoachInput(clip.sample_id, clip.pose, {})
                for clip in self.clips
                if clip.activity == activity
            ]
            for item in perceive(perception, shown, activity=activity):
                if isinstance(item, Judged):  # all are, since the activity is given
                    found[item.given.clip_id] = item
        return [found[clip.sample_id] for clip in self.clips]


def given(item: Judged, perception: Perception) -> Judged:
    """A clip, seen whole, as a model is given it: views, inputs, forms of numbers and pose."""
    kept = [place for place, view in enumerate(VIEWS) if view in perception.views]
    video = None if item.inputs.video is None else item.inputs.video[kept]
    inputs = replace(
        item.inputs,
        video=video,
        numbers=perception.numbers,
        pose_text=given_as_text(item.window, perception.pose_form),
    ).given(perception.inputs)
    names = () if inputs.video is None else tuple(VIEWS[place] for place in kept)
    return replace(item, inputs=inputs, video_views=names)


def score_row(
    folder: Path,
    seen: SeenClips,
    identity: str,
    measure: Sequence[str],
    *,
    ranked: int,
    contrastive: Path | None = None,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """The figures of the run in a folder.

    Args:
        seen: the test clips; identity: of the frozen parts.
        measure: "texts", "fields" and "poses", of those that are wanted beside the levels.
        ranked: clips, balanced, for which demonstrations are ranked.
        contrastive: encoders of the stage of that name, which rank beside the model.
    """
    coach, clips = Coach.from_pretrained(folder), seen.clips
    log(f"perceiving {len(clips)} test clips")
    items = seen.of(coach.perception, identity)
    poses = "poses" in measure
    only = {clip.sample_id for clip in balanced(clips, ranked)}
    variant = CoachVariant(coach, retrieve=poses, correct=poses, only=only)
    log("answers")
    results: list[CoachResult] = []
    for begin in range(0, len(items), BATCH):
        results += variant.answer(items[begin : begin + BATCH], timings=Timings())
    records = [result.feedback.to_json() for result in results]
    p = np.array([record["proficiency"]["probabilities"] for record in records])
    found = {
        "n": len(clips),
        "performers": len({clip.performer for clip in clips}),
        "model_sha256": coach.identity["model_sha256"],
        "prompt_sha256": coach.identity["prompt_sha256"],
        **level_figures(p, clips),
        "takes": [
            {"id": c.sample_id, "performer": c.performer, "level": c.level,
             "p": [round(float(x), DIGITS) for x in row]}
            for c, row in zip(clips, p, strict=True)
        ],
    }  # fmt: skip
    if "texts" in measure and coach.config.answer_form != LABEL_ONLY:
        found |= score_commentaries(Scores(clips, records), 0, log)[0]
    if "fields" in measure:
        log("free answers")
        found |= fields_of(free_answers(coach, items), coach.config.answer_form)
    if poses:
        log("corrections")
        encoders = None if contrastive is None else DualEncoder.from_pretrained(contrastive)
        found |= summarise_corrections(correction_scores(coach, clips, results, encoders))
    return found


def level_figures(p: np.ndarray, clips: Sequence[TestClip]) -> dict[str, Any]:
    """Figures of the levels, of every activity, and of three floors on the same clips.

    Args:
        p: [N, 4] probabilities.
    """
    levels = np.array([clip.level for clip in clips])
    activities = np.array([clip.activity for clip in clips])
    others = derangement(activities.tolist(), np.random.default_rng(0))
    most = np.eye(len(LEVELS))[np.bincount(levels, minlength=len(LEVELS)).argmax()]
    return {
        **figures(p, levels),
        "by_activity": {
            str(name): figures(p[activities == name], levels[activities == name])
            | {"n": int((activities == name).sum())}
            for name in sorted(set(activities))
        },
        "floors": {
            "majority": figures(np.tile(most, (len(levels), 1)), levels),
            "another clip's answer": figures(p[others], levels),
        },
    }


def free_answers(coach: Coach, items: Sequence[Judged]) -> list[str]:
    """What the model writes of itself, greedily, held to no form."""
    texts: list[str] = []
    for begin in range(0, len(items), BATCH):
        prompts = [
            Prompt(
                render_messages(
                    "commentary", **prompt_pieces(item.inputs, fused_video=coach.fused_video)
                ),
                item.inputs,
            )
            for item in items[begin : begin + BATCH]
        ]
        texts += [answer.text for answer in coach.engine.generate(prompts, GenerationOptions())]
    return texts


def fields_of(texts: Sequence[str], form: str) -> Mapping[str, float]:
    """Shares of texts with the label, with the commentary, and with both (ProfVLM Table 9)."""
    read = [parse_feedback(text, form) for text in texts]
    label = np.array([answer.level is not None for answer in read])
    commentary = np.array([bool(answer.commentary) for answer in read])
    return {
        "level_field": float(label.mean()),
        "commentary_field": float(commentary.mean()),
        "both_fields": float((label & commentary).mean()),
    }
