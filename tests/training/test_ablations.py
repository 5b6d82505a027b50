"""ProfVLM's ablations as settings: forms of answers, comments, loss balance, views, measures."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.proficiency.streams import Stream
from data_prep.drills.commentary import compose_summary
from data_prep.drills.simulate import simulate_many
from prompts.parse import ANSWER_FORMS, ParsedRemark, format_feedback, parse_feedback
from prompts.render import render_messages
from prompts.vocabulary import LEVELS, TURN_END, VIEWS
from training.clips import fit_inputs, shown_streams
from training.language_samples import (
    PerceivedClip,
    TokenSample,
    label_positions,
    supervise,
    token_sample,
)
from training.loop_log import LoopLog
from training.pretraining import commentary_samples
from training.recipe import Recipe, load_recipe
from training.stage_loop import mean_loss, measures
from training.validation import compliance, levels_said, with_films
from training.video_features import VIEW_COUNT_SHARES, VIEW_COUNTS, drawn_views, masked

NOTHING = ModelInputs()


def sample(processor: PoiseProcessor, level: str, form: str, **settings: Any) -> TokenSample:
    remarks = [ParsedRemark("legs", "needs_improvement", "You stop too high.")]
    text = format_feedback(level, remarks, "Slow squats.", form)
    return token_sample(processor, render_messages("commentary", target=text), NOTHING, **settings)


@pytest.mark.parametrize("form", ANSWER_FORMS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_label_is_found_wherever_the_form_has_it(processor, level: str, form: str) -> None:
    made = sample(processor, level, form)
    start, end = label_positions(processor, made.ids, made.labels)
    assert processor.tokenizer.decode(made.ids[start:end]).strip() == f"{level}."
    assert all(label != IGNORED for label in made.labels[start:end])


@pytest.mark.parametrize("form", ANSWER_FORMS)
def test_equal_fields_make_the_label_weigh_as_much_as_all_else(processor, form: str) -> None:
    made = sample(processor, "Early Expert", form, equal_fields=True)
    start, end = label_positions(processor, made.ids, made.labels)
    learned = [i for i, label in enumerate(made.labels) if label != IGNORED]
    outside = [i for i in learned if not start <= i < end]
    assert sum(made.weights[start:end]) == pytest.approx(len(outside))
    assert {made.weights[i] for i in outside} == {1.0}
    assert all(made.weights[i] == 0 for i in range(len(made.ids)) if i not in learned)


def test_equal_fields_balance_the_first_answer_alone(processor) -> None:
    """Pose codes of a later turn are no commentary."""
    answer = format_feedback("Novice", [ParsedRemark("legs", "correct", "Good.")], None)
    messages = render_messages("retrieval", commentary=answer, target=[[1, 2, 3]] * 4)
    made = token_sample(processor, supervise(messages), NOTHING, equal_fields=True)
    start, end = label_positions(processor, made.ids, made.labels)
    turn_end = processor.tokenizer.convert_tokens_to_ids(TURN_END)
    first = next(i for i, label in enumerate(made.labels) if label != IGNORED)
    last = made.ids.index(turn_end, first) + 1
    assert sum(made.weights[start:end]) == pytest.approx(last - first - (end - start))
    assert max(made.weights[last:]) == 1.0


def test_judging_tokens_weigh_as_before_in_every_form(processor) -> None:
    for form in ANSWER_FORMS:
        made = sample(processor, "Novice", form, verdict_weight=4.0)
        start, end = label_positions(processor, made.ids, made.labels)
        heavy = [i for i, weight in enumerate(made.weights) if weight == 4.0]
        assert set(range(start, end)) <= set(heavy)
        said = processor.tokenizer.decode([i for p, i in enumerate(made.ids) if p in heavy])
        assert ("Legs (needs improvement):" in said) == (form != "label_only")


class StubRun:
    """A run of a recipe without a folder."""

    def __init__(self, *settings: str) -> None:
        self.recipe: Recipe = load_recipe("ablation", settings)


def clips_of(drills, form: str = "label_first") -> list[PerceivedClip]:
    nothing: Any = None
    return [
        PerceivedClip(
            drill=drill,
            window=nothing,
            twin=nothing,
            inputs=NOTHING,
            learner_codes=nothing,
            target_codes=nothing,
            gold=-1,
            answer=compose_summary(drill, np.random.default_rng(i), form),
        )
        for i, drill in enumerate(drills)
    ]


@pytest.fixture(scope="module")
def drills():
    return simulate_many(4, 2, 3, split="train", workers=1)


def texts(processor, samples) -> list[str]:
    learned = [[i for i, k in zip(s.ids, s.labels, strict=True) if k != IGNORED] for s in samples]
    return [processor.tokenizer.decode(ids, skip_special_tokens=True) for ids in learned]


def test_one_or_all_comments_of_a_clip_are_learned(processor, drills) -> None:
    clips = clips_of(drills)
    run: Any = StubRun("pretrain.tellings=3")
    many = commentary_samples(run, processor, clips)
    assert len(many) == 3 * len(clips) and len(set(texts(processor, many))) > len(clips)
    run = StubRun("pretrain.tellings=3", "language.comments=one")
    one = commentary_samples(run, processor, clips)
    assert [t.split() for t in texts(processor, one)] == [c.answer.split() for c in clips]


def test_label_only_learns_labels_alone(processor, drills) -> None:
    run: Any = StubRun("language.answer_form=label_only")
    made = commentary_samples(run, processor, clips_of(drills, "label_only"))
    levels = {f"Proficiency Level: {level}." for level in LEVELS}
    assert {text.strip() for text in texts(processor, made)} <= levels


def test_the_words_are_the_same_in_each_form(drills) -> None:
    for drill in drills:
        read = [
            parse_feedback(compose_summary(drill, np.random.default_rng(1), form), form)
            for form in ANSWER_FORMS[:2]
        ]
        assert read[0] == replace(read[1], commentary=read[0].commentary)


def test_compliance_is_of_the_models_own_form() -> None:
    answers = [
        "Proficiency Level: Novice. Proficiency Commentary:\nLegs (correct): Good.",
        "Proficiency Commentary:\nLegs (correct): Good.\nProficiency Level: Novice.",
        "Proficiency Level: Novice.",
        "the subject squats well",
    ]
    assert compliance(answers) == {"label_field": 0.5, "commentary_field": 0.5, "format": 0.25}
    assert compliance(answers, "commentary_first")["format"] == 0.25
    assert compliance(answers, "label_only") == {
        "label_field": 0.5, "commentary_field": 0.0, "format": 0.25
    }  # fmt: skip


def test_levels_that_are_said_count_by_hand(drills) -> None:
    clips = [replace(c, drill=replace(c.drill, level=k)) for c, k in zip(
        clips_of(drills[:5]), (0, 0, 0, 1, 3), strict=True)]  # fmt: skip
    said = ["Novice", "Novice", "Late Expert", "Novice", None]
    answers = [f"Proficiency Level: {name}." if name else "no idea" for name in said]
    found = levels_said(answers, "label_only", clips)
    assert found["level_accuracy"] == pytest.approx(2 / 5)
    # Novice: 2 right of 3 said and 3 true; Early Expert and Late Expert: none right.
    assert found["level_macro_f1"] == pytest.approx((4 / 6 + 0 + 0) / 3)
    assert (found["level_majority"], found["n"]) == (3 / 5, 5)


def test_measures_are_those_of_the_log(tmp_path) -> None:
    log = LoopLog(tmp_path)
    log.write(0, {"validation/epoch": 0.0, "validation/label_field": 0.25})
    log.write(10, {"train/loss": 3.0})
    log.write(20, {"validation/epoch": 1.0, "validation/label_field": 1.0})
    log.close()
    assert measures(tmp_path) == [
        {"step": 0, "epoch": 0.0, "label_field": 0.25},
        {"step": 20, "epoch": 1.0, "label_field": 1.0},
    ]
    assert measures(tmp_path / "none") == []
    assert mean_loss([]) is None and mean_loss([1.0, 3.0]) == 2.0


def test_a_whole_rig_has_all_views_and_a_mixed_one_some() -> None:
    whole = drawn_views(400, 0.5, "whole", seed=3)
    mixed = drawn_views(400, 0.5, "mixed", seed=3)
    assert set(whole) == {(), VIEWS}
    assert [bool(a) for a in whole] == [bool(b) for b in mixed]  # the same clips are filmed
    counts = Counter(len(views) for views in mixed if views)
    shares = [counts[n] / sum(counts.values()) for n in VIEW_COUNTS]
    assert shares == pytest.approx(VIEW_COUNT_SHARES, abs=0.1)
    assert all(views == tuple(v for v in VIEWS if v in views) for views in mixed)
    assert drawn_views(9, 0.0, "whole", 3) == [()] * 9


def test_masked_views_leave_the_others_rows() -> None:
    rows = np.arange(6.0).reshape(3, 2)
    filmed = ("ego", "exo1", "exo4")
    assert np.array_equal(masked(rows, filmed, ("exo1", "exo4")), rows[1:])
    assert np.array_equal(masked(rows, filmed, VIEWS), rows)
    assert masked(rows, filmed, ("exo2",)) is None
    assert masked(None, (), VIEWS) is None


def test_streams_of_masked_views_are_left_out() -> None:
    stream = Stream(np.zeros((2, 2)), 10.0)
    streams = {"a": {"ego": stream, "exo": stream, "gaze": stream}, "b": {"exo": stream}}
    assert {k: set(v) for k, v in shown_streams(streams, ("ego",)).items()} == {
        "a": {"ego", "gaze"}
    }
    assert {k: set(v) for k, v in shown_streams(streams, ("exo2",)).items()} == {
        "a": {"exo", "gaze"}, "b": {"exo"}
    }  # fmt: skip
    assert shown_streams(streams, VIEWS) == streams


def test_only_models_of_films_are_measured_on_films(drills) -> None:
    run: Any = StubRun()
    run.perception = lambda: None
    clips = clips_of(drills)
    assert with_films(run, clips, 0) == clips


def test_input_norms_are_fitted_of_what_is_given(make_model, make_inputs) -> None:
    model = make_model()
    clips = [replace(c, inputs=make_inputs(i).given("video")) for i, c in enumerate(clips_of(
        simulate_many(2, 1, 3, split="train", workers=1)))]  # fmt: skip
    before = model.pose_mapper.inputs.mean.clone()
    fit_inputs(model, clips)
    assert (model.pose_mapper.inputs.mean == before).all()
    expected = np.mean([clip.inputs.score for clip in clips], axis=0)
    assert model.score_token.inputs.mean.numpy() == pytest.approx(expected, abs=1e-6)
