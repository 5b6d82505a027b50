"""The same server over the vLLM engine: the same answers, adapters by model name; and both engines
on 50 clips with the shipped checkpoint in float32."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import torch

from assistant.chat import SeenClip
from assistant.checkpoint import LANGUAGE_FOLDER
from assistant.coach import Coach
from assistant.coach_result import CoachInput, Judged, told_record
from assistant.engine.base import Generation, GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.evidence import Experts
from assistant.feedback import validate
from assistant.perceive import perceive
from assistant.pose.read import read_pose
from assistant.serving.adapters import LINEARS
from assistant.serving.load import ClipTalk, drive, learn_alone
from assistant.serving.settings import ServeSettings
from assistant.tasks.commentary import (
    commentary_prompt,
    label_continuations,
    label_prompt,
    level_probabilities,
)
from assistant.tasks.correction import correction_prompt
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from prompts.parse import format_label
from prompts.vocabulary import LEVELS

from .conftest import RunningServer, about, file_part, running, wait_until

pytestmark = pytest.mark.vllm

SPORTS = ("squats", "throws")
CLIPS = 50


@pytest.fixture(scope="module")
def adapters(coach: Coach, tmp_path_factory) -> dict[str, Path]:
    """Two adapters over the shipped model, each of which makes it speak otherwise."""
    from peft import LoraConfig, get_peft_model

    found = {}
    for rank, name in enumerate(SPORTS, 2):
        torch.manual_seed(rank)
        settings = LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules=list(LINEARS), init_lora_weights=False
        )
        engine = TransformersEngine.from_pretrained(coach.checkpoint.folder / LANGUAGE_FOLDER)
        found[name] = tmp_path_factory.mktemp(name)
        get_peft_model(engine.model.language_model, settings).save_pretrained(found[name])
    return found


@pytest.fixture(scope="module")
def by_vllm(adapters: dict[str, Path]) -> Iterator[RunningServer]:
    coach = Coach.from_pretrained(engine="vllm", dtype="float32", adapters=adapters)
    with running(coach, ServeSettings(port=0)) as started:
        yield started


@pytest.fixture(scope="module")
def talks(server: RunningServer, clip_paths: list[Path]) -> list[ClipTalk]:
    """Each clip's answers by the transformers engine."""
    return learn_alone(server.url, "none", clip_paths)


def test_many_chats_get_the_answers_of_the_transformers_engine(by_vllm, talks) -> None:
    uploaded = []
    for talk in talks:
        with talk.path.open("rb") as file:
            given = by_vllm.openai.files.create(file=file, purpose="user_data")
        uploaded.append(ClipTalk(talk.path, given.id, talk.answers))
    report = asyncio.run(drive(by_vllm.url, "none", uploaded, chats=12, rounds=2))
    assert report.answered == 12 * 2 * 3
    assert report.wrong == [] and report.lost == []


def test_coaching_by_vllm(by_vllm, clip_paths: list[Path]) -> None:
    with clip_paths[0].open("rb") as file:
        part = file_part(by_vllm.openai.files.create(file=file, purpose="user_data").id)
    record = by_vllm.http.post("/v1/coach", json={"clip": [part]}).json()
    validate(record)
    assert record["provenance"]["engine"] == "vllm" and record["correction"]["pose"]


def test_unknown_adapters_are_unknown_models(by_vllm) -> None:
    with pytest.raises(openai.NotFoundError, match="poise-mini"):
        by_vllm.openai.chat.completions.create(model="golf", messages=about(file_part("file-1")))


def test_who_leaves_frees_the_engines_slot(by_vllm, clip_paths: list[Path], monkeypatch) -> None:
    """Each token takes a second more, so that nobody can be too late to leave."""
    from assistant.serving.vllm_rules import RuleLogitsProcessor

    with clip_paths[0].open("rb") as file:
        part = file_part(by_vllm.openai.files.create(file=file, purpose="user_data").id)
    asked: dict[str, Any] = {
        "model": by_vllm.service.models[0],
        "messages": about(part, "a", "What should I fix first?"),
    }
    whole = by_vllm.openai.chat.completions.create(**asked).usage.completion_tokens
    engine, apply = by_vllm.service.coach.engine, RuleLogitsProcessor.apply

    def slow(self: Any, logits: torch.Tensor) -> torch.Tensor:
        time.sleep(1.0)
        return apply(self, logits)

    monkeypatch.setattr(RuleLogitsProcessor, "apply", slow)
    before = by_vllm.metric("poise_generated_tokens_total")
    stream = by_vllm.openai.chat.completions.create(**asked, stream=True)
    next(iter(stream))
    assert engine.unfinished == 1
    stream.close()
    wait_until(lambda: engine.unfinished == 0, "the free slot", 30)
    assert 0 < by_vllm.metric("poise_generated_tokens_total") - before < whole


def merged(coach: Coach, adapter: Path | None) -> TransformersEngine:
    """The shipped model by transformers, an adapter merged into it."""
    from peft import PeftModel

    engine = TransformersEngine.from_pretrained(coach.checkpoint.folder / LANGUAGE_FOLDER)
    if adapter is not None:
        adapted = PeftModel.from_pretrained(engine.model.language_model, adapter)
        engine.model.language_model = adapted.merge_and_unload()
        engine.model.eval()
    return engine


def first_answers(
    engine: TransformersEngine, seen: Sequence[Judged], experts: Experts
) -> list[str]:
    """Level and commentary of clips, and what to fix first where it is not cut, as the server
    gives them first."""
    texts = []
    for item in seen:
        sums, _ = engine.score(label_prompt(item.inputs), label_continuations())
        levels = level_probabilities(sums, engine.config.label_temperature)
        level = LEVELS[int(levels.argmax())]
        options = GenerationOptions()
        (answer,) = engine.generate([commentary_prompt(item.inputs, level)], options)
        text = format_label(level) + answer.text
        told = SeenClip("", item.inputs, text, told_record(item, text, levels, experts))
        cut = len(answer.token_ids) >= options.max_new_tokens
        texts.append(text if cut else told.concluded())
    return texts


def test_models_asked_for_at_once_answer_by_their_own_adapters(
    by_vllm, coach: Coach, adapters, clip_paths: list[Path]
) -> None:
    """Two adapters and the base in one batch, each with the answer of its merged model."""
    paths = clip_paths[:3]
    seen = perceive(coach.perception, [CoachInput(p.stem, read_pose(p)) for p in paths])
    judged = [item for item in seen if isinstance(item, Judged)]
    assert len(judged) == len(paths)
    base = by_vllm.service.models[0]
    assert by_vllm.service.models == [base, *SPORTS]
    models = {base: None, **adapters}
    wanted = {
        name: first_answers(merged(coach, path), judged, coach.experts)
        for name, path in models.items()
    }
    parts = []
    for path in paths:
        with path.open("rb") as file:
            parts.append(file_part(by_vllm.openai.files.create(file=file, purpose="user_data").id))
    asked = [(name, i) for i in range(len(paths)) for name in models]

    def ask(one: tuple[str, int]) -> Any:
        name, i = one
        return by_vllm.openai.chat.completions.create(model=name, messages=about(parts[i]))

    with ThreadPoolExecutor(len(asked)) as threads:
        answers = list(threads.map(ask, asked))
    for (name, i), answer in zip(asked, answers, strict=True):
        assert answer.model == name
        assert answer.choices[0].message.content == wanted[name][i], (name, i)
    assert all(len({wanted[name][i] for name in models}) == len(models) for i in range(len(paths)))


@pytest.fixture(scope="module")
def many(coach: Coach) -> list[Judged]:
    """Different people, half of them squatting, half throwing, as the pipeline sees them."""
    clips = []
    for i in range(CLIPS):
        rng = np.random.default_rng([17, i])
        activity = ("bodyweight_squat", "basketball_free_throw")[i % 2]
        take = simulate(activity, i % 4, sample_performer(rng, "test"), rng)
        clips.append((activity, CoachInput(f"clip{i}", take.pose)))
    return [
        item
        for activity, clip in clips
        for item in perceive(coach.perception, [clip], activity=activity)
        if isinstance(item, Judged)
    ]


def test_fifty_clips_token_for_token(by_vllm, coach: Coach, many: list[Judged]) -> None:
    """Commentary, structured label, pose codes and likelihoods, by both engines in float32."""
    assert len(many) >= CLIPS
    theirs, ours = coach.engine, by_vllm.service.coach.engine
    labels = tuple(label_continuations())
    prompts = {
        "commentary": [commentary_prompt(m.inputs, LEVELS[i % 4]) for i, m in enumerate(many)],
        "label": [label_prompt(m.inputs) for m in many],
        "codes": [
            correction_prompt(m.inputs, f"{format_label(LEVELS[i % 4])}Bend.", m.codes.tolist())
            for i, m in enumerate(many)
        ],
    }
    options = {
        "commentary": GenerationOptions(),
        "label": GenerationOptions(choices=labels),
        "codes": GenerationOptions(pose_codes=True),
    }
    for what, asked in prompts.items():
        wanted = theirs.generate(asked, options[what])
        found = ours.generate(asked, options[what])
        assert tokens(found) == tokens(wanted), what
        assert len(set(map(tuple, tokens(wanted)))) > (1 if what == "label" else CLIPS // 2), what
    for prompt in prompts["label"]:
        mine, counted = ours.score(prompt, labels)
        expected, counts = theirs.score(prompt, labels)
        np.testing.assert_array_equal(counted, counts)
        np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-3)


def tokens(answers: Sequence[Generation]) -> list[list[int]]:
    return [answer.token_ids for answer in answers]


def test_a_step_that_fails_is_told_as_the_servers_fault(
    by_vllm, clip_paths: list[Path], monkeypatch
) -> None:
    """The last of this file: it ends the engine."""
    from vllm.v1.engine.llm_engine import LLMEngine

    with clip_paths[0].open("rb") as file:
        part = file_part(by_vllm.openai.files.create(file=file, purpose="user_data").id)

    def fails(_: Any) -> None:
        raise RuntimeError("a kernel of step 7")

    monkeypatch.setattr(LLMEngine, "step", fails)
    for _ in range(2):  # who waited, and who comes later
        with pytest.raises(openai.InternalServerError) as caught:
            by_vllm.openai.chat.completions.create(
                model=by_vllm.service.models[0],
                messages=about(part, "a", "What should I fix first?"),
            )
        assert caught.value.status_code == 503 and caught.value.code == "engine_stopped"
        assert "step 7" not in str(caught.value)
    assert by_vllm.http.get("/health").status_code == 503
