"""The engine in this process: generate, stream and score agree with the model itself."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.constraints import PoseForm
from assistant.engine.text_pieces import TextPieces
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import label_continuations, label_prompt
from assistant.tasks.retrieval import candidate_continuations, code_token_ids
from prompts.parse import parse_pose_codes
from prompts.render import render_messages

SUBSETS = [
    {},
    {"video": 0, "stage1": 0},
    {"pose": 0, "score": False},
    {"video": 5, "regions": False},
    {"video": 0, "pose": 0, "stage1": 0, "score": False, "regions": False},
]


@pytest.fixture(scope="module")
def engine(make_model, processor):
    return TransformersEngine(make_model(), processor)


@pytest.fixture(scope="module")
def prompts(make_inputs):
    return [label_prompt(make_inputs(i, **subset)) for i, subset in enumerate(SUBSETS)]


def by_full_forward(engine: TransformersEngine, prompt: Prompt, ids: list[int]) -> float:
    """Sum of log p of a continuation from one forward pass over prompt and continuation."""
    start = engine.processor.encode(prompt.messages, answer_start=prompt.answer_start)
    with torch.inference_mode():
        batch = engine.processor.collate([start + ids], [prompt.inputs])
        logs = engine.model(**batch).logits[0].double().log_softmax(-1)
    return sum(float(logs[len(start) + i - 1, token]) for i, token in enumerate(ids))


def test_score_equals_a_full_forward(engine, prompts) -> None:
    rng = np.random.default_rng(0)
    continuations = [rng.integers(2, 300, size=n).tolist() for n in (1, 7, 2, 40, 1, 13)]
    for prompt in prompts:
        sums, counts = engine.score(prompt, continuations)
        expected = [by_full_forward(engine, prompt, ids) for ids in continuations]
        assert counts.tolist() == [1, 7, 2, 40, 1, 13]
        assert sums == pytest.approx(np.array(expected), rel=1e-4, abs=1e-3)


def test_score_of_texts_and_of_more_than_one_chunk(engine, prompts, monkeypatch) -> None:
    texts = label_continuations()
    ids = [engine.processor.text_ids(text) for text in texts]
    sums, counts = engine.score(prompts[0], texts)
    assert counts.tolist() == [len(each) for each in ids]
    monkeypatch.setattr("assistant.engine.transformers_engine.SCORE_TOKENS", 5)
    in_chunks, _ = engine.score(prompts[0], ids)
    assert in_chunks == pytest.approx(sums, abs=1e-3)


def test_scoring_leaves_the_prefix_as_it_was(engine, prompts) -> None:
    one = [[5, 6, 7], [8]]
    first, _ = engine.score(prompts[0], one)
    again, _ = engine.score(prompts[0], [*one, [9] * 30])
    assert again[:2] == pytest.approx(first, abs=1e-4)


def test_probabilities_of_one_token_sum_to_one(engine, prompts) -> None:
    every = [[token] for token in range(engine.model.config.text_config.vocab_size)]
    sums, _ = engine.score(prompts[1], every)
    assert np.exp(sums.astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-4)


def test_a_candidate_is_scored_as_one_pass_over_prompt_and_codes_does(engine, prompts) -> None:
    config, rng = engine.model.config, np.random.default_rng(1)
    sums, counts = engine.score(
        prompts[0], candidate_continuations(written := rng.integers(0, 16, (2, 4, 3)), config)
    )
    assert counts.tolist() == [4 * (3 + 1) + 1] * 2
    start = engine.processor.encode(prompts[0].messages, answer_start=prompts[0].answer_start)
    for codes, total in zip(written, sums, strict=True):
        ids = code_token_ids(codes, config)
        with torch.inference_mode():
            batch = engine.processor.collate([start + ids], [prompts[0].inputs])
            logs = engine.model(**batch).logits[0].double().log_softmax(-1)
        expected = sum(float(logs[len(start) + i - 1, token]) for i, token in enumerate(ids))
        assert total == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_nothing_to_score(engine, prompts) -> None:
    sums, counts = engine.score(prompts[0], [])
    assert len(sums) == len(counts) == 0
    with pytest.raises(PoiseError, match="no token in continuation 1 of 2"):
        engine.score(prompts[0], [[4], []])


@pytest.mark.parametrize("pose_codes", [False, True])
def test_a_batch_generates_what_each_prompt_does(engine, prompts, pose_codes) -> None:
    options = GenerationOptions(max_new_tokens=12, pose_codes=pose_codes)
    together = engine.generate(prompts, options)
    alone = [engine.generate([prompt], options)[0] for prompt in prompts]
    assert [a.token_ids for a in together] == [a.token_ids for a in alone]
    assert [a.text for a in together] == [a.text for a in alone]
    assert len({tuple(a.token_ids) for a in together}) > 3  # the clips are told apart


def test_greedy_takes_the_most_probable_token(engine, prompts) -> None:
    answer = engine.generate(prompts[:1], GenerationOptions(max_new_tokens=4))[0]
    ids = engine.processor.encode(prompts[0].messages, answer_start=prompts[0].answer_start)
    special = list(engine.processor.tokenizer.added_tokens_decoder)
    for token in answer.token_ids:
        with torch.inference_mode():
            batch = engine.processor.collate([ids], [prompts[0].inputs])
            logits = engine.model(**batch).logits[0, -1]
            logits[special] = -torch.inf
            assert int(logits.argmax()) == token
        ids = [*ids, token]


def test_text_holds_no_special_token(engine, prompts) -> None:
    """A placeholder written by the model would ask for features, and stop the generation."""
    special = set(engine.processor.tokenizer.added_tokens_decoder)
    for seed in range(3):
        options = GenerationOptions(max_new_tokens=80, temperature=1e3, seed=seed)
        for answer in engine.generate(prompts, options):
            assert not special & set(answer.token_ids)
            assert answer.text == engine.processor.tokenizer.decode(answer.token_ids)


def test_temperature_zero_stays_greedy_whatever_the_seed(engine, prompts) -> None:
    answers = [
        engine.generate(prompts[:1], GenerationOptions(max_new_tokens=10, seed=seed))[0].token_ids
        for seed in (0, 1)
    ]
    assert answers[0] == answers[1]


def test_a_seed_decides_what_is_sampled(engine, prompts) -> None:
    def sample(seed: int) -> list[int]:
        options = GenerationOptions(max_new_tokens=16, temperature=3.0, seed=seed)
        return engine.generate(prompts[:1], options)[0].token_ids

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = sample(0)
    assert torch.equal(torch.random.get_rng_state(), before)  # the caller's state is its own
    torch.manual_seed(6)
    assert sample(0) == first
    assert sample(1) != first


def test_sampling_draws_from_the_whole_distribution(engine, prompts) -> None:
    """At a high temperature nearly every token is drawn, not only the 50 most probable ones."""
    seen = set()
    for seed in range(4):
        options = GenerationOptions(max_new_tokens=64, temperature=1e3, seed=seed)
        seen |= set(engine.generate(prompts[:1], options)[0].token_ids)
    assert len(seen) > 80


def test_pose_codes_have_the_exact_form(engine, prompts) -> None:
    config = engine.model.config
    for answer in engine.generate(prompts, GenerationOptions(max_new_tokens=1, pose_codes=True)):
        assert len(answer.token_ids) == PoseForm.of(config).length == 4 * (3 + 1) + 1
        codes = np.array(parse_pose_codes(answer.text, frames=4, tokens_per_frame=3))
        assert codes.shape == (4, 3) and codes.min() >= 0 and codes.max() < config.codebook_size
        assert code_token_ids(codes, config) == answer.token_ids
        rows = answer.code_probabilities
        assert rows.shape == (4, 3, config.codebook_size)
        assert rows.sum(-1) == pytest.approx(np.ones((4, 3)), abs=1e-5)
        assert np.array_equal(rows.argmax(-1), codes)  # greedy


def test_code_probabilities_are_the_models_softmax_over_codes(engine, prompts) -> None:
    config = engine.model.config
    codes = slice(config.pose_code_start, config.pose_code_start + config.codebook_size)
    batch = engine.generate(prompts, GenerationOptions(pose_codes=True))
    for prompt, answer in zip(prompts, batch, strict=True):
        start = engine.processor.encode(prompt.messages, answer_start=prompt.answer_start)
        with torch.inference_mode():
            whole = engine.processor.collate([start + answer.token_ids], [prompt.inputs])
            logits = engine.model(**whole).logits[0]
        for frame in range(config.correction_frames):
            for token in range(config.tokens_per_frame):
                place = len(start) + frame * (config.tokens_per_frame + 1) + token
                expected = logits[place - 1, codes].softmax(-1).numpy()
                found = answer.code_probabilities[frame, token]
                assert found == pytest.approx(expected, abs=1e-4)


def guided(prompts: list[Prompt]) -> list[Prompt]:
    rng = np.random.default_rng(3)
    return [replace(p, guide=rng.integers(0, 16, (4, 3)).tolist()) for p in prompts]


def test_a_guide_is_read_frame_by_frame_and_no_part_of_the_answer(engine, prompts) -> None:
    config, options = engine.model.config, GenerationOptions(pose_codes=True)
    codes = slice(config.pose_code_start, config.pose_code_start + config.codebook_size)
    asked = guided(prompts)
    for prompt, answer in zip(asked, engine.generate(asked, options), strict=True):
        written = parse_pose_codes(answer.text, frames=4, tokens_per_frame=3)
        assert answer.token_ids == code_token_ids(np.array(written), config)
        start = engine.processor.encode(prompt.messages, answer_start=prompt.answer_start)
        pairs = [frame for both in zip(prompt.guide, written, strict=True) for frame in both]
        sequence = code_token_ids(np.array(pairs), config)
        with torch.inference_mode():
            whole = engine.processor.collate([start + sequence], [prompt.inputs])
            logits = engine.model(**whole).logits[0]
        for frame in range(4):
            for token in range(3):
                place = len(start) + (2 * frame + 1) * 4 + token
                expected = logits[place - 1, codes].softmax(-1).numpy()
                found = answer.code_probabilities[frame, token]
                assert found == pytest.approx(expected, abs=1e-4)
                assert written[frame][token] == int(found.argmax())


def test_guided_prompts_answer_in_a_batch_as_alone(engine, prompts) -> None:
    options, asked = GenerationOptions(pose_codes=True), guided(prompts)
    together = [a.token_ids for a in engine.generate(asked, options)]
    assert together == [engine.generate([p], options)[0].token_ids for p in asked]
    assert together != [a.token_ids for a in engine.generate(prompts, options)]


def test_a_guide_for_some_of_a_batch_is_an_error(engine, prompts) -> None:
    mixed = [*guided(prompts[:1]), prompts[1]]
    with pytest.raises(PoiseError, match="1 of 2 prompts with a guide"):
        engine.generate(mixed, GenerationOptions(pose_codes=True))
    assert len(engine.generate(mixed, GenerationOptions(max_new_tokens=2))) == 2  # text needs none


def test_sampled_pose_codes_keep_the_form(engine, prompts) -> None:
    options = GenerationOptions(pose_codes=True, temperature=2.0, seed=3)
    answer = engine.generate(prompts[:1], options)[0]
    parse_pose_codes(answer.text, frames=4, tokens_per_frame=3)
    assert (
        answer.token_ids
        != engine.generate(prompts[:1], GenerationOptions(pose_codes=True))[0].token_ids
    )


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_the_stream_joined_is_the_answer(engine, prompts, temperature) -> None:
    options = GenerationOptions(max_new_tokens=24, temperature=temperature, seed=4)
    for prompt in prompts[:2]:
        pieces = list(engine.stream(prompt, options))
        assert "".join(pieces) == engine.generate([prompt], options)[0].text


def test_who_reads_a_stream_rests_before_the_model_computes(engine, prompts, monkeypatch) -> None:
    """Otherwise the threads of two pools sleep at every barrier."""
    calls: list[tuple[str, threading.Thread]] = []
    place = "assistant.engine.transformers_engine.rest_threads"
    monkeypatch.setattr(place, lambda: calls.append(("rest", threading.current_thread())))
    generate = engine.model.generate

    def watched(*args: object, **kwargs: object) -> object:
        calls.append(("generate", threading.current_thread()))
        return generate(*args, **kwargs)

    monkeypatch.setattr(engine.model, "generate", watched)
    assert "".join(engine.stream(prompts[0], GenerationOptions(max_new_tokens=4)))
    (first, reader), (second, other) = calls
    assert (first, second) == ("rest", "generate")
    assert reader is threading.current_thread() is not other


def test_a_batch_streams_what_each_prompt_does(engine, prompts) -> None:
    options = GenerationOptions(max_new_tokens=24)
    texts, ends = [""] * len(prompts), {}
    for step in engine.stream_many(prompts, options):
        for piece in step:
            assert piece.row not in ends
            texts[piece.row] += piece.text
            if piece.ended:
                ends[piece.row] = piece.tokens
    answers = engine.generate(prompts, options)
    assert texts == [answer.text for answer in answers]
    assert ends == {row: len(answer.token_ids) for row, answer in enumerate(answers)}


def test_a_row_that_nobody_waits_for_ends_and_the_others_go_on(engine, prompts) -> None:
    options = GenerationOptions(max_new_tokens=60)
    gone = max(range(3), key=lambda i: len(engine.generate([prompts[i]], options)[0].token_ids))
    asked = 0

    def left(row: int) -> bool:
        """By the engine's own steps: a slow reader must not let the row run to its end."""
        nonlocal asked
        asked += row == gone
        return row == gone and asked > 2

    texts = [""] * 3
    for step in engine.stream_many(prompts[:3], options, left=left):
        for piece in step:
            texts[piece.row] += piece.text
    for row, answer in enumerate(engine.generate(prompts[:3], options)):
        if row == gone:
            assert answer.text.startswith(texts[row]) and len(texts[row]) < len(answer.text)
        else:
            assert texts[row] == answer.text


def test_pieces_of_characters_wait_for_the_whole(processor) -> None:
    text = "Kéep\n\n“deep”  é\n and slow"
    ids = processor.text_ids(text)
    assert len(ids) > len(text) / 2  # the small tokenizer spells some letters by bytes
    pieces = TextPieces(processor.tokenizer)
    pieces.put(torch.tensor([[1, 2, 3]]))  # the prompt
    for token in ids:
        pieces.put(torch.tensor([token]))
    pieces.end()
    steps = [piece for step in pieces for piece in step]
    given = [piece.text for piece in steps]
    assert "".join(given) == text
    assert len(given) > 5
    assert [piece.ended for piece in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].tokens == len(ids)
    assert not any("\ufffd" in piece for piece in given)


def test_a_fault_while_streaming_reaches_the_consumer(engine, prompts, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.model, "generate", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(engine.stream(prompts[0], GenerationOptions()))
    steps = engine.stream_many(prompts, GenerationOptions())
    with pytest.raises(RuntimeError, match="out of memory"):
        next(steps)  # no row is said to have come to its end


def test_a_consumer_who_leaves_ends_the_generation(engine, prompts) -> None:
    threads = threading.active_count()
    stream = engine.stream(prompts[0], GenerationOptions(max_new_tokens=1500))
    next(stream)
    started = time.monotonic()
    stream.close()
    assert threading.active_count() == threads
    assert time.monotonic() - started < 5


def test_prompt_and_features_that_differ_raise(engine, prompts) -> None:
    with pytest.raises(PoiseError, match="does not match"):
        engine.generate([Prompt(prompts[0].messages, ModelInputs())], GenerationOptions())
    with pytest.raises(PoiseError, match="does not match"):
        engine.score(Prompt(prompts[0].messages, ModelInputs()), [[3]])


def test_answers_need_no_features_at_all(engine) -> None:
    prompt = Prompt(render_messages("retrieval"), ModelInputs())
    assert engine.generate([prompt], GenerationOptions(max_new_tokens=3))[0].token_ids


def test_a_checkpoint_answers_like_the_model_it_was_saved_from(engine, prompts, tmp_path) -> None:
    engine.model.save_pretrained(tmp_path)
    engine.processor.save_pretrained(tmp_path)
    loaded = TransformersEngine.from_pretrained(tmp_path)
    options = GenerationOptions(max_new_tokens=8)
    assert loaded.generate(prompts, options) == engine.generate(prompts, options)


def test_no_prompt_has_no_answer(engine) -> None:
    assert engine.generate([], GenerationOptions()) == []


def test_a_folder_without_a_model_is_one_line(tmp_path) -> None:
    with pytest.raises(PoiseError, match="no language model in") as caught:
        TransformersEngine.from_pretrained(tmp_path / "none")
    assert "config.json" in str(caught.value)
