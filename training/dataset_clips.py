"""Clips of a dataset as the language model learns them: `language.dataset`, `language.pairs`.

The dataset is written by `poise data egoexo4d` and `poise data label`. Its rows with a level and a
text are the clips, several a take: those of split train are learned, of split validation one a take
is measured and calibrates the label. Rows of other splits are never read, nothing is simulated.
With pairs a learner is met in the window of its closest pair (`training.paired_clips`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.dataset import SampleTable
from assistant.errors import PoiseError
from assistant.model.configuration_poise import GIVEN, shown_views
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.perception import Perception, focus_window
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.tasks.window import WINDOW_FPS, window_times
from prompts.parse import format_feedback, format_plain, parse_feedback
from prompts.render import escape_user_text, render_messages
from prompts.vocabulary import LEVELS
from training.dataset_films import film_features
from training.dataset_pairs import SPLITS, check_pairs, pair_table
from training.language_samples import TokenSample, ToldClip, commentary_messages, token_sample
from training.progress import Progress
from training.recipe import LanguageSettings
from training.run import Run

TEXTS: Final = {"summary": "summary", "spoken": "commentary_raw"}
COLUMNS: Final = (
    "sample_id", "take_id", "activity", "split", "level", "views", "best_exo", "span",
    *TEXTS.values(),
)  # fmt: skip
POSES_AT_ONCE: Final = 256
NAMED: Final = 5

# Of a row the motion, and the second of it at which the window begins: None looks for the moment.
Motion = tuple[PoseSequence | None, float | None]


@dataclass(frozen=True)
class Seen:
    """What is seen of a motion.

    Attributes:
        inputs: features of the prompt.
        codes: [10, M] of the window.
        joints: [10, 17, 3] of the window, in the heading of the assessed span.
        confidence: [10, 17] of these.
    """

    inputs: ModelInputs
    codes: np.ndarray
    joints: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class DatasetClip:
    """A row of a dataset as the language model meets it.

    Attributes:
        sample_id, activity, level: of the row, the activity as the dataset names it.
        inputs: features of the prompt.
        answer: level and text of the row, in the recipe's form of answers.
        seen: of its motion, None without a pose.
    """

    sample_id: str
    activity: str
    level: int
    inputs: ModelInputs
    answer: str
    seen: Seen | None = None


@cache  # one run lives as long as its process; texts and samples are made of the same clips
def dataset_clips(run: Run, split: str, limit: int | None = None) -> list[DatasetClip]:
    """The clips of a split, in the order of the dataset.

    Args:
        limit: that many of them, drawn by the recipe's seed.

    Raises:
        PoiseError: there are none, or too many films cannot be read.
    """
    language, seed = run.recipe.language, run.recipe.seed
    rows = told_rows(language, seed)[split]
    if limit is not None and limit < len(rows):
        chosen = np.random.default_rng([seed, 17]).choice(len(rows), limit, replace=False)
        rows = [rows[i] for i in sorted(chosen)]
    clips, left_out = read_rows(run, split, rows)
    _report(run, split, clips, left_out, limit)
    return clips


def read_rows(
    run: Run, split: str, rows: Sequence[dict[str, Any]]
) -> tuple[list[DatasetClip], list[str]]:
    """The clips of some labelled rows of a split, and the names of those with nothing to look at.

    Raises:
        PoiseError: too many films cannot be read.
    """
    language, perception = run.recipe.language, run.perception()
    films = film_features(run, _filmed(rows, language, split, run.recipe.seed))
    posed = dict(_posed(rows, perception, language))
    clips, left_out = [], []
    for row in rows:
        name = row["sample_id"]
        motion = posed.get(name)
        inputs = ModelInputs(numbers=perception.numbers) if motion is None else motion.inputs
        if name in films.features:
            inputs = replace(inputs, video=films.features[name], frames=films.frames)
        if language.inputs != "none" and inputs.video is None and inputs.pose is None:
            left_out.append(name)
            continue
        answer = _answer(row, language)
        clips.append(DatasetClip(name, row["activity"], row["level"], inputs, answer, motion))
    return clips, left_out


def told_rows(language: LanguageSettings, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Of `labelled_rows` what is learned and measured: of a take all of them or one, as
    `language.comments` says, and for measures one.

    Raises:
        PoiseError: as there; or a split has no pair, where pairs are learned.
    """
    found = labelled_rows(language)
    if language.pairs:
        check_pairs(language, found)
    one = {split: language.comments == "one" or split != "train" for split in found}
    return {s: _one_a_take(mine, seed) if one[s] else mine for s, mine in found.items()}


@cache  # the same columns serve every split and the pairs
def labelled_rows(language: LanguageSettings) -> dict[str, list[dict[str, Any]]]:
    """Rows with a level and a text by split, each with its place as `row`.

    Raises:
        PoiseError: a split has none, or none with a film or pose that the model is to be given.
    """
    dataset, column = Path(language.dataset), TEXTS[language.dataset_text]
    table = SampleTable(dataset)
    rows = [row | {"row": i} for i, row in enumerate(table.columns(COLUMNS))]
    told = [row for row in rows if row["level"] is not None and (row[column] or "").strip()]
    if not told:
        raise PoiseError(
            f"nothing to learn in {dataset}",
            got=f"{len(rows)} rows, none with a level and a {column}",
            expected="labelled comments",
            remedy=f"`poise data label {dataset} -o DIR`, then language.dataset=DIR",
        )
    found = {}
    for split in SPLITS:
        mine = [row for row in told if row["split"] == split]
        if not mine:
            raise PoiseError(
                f"cannot train on {dataset}", got=f"no labelled row of split {split}",
                expected=f"labelled rows of {' and '.join(SPLITS)}",
                remedy="`poise data egoexo4d --split all`, then `poise data label`",
            )  # fmt: skip
        if language.inputs == "video" and not any(shown(row, language) for row in mine):
            raise PoiseError(
                f"cannot train on films of {dataset}",
                got=f"no row of split {split} with a film of {', '.join(language.views)}",
                remedy="download the takes' films and run `poise data egoexo4d` again",
            )
        found[split] = mine
    return found


def shown(row: Mapping[str, Any], language: LanguageSettings) -> dict[str, str]:
    """Of a row the films that the model is given, view to path."""
    films = {view: path for view, path in (row["views"] or {}).items() if path}
    return {view: films[view] for view in shown_views(films, language.views, row["best_exo"])}


def told_samples(
    processor: PoiseProcessor, clips: Sequence[ToldClip], language: LanguageSettings
) -> list[TokenSample]:
    """F_t of each clip, once, in its own words: every pair of a clip and a comment is one sample
    (ProfVLM section 4.1)."""
    return [told_sample(processor, clip, language) for clip in clips]


def told_sample(
    processor: PoiseProcessor,
    clip: ToldClip,
    language: LanguageSettings,
    *,
    demonstration: np.ndarray | None = None,
    task: str = "commentary",
) -> TokenSample:
    """F_t of a clip in its own words.

    Args:
        demonstration: codes [10, M] that the prompt shows.
        task: the second part of the sample's name.
    """
    return token_sample(
        processor,
        commentary_messages(clip, clip.answer, demonstration=demonstration),
        clip.inputs,
        sample_id=f"{clip.sample_id}/{task}",
        **language.weighting,
    )


def told_texts(clips: Sequence[ToldClip]) -> list[str]:
    """Every answer and prompt of the clips, for a tokenizer."""
    texts = [
        render_messages(task, learner_codes=[[0]])[-1]["content"]
        for task in ("retrieval", "correction")
    ]
    for clip in clips:
        messages = commentary_messages(clip, clip.answer, demonstration=None)
        texts += [str(message["content"]) for message in messages]
    return texts


def level_basis(language: LanguageSettings) -> str:
    """What the levels of such a model were learned from, for the checkpoint's card."""
    dataset = Path(language.dataset)
    source = SampleTable(dataset).info.get("source") or f"the dataset {dataset.name}"
    return f"{source}, split train"


def _one_a_take(rows: Sequence[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """One row of each take, drawn (ProfVLM Table 7)."""
    takes: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        takes.setdefault(row["take_id"], []).append(row)
    rng = np.random.default_rng([seed, 18])
    return [some[int(rng.integers(len(some)))] for some in takes.values()]


def _filmed(
    rows: Sequence[dict[str, Any]], language: LanguageSettings, split: str, seed: int
) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """The rows whose films are looked at, with these: a share of what is learned from a pose too,
    so that the model also knows clips without."""
    if "video" not in GIVEN[language.inputs]:
        return []
    rng = np.random.default_rng([seed, 19])
    some = split == "train" and language.inputs != "video"
    drawn = rng.random(len(rows)) < (language.video_share if some else 1.0)
    return [
        (row, films)
        for row, yes in zip(rows, drawn, strict=True)
        if yes and (films := shown(row, language))
    ]


def _posed(
    rows: Sequence[dict[str, Any]], perception: Perception, language: LanguageSettings
) -> Iterator[tuple[str, Seen]]:
    """What is seen of the rows that have a pose."""
    if "pose" not in GIVEN[language.inputs] and language.numbers == "none" and not language.pairs:
        return
    motion_of = _motions(language)
    for start in range(0, len(rows), POSES_AT_ONCE):
        found = {row["sample_id"]: motion_of(row) for row in rows[start : start + POSES_AT_ONCE]}
        posed = {
            name: (pose, begins)
            for name, (pose, begins) in found.items()
            if pose is not None and (pose.confidence > 0).any()
        }
        yield from zip(posed, seen(perception, list(posed.values())), strict=True)


def _motions(language: LanguageSettings) -> Callable[[Mapping[str, Any]], Motion]:
    """Where the motion of a row is: in the row, or of a paired learner as coaching would cut it."""
    table = SampleTable(Path(language.dataset))
    pairs = pair_table(language.pairs) if language.pairs else None
    closest = {} if pairs is None else {pair.sample_id: pair for pair in pairs.pairs}

    def motion(row: Mapping[str, Any]) -> Motion:
        if pairs is not None and row["sample_id"] in closest:
            return pairs.clip(closest[row["sample_id"]])
        return table.pose(row["row"]), None

    return motion


def seen(
    perception: Perception, motions: Sequence[tuple[PoseSequence, float | None]]
) -> list[Seen]:
    """What the model is given of motions, as coaching gives it of poses without films: Stage 1 of
    the run reads them, and names for itself the activity that it knows best. Of clips with films
    coaching lets Stage 1 read these too; here it never does.

    Args:
        motions: each with the second at which its window begins, None for the heaviest moment.
    """
    if not motions:
        return []
    poses: list[NormalisedPose] = [normalise(pose) for pose, _ in motions]
    found = perception.assessor.assess_many(poses)
    windows = [
        focus_window(pose, assessment, begins)
        for pose, assessment, (_, begins) in zip(poses, found, motions, strict=True)
    ]
    features, codes = perception.encode_windows(windows)
    sure = [
        pose.at_times(window_times(window.start), WINDOW_FPS).confidence
        for pose, window in zip(poses, windows, strict=True)
    ]
    return [
        Seen(
            inputs=perception.model_inputs(assessment, features[i], windows[i]),
            codes=codes[i],
            joints=windows[i].joints,
            confidence=sure[i],
        )
        for i, assessment in enumerate(found)
    ]


def _answer(row: Mapping[str, Any], language: LanguageSettings) -> str:
    """The row's level and text; a text in the output grammar stays in it."""
    level, text = LEVELS[row["level"]], row[TEXTS[language.dataset_text]]
    parsed = parse_feedback(text)
    if parsed.level is not None and not parsed.problems:
        return format_feedback(level, parsed.remarks, parsed.drill, language.answer_form)
    return format_plain(level, escape_user_text(text), language.answer_form)


def _report(
    run: Run, split: str, clips: Sequence[DatasetClip], left_out: Sequence[str], limit: int | None
) -> None:
    """Say what is learned or measured, and what is not; whole splits into `work/` too."""
    language, progress = run.recipe.language, Progress("dataset")
    progress.say(f"{len(clips)} clips of split {split}")
    if left_out:
        names = ", ".join(left_out[:NAMED])
        progress.say(f"{len(left_out)} left out, nothing to look at: {names}")
    if not clips:
        raise PoiseError(
            f"cannot train on {language.dataset}",
            got=f"no film or pose of split {split} that the model can be given",
            remedy="see which films are missing: `poise data doctor`",
        )
    if limit is None:
        levels = np.bincount([clip.level for clip in clips], minlength=len(LEVELS))
        about = {
            "dataset_sha256": SampleTable(Path(language.dataset)).info["sha256"],
            "clips": len(clips),
            "levels": dict(zip(LEVELS, levels.tolist(), strict=True)),
            "left_out": list(left_out),
        }
        run.write_metrics(f"dataset_{split}", about)
