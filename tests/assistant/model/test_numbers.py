"""One setting, saved with the model, decides how it is given the numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant.checkpoint import LANGUAGE_FOLDER, Checkpoint
from assistant.engine.base import GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.perception import Perception
from assistant.tasks.commentary import label_continuations, label_prompt
from prompts.numbers import NUMBER_FORMS
from prompts.vocabulary import PLACEHOLDERS

PROMPT = (
    "<|im_start|>system\nYou are a visual agent for human performance analysis.<|im_end|>\n"
    "<|im_start|>user\nBody pose: <|pose_start|>" + "<|pose|>" * 10 + "<|pose_end|>. "
    "Skill score: <|score|>. Regions: <|regions|>. "
    "Features: <|stage1_start|>" + "<|stage1|>" * 7 + "<|stage1_end|>. "
    "Given this motion, analyze the proficiency level of the subject.<|im_end|>\n"
    "<|im_start|>assistant\nProficiency Level:"
)


def test_the_default_prompt_of_the_shipped_checkpoint() -> None:
    """Text and token ids as before there was a choice."""
    folder = Checkpoint.open().folder
    processor = PoiseProcessor.from_pretrained(folder / LANGUAGE_FOLDER)
    assert PoiseConfig.from_pretrained(folder / LANGUAGE_FOLDER).numbers == "token"
    inputs = ModelInputs(
        pose=np.zeros((10, 67), np.float32),
        score=np.zeros(14, np.float32),
        regions=np.zeros(18, np.float32),
        stage1=np.zeros((7, 64), np.float32),
    )
    prompt = label_prompt(inputs)
    ids = processor.encode(prompt.messages, answer_start=prompt.answer_start)
    assert ids == processor.text_ids(PROMPT)
    assert processor.tokenizer.decode(ids) == PROMPT


@pytest.mark.parametrize("form", NUMBER_FORMS)
def test_prompts_hold_as_many_placeholders_as_rows_are_spliced(
    processor, make_model, make_inputs, form: str
) -> None:
    inputs = [replace(make_inputs(i), numbers=form) for i in range(2)]
    prompts = [label_prompt(each) for each in inputs]
    batch = processor([p.messages for p in prompts], inputs)
    for modality, token in PLACEHOLDERS.items():
        wanted = inputs[0].counts()[modality]
        numeric = modality in ("score", "regions")
        assert wanted == (int(form == "token") if numeric else len(getattr(inputs[0], modality)))
        place = batch["input_ids"] == processor.tokenizer.convert_tokens_to_ids(token)
        assert place.sum(1).tolist() == [wanted, wanted]
        assert (f"{modality}_features" in batch) == (wanted > 0)
    with torch.no_grad():
        assert torch.isfinite(make_model(numbers=form)(**batch).logits).all()


@pytest.mark.parametrize("form", NUMBER_FORMS)
def test_what_the_model_reads_depends_on_the_numbers_unless_there_are_none(
    processor, make_model, make_inputs, form: str
) -> None:
    engine = TransformersEngine(make_model(numbers=form), processor)
    one = replace(make_inputs(0), numbers=form)
    other = replace(one, score=one.score + 1, regions=one.regions + 1)
    first, second = (engine.score(label_prompt(i), label_continuations())[0] for i in (one, other))
    assert np.array_equal(first, second) == (form == "none")


def test_a_token_without_its_row_raises(processor, make_model, make_inputs) -> None:
    inputs = make_inputs(0)
    batch = processor([label_prompt(inputs).messages], [replace(inputs, numbers="digits")])
    with pytest.raises(PoiseError, match="does not match its score features"):
        make_model()(**batch)


def test_an_engine_refuses_another_form(processor, make_model, make_inputs) -> None:
    engine = TransformersEngine(make_model(numbers="digits"), processor)
    with pytest.raises(PoiseError, match=r"score and regions .* got: token; expected: digits"):
        engine.generate([label_prompt(make_inputs(0))], GenerationOptions())
    nothing = label_prompt(make_inputs(0, score=False, regions=False))
    engine.generate([nothing], GenerationOptions(max_new_tokens=1))


def test_the_setting_is_saved_and_followed(tmp_path: Path) -> None:
    """Perception reads it beside the model: nobody has to pass it along."""
    shipped = Checkpoint.open().folder
    for part in ("pose_tokenizer", "proficiency"):
        (tmp_path / part).symlink_to(shipped / part)
    assert Perception.from_pretrained(tmp_path).numbers == "token"
    PoiseConfig(numbers="digits").save_pretrained(tmp_path / LANGUAGE_FOLDER)
    assert Perception.from_pretrained(tmp_path).numbers == "digits"
    reader = PoiseConfig(numbers="none")
    assert Perception.from_pretrained(tmp_path, reader=reader).numbers == "none"


def test_packed_conversations_splice_no_numbers_that_are_text(processor, make_inputs) -> None:
    inputs = [replace(make_inputs(i), numbers="digits") for i in range(2)]
    ids = [processor.encode(label_prompt(each).messages) for each in inputs]
    batch = processor.collate(ids, inputs, packed=True)
    assert "score_features" not in batch and "pose_features" in batch


def test_an_unknown_form_lists_the_known_ones() -> None:
    with pytest.raises(PoiseError, match="got: 'words'; expected: token, digits, none"):
        PoiseConfig(numbers="words")
