"""Conversations and a finished run for the tests of training."""

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch

from assistant.checkpoint import Checkpoint
from assistant.demos.library import Library
from assistant.perception import Perception
from assistant.pose.tokenizer import PoseTokenizer, PoseTokenizerConfig
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from prompts.parse import ParsedRemark, format_feedback
from prompts.render import render_messages
from prompts.vocabulary import LEVELS, special_tokens
from training.adapter import add_lora, save_bare, save_trained
from training.library import build_library
from training.loop import Loop, Plan
from training.progress import Progress
from training.recipe import LoraSettings, load_recipe

LORA = LoraSettings(rank=3, alpha=6)
PLAN = Plan(
    steps=4, batch_size=3, learning_rate=1e-2, warmup=0, weight_decay=0.0, precision="auto", seed=0
)


def answer(level: str) -> str:
    """A short well-formed answer."""
    return format_feedback(level, [ParsedRemark("legs", "correct", "Keep steady.")], "Slow squats.")


@pytest.fixture(scope="session")
def drills() -> list[Drill]:
    """Squats and free throws of eight performers, a few distractors among them."""
    return simulate_many(8, 4, 3, split="train", distractor_share=0.1)


@pytest.fixture(scope="session")
def perception() -> Perception:
    """A codec of 3 tokens a frame and 16 codes, untrained."""
    torch.manual_seed(0)
    config = PoseTokenizerConfig(
        tokens_per_frame=3, codebook_size=16, encoder_width=16, decoder_width=16
    )
    nobody: Any = None  # the assessor plays no part here
    return Perception(PoseTokenizer(config).eval(), nobody)


@pytest.fixture(scope="session")
def library(drills: list[Drill], perception: Perception) -> Library:
    """Of the drills that are done right."""
    return build_library(drills, perception)


@pytest.fixture
def new_tokens(processor) -> list[int]:  # type: ignore[no-untyped-def]
    return processor.tokenizer.convert_tokens_to_ids(special_tokens(16))


@pytest.fixture
def samples(processor, make_inputs):  # type: ignore[no-untyped-def]
    """Six conversations, features, label, commentary and pose codes in them."""
    from assistant.tasks.commentary import prompt_pieces
    from training.language_samples import supervise, token_sample

    made = []
    for i in range(6):
        inputs = make_inputs(i, video=i % 3)
        messages = render_messages(
            "correction",
            commentary=answer(LEVELS[i % 4]),
            learner_codes=[[1, 2, 3]] * (2 + i % 3),
            target=[[4, 5, 6]] * (2 + i % 3),
            **prompt_pieces(inputs),
        )
        made.append(
            token_sample(
                processor,
                supervise(messages),
                inputs,
                verdict_weight=4.0,
                sample_id=f"clip{i}/correction",
            )
        )
    return made


@pytest.fixture
def make_run(make_model, processor, samples, new_tokens, tmp_path):  # type: ignore[no-untyped-def]
    """Makes a run folder as the stage `language` leaves it, of a model of the given sizes."""

    def make(**sizes):  # type: ignore[no-untyped-def]
        folder = tmp_path / "run"
        work = folder / "work"
        work.mkdir(parents=True)
        make_model(**sizes).save_pretrained(work / "pretrained")
        wrapped = add_lora(make_model(**sizes), LORA, new_tokens)
        Loop(wrapped, samples, processor, PLAN, progress=Progress("test")).run()
        save_trained(wrapped, work / "trained.safetensors")
        sport = add_lora(make_model(**sizes), LORA, (), beside=False)
        save_bare(sport, folder / "adapters" / "golf_swing", LORA, base="language")
        wrapped.merge_and_unload().save_pretrained(folder / "language")
        processor.save_pretrained(folder / "language")
        recipe = load_recipe("mini", ["lora.rank=3", "lora.alpha=6"])
        (work / "recipe.json").write_text(json.dumps(asdict(recipe)))
        Checkpoint(folder, "poise-mini", "simulated drills").write()
        return folder

    return make
