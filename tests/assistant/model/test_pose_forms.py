"""One setting, saved with the model, decides how it is given the pose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant.chat_store import _pack_inputs, _unpack_inputs
from assistant.checkpoint import LANGUAGE_FOLDER, Checkpoint
from assistant.engine.base import GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.perception import Perception
from assistant.pose.normalise import REST_POSE
from assistant.skeleton import LEFT_ANKLE
from assistant.tasks.commentary import label_continuations, label_prompt
from assistant.tasks.correction import correction_prompt
from assistant.tasks.window import WindowFrames, given_as_text
from prompts.pose_text import POSE_FORMS


def standing(lift: float = 0.0) -> WindowFrames:
    """A body at rest; `lift` raises it, and its left ankle less, by so many metres."""
    joints = np.repeat(REST_POSE[None], 10, axis=0).astype(np.float32)
    joints[:, LEFT_ANKLE, 2] -= lift
    heights = np.repeat([[0.83 + lift, 0.0, lift]], 10, axis=0).astype(np.float32)
    return WindowFrames(1.0, 3.0, joints, heights)


def written(inputs: ModelInputs, lift: float = 0.0) -> ModelInputs:
    return replace(inputs, pose_text=given_as_text(standing(lift), "text"))


def test_coordinates_stand_on_the_floor_at_three_times() -> None:
    assert given_as_text(standing(), "features") == ""
    text = given_as_text(standing(0.05), "text")
    frames = text.split("; ")[1:]
    assert [frame.split(" s ")[0] for frame in frames] == ["0.0", "1.0", "1.8"]
    points = frames[0].split(" s ")[1].split(", ")
    assert points[0] == "0 0 88" and points[1] == "11 0 156"
    assert points[-2:] == ["-2 11 0", "-2 -11 5"]  # the right foot is off the ground


def test_text_takes_the_place_of_the_rows(processor, make_model, make_inputs) -> None:
    inputs = [written(make_inputs(i), 0.1 * i) for i in range(2)]
    batch = processor([label_prompt(each).messages for each in inputs], inputs)
    place = batch["input_ids"] == processor.tokenizer.convert_tokens_to_ids("<|pose|>")
    assert not place.any() and "pose_features" not in batch and "stage1_features" in batch
    with torch.no_grad():
        assert torch.isfinite(make_model(pose_form="text")(**batch).logits).all()
    follow_up = correction_prompt(inputs[0], "Proficiency Level: Novice.", [[1, 2, 3]] * 10)
    assert inputs[0].pose_text in follow_up.messages[1]["content"]
    ids = [processor.encode(label_prompt(each).messages) for each in inputs]
    assert "pose_features" not in processor.collate(ids, inputs, packed=True)


def test_what_the_model_reads_depends_on_the_text(processor, make_model, make_inputs) -> None:
    engine = TransformersEngine(make_model(pose_form="text"), processor)
    one = written(make_inputs(0))
    moved, rows = written(one, 0.3), replace(one, pose=one.pose + 1)
    first, second, third = (
        engine.score(label_prompt(each), label_continuations())[0] for each in (one, moved, rows)
    )
    assert not np.array_equal(first, second)
    assert np.array_equal(first, third)  # its rows are not read


def test_an_engine_refuses_another_form(processor, make_model, make_inputs) -> None:
    given = make_inputs(0)
    cases = (("text", given, "features"), ("features", written(given), "text"))
    for form, inputs, got in cases:
        engine = TransformersEngine(make_model(pose_form=form), processor)
        with pytest.raises(PoiseError, match=f"the pose in a form .* got: {got}; expected: {form}"):
            engine.generate([label_prompt(inputs)], GenerationOptions())
        nothing = label_prompt(inputs.given("video"))
        engine.generate([nothing], GenerationOptions(max_new_tokens=1))


def test_the_setting_is_saved_and_followed(tmp_path: Path) -> None:
    shipped = Checkpoint.open().folder
    for part in ("pose_tokenizer", "proficiency"):
        (tmp_path / part).symlink_to(shipped / part)
    assert Perception.from_pretrained(shipped).pose_form == POSE_FORMS[0] == "features"
    PoiseConfig(pose_form="text").save_pretrained(tmp_path / LANGUAGE_FOLDER)
    assert Perception.from_pretrained(tmp_path).pose_form == "text"
    with pytest.raises(PoiseError, match="got: 'words'; expected: features, text"):
        PoiseConfig(pose_form="words")


def test_the_text_has_room_in_the_shipped_model(make_inputs) -> None:
    folder = Checkpoint.open().folder / LANGUAGE_FOLDER
    ids = PoiseProcessor.from_pretrained(folder).text_ids(given_as_text(standing(), "text"))
    room = PoiseConfig.from_pretrained(folder).text_config.max_position_embeddings
    assert len(ids) < room / 4


def test_a_chat_keeps_the_text(make_inputs) -> None:
    inputs = written(make_inputs(0))
    assert _unpack_inputs(_pack_inputs(inputs)).pose_text == inputs.pose_text
    assert _unpack_inputs(_pack_inputs(make_inputs(0))).pose_text == ""
