"""Answers in each form: coached, read back, judged after what was said; films that are masked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant import cli
from assistant.answer import check_label_first, said_before_label, whole_answers
from assistant.checkpoint import DEFAULT_NAME, LANGUAGE_FOLDER, WEIGHTS_FOLDER, Checkpoint
from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.coach_result import CoachInput, Judged
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.feedback import validate
from assistant.model.configuration_poise import PoiseConfig, check_views
from assistant.perceive import perceive
from assistant.perception import Perception
from assistant.pose.read import read_pose
from assistant.tasks.commentary import label_continuations, label_prompt
from prompts.parse import ANSWER_FORMS, COMMENTARY_FIRST, LABEL_PREFIX, parse_feedback
from prompts.vocabulary import LEVELS, VIEWS

DEMO = WEIGHTS_FOLDER / "demo"


@pytest.mark.parametrize("form", ANSWER_FORMS)
def test_a_model_of_any_form_coaches(stub_coach: Coach, squat: PoseSequence, form: str) -> None:
    stub_coach.config.answer_form = form
    result = stub_coach.coach(CoachInput("squat", squat))
    record = result.feedback.to_json()
    validate(record)
    assert result.text is not None
    parsed = parse_feedback(result.text, form)
    assert parsed.problems == ()
    assert parsed.level == record["proficiency"]["level"]
    assert bool(record["remarks"]) == bool(record["commentary"]) == (form != "label_only")


def test_a_level_that_comes_last_is_judged_after_the_models_own_commentary(
    make_model, make_inputs, processor
) -> None:
    model = make_model(answer_form=COMMENTARY_FIRST)
    engine = TransformersEngine(model, processor)
    inputs = [make_inputs(i) for i in range(2)]
    said = said_before_label(engine, inputs)
    for each, before in zip(inputs, said, strict=True):
        assert before.startswith("Proficiency Commentary:")
        assert before.endswith(f"\n{LABEL_PREFIX}")
        after, _ = engine.score(label_prompt(each, said=before), label_continuations())
        alone, _ = engine.score(label_prompt(each), label_continuations())
        assert not np.allclose(after, alone)
    texts = whole_answers(engine, inputs, [LEVELS[2], LEVELS[0]], said)
    assert [text.removeprefix(before) for text, before in zip(texts, said, strict=True)] == [
        f" {LEVELS[2]}.", f" {LEVELS[0]}."
    ]  # fmt: skip
    assert [parse_feedback(text, COMMENTARY_FIRST).level for text in texts] == [
        LEVELS[2], LEVELS[0]
    ]  # fmt: skip


def test_the_form_is_saved_with_the_model(make_model, tmp_path: Path) -> None:
    make_model(answer_form=COMMENTARY_FIRST, views=["exo1", "ego"], inputs="video").save_pretrained(
        tmp_path
    )
    found = PoiseConfig.from_pretrained(tmp_path)
    assert (found.answer_form, found.views, found.inputs) == (
        COMMENTARY_FIRST, ("ego", "exo1"), "video"
    )  # fmt: skip


def test_the_shipped_model_names_the_level_first_and_is_given_everything() -> None:
    config = PoiseConfig.from_pretrained(WEIGHTS_FOLDER / DEFAULT_NAME / LANGUAGE_FOLDER)
    assert (config.answer_form, config.views, config.inputs) == ("label_first", VIEWS, "all")
    check_label_first(config)


@pytest.mark.parametrize(
    "settings", [{"answer_form": "level"}, {"views": ["exo9"]}, {"views": []}, {"inputs": "sound"}]
)
def test_unknown_settings_list_the_known_ones(settings) -> None:
    with pytest.raises(PoiseError, match=r"expected: .*(label_first|exo4|video)"):
        PoiseConfig(**settings)


def test_a_chat_needs_the_level_first(stub_coach: Coach, processor) -> None:
    from assistant.chat_session import ChatSession
    from assistant.serving.chat import ChatAnswerer

    stub_coach.config.answer_form = COMMENTARY_FIRST
    with pytest.raises(PoiseError, match=r"cannot be chatted with; got: .* commentary_first"):
        ChatAnswerer(stub_coach, processor, None)  # type: ignore[arg-type]
    with pytest.raises(PoiseError, match="cannot be chatted with"):
        ChatSession(stub_coach, None, "a")  # type: ignore[arg-type]


def test_what_a_model_is_not_given_is_not_in_its_prompt(make_inputs) -> None:
    whole = make_inputs(0)
    assert whole.given("all") is whole
    assert whole.given("video").counts() == whole.counts() | {"pose": 0, "stage1": 0}
    assert whole.given("pose").counts() == whole.counts() | {"video": 0, "stage1": 0}
    assert whole.given("none").counts() == whole.counts() | {"video": 0, "pose": 0, "stage1": 0}
    blind = replace(whole.given("none"), numbers="none")
    assert set(blind.counts().values()) == {0}


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception.from_pretrained(Checkpoint.open(None).folder)


def seen(perception: Perception, *views: str) -> Judged:
    films = dict.fromkeys(views, DEMO / "squat_demo.mp4")
    given = CoachInput("demo", read_pose(DEMO / "squat_demo.npz"), films)
    [item] = perceive(perception, [given], activity="bodyweight_squat")
    assert isinstance(item, Judged)
    return item


def test_films_of_masked_views_change_nothing(perception: Perception) -> None:
    """With the shipped parts and the bundled film: the prompt's features are the same."""
    alone = seen(perception, "exo1")
    assert alone.video_views == ("exo1",)
    hidden = seen(replace(perception, views=("exo1", "exo2")), "ego", "exo1", "exo3")
    assert hidden.video_views == ("exo1",)
    for name in ("video", "pose", "score", "regions", "stage1"):
        assert np.array_equal(getattr(hidden.inputs, name), getattr(alone.inputs, name)), name
    both = seen(perception, "ego", "exo1", "exo3")
    assert len(both.video_views) > 1
    assert not np.array_equal(both.inputs.score, alone.inputs.score)


def test_a_model_of_poses_is_given_no_film(perception: Perception) -> None:
    item = seen(replace(perception, inputs="pose"), "exo1")
    assert item.inputs.video is None and item.video_views == ()
    assert item.inputs.pose is not None and item.inputs.stage1 is None


def test_coach_looks_at_the_named_views_alone(
    stub_coach: Coach, squat: PoseSequence, capsys, monkeypatch, tmp_path: Path
) -> None:
    stub_coach.look_at(["exo2", "ego"])
    assert stub_coach.perception.views == ("ego", "exo2")
    with pytest.raises(PoiseError, match="no view is left; got: exo1; expected: some of ego, exo2"):
        stub_coach.look_at(["exo1"])
    monkeypatch.setattr(Coach, "from_pretrained", classmethod(lambda *_, **__: stub_coach))
    pose = DEMO / "squat_demo.npz"
    assert cli.main(["coach", str(pose), "--look-at", "exo7"]) == 1
    assert "wrong views; got: 'exo7'; expected: some of ego" in capsys.readouterr().err
    assert cli.main(["coach", str(pose), "--look-at", "ego", "--json"]) == 0
    assert stub_coach.perception.views == ("ego",)
    assert check_views(["best_exo", "exo4", "ego", "ego"]) == ("ego", "exo4", "best_exo")
