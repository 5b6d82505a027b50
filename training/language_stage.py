"""Stages `pretrain` and `language`: from simulated clips to a merged language model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from assistant.checkpoint import LANGUAGE_FOLDER, LIBRARY_FOLDER, Checkpoint
from assistant.demos.library import Library
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model import register
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.perception import POSE_TOKENIZER_FOLDER, Perception
from assistant.pose.tokenizer import PoseTokenizer
from assistant.tasks.commentary import label_continuations, label_prompt, prompt_pieces
from assistant.tasks.window import cut_window, window_around
from data_prep.drills.commentary import compose_dialogue, compose_spoken, compose_summary
from data_prep.drills.records import Drill
from prompts.render import render_messages
from prompts.vocabulary import special_tokens
from training.language import add_lora, build_model, load_base, train_steps, trainable
from training.language_samples import (
    PerceivedClip,
    TokenSample,
    correction_messages,
    ignore_guide,
    perceive,
    retrieval_messages,
    supervise,
    token_sample,
    twin_window,
)
from training.library import with_unconditional
from training.proficiency import cross_fit_scores, fit_temperature
from training.progress import Progress
from training.run import WORK, Run, learner_poses
from training.tokenizer import train_tokenizer
from training.video_features import rendered_features

LEVEL_BASIS = "simulated drills"
FIRST_ROUND = "first_round"
# Seconds by which pretraining windows miss the moment, as an estimated moment may.
MOMENT_SPREAD = 0.3


def composed_texts(drills: Sequence[Drill], seed: int) -> list[str]:
    """Every text of the drills, for the tokenizer."""
    texts: list[str] = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, 7, i])
        texts += [compose_summary(drill, rng), compose_spoken(drill, rng)]
        texts += [part for turn in compose_dialogue(drill, rng) for part in turn]
        if i % 10 == 0:
            messages = render_messages(
                "commentary", frames=8, n_video=1, n_pose=1, n_stage1=1, has_score=True,
                has_regions=True,
            )  # fmt: skip
            texts += [m["content"] for m in messages]
            texts += [render_messages("retrieval")[-1]["content"]]
            texts += [render_messages("correction")[-1]["content"]]
    return [text for text in texts if text]


def pretrain_stage(run: Run) -> None:
    """The language model to adapt: a published one by name, or a small one trained on the composed
    text and code sequences of pool A with a tokenizer of its own."""
    recipe = run.recipe
    tokenizer_part = PoseTokenizer.from_pretrained(run.folder / POSE_TOKENIZER_FOLDER)
    drills = [d for d in run.pool("perception") if d.level is not None]
    folder = run.folder / LANGUAGE_FOLDER
    base, codebook_size = None, tokenizer_part.codebook_size
    if recipe.language_model.base:
        base = load_base(recipe.language_model, folder, codebook_size)
    else:
        texts = composed_texts(drills, recipe.seed)
        vocabulary = recipe.language_model.vocabulary
        train_tokenizer(texts, folder, vocabulary=vocabulary, codebook_size=codebook_size)
    processor = load_processor(folder)
    torch.manual_seed(recipe.seed)
    model = build_model(
        processor.tokenizer,
        recipe.language_model,
        recipe.language,
        video_size=run.perception().video_size,
        pose_size=tokenizer_part.tokens_per_frame * tokenizer_part.config.code_dim + 3,
        stage1_size=run.perception().assessor.stage1.config.pooled,
        tokens_per_frame=tokenizer_part.tokens_per_frame,
        codebook_size=codebook_size,
        base=base,
    )
    if recipe.pretrain.steps:
        pretrain(run, model, processor, drills)
    model.save_pretrained(run.folder / WORK / "pretrained")


def pretrain(
    run: Run, model: PoiseForConditionalGeneration, processor: PoiseProcessor, drills: list[Drill]
) -> None:
    """Full training of the language model on text only."""
    recipe, progress = run.recipe, Progress("pretrain")
    samples = text_samples(run, processor, drills)
    progress.say(f"{len(samples)} texts, {sum(len(s.ids) for s in samples)} tokens")
    losses = train_steps(
        model,
        samples,
        processor,
        steps=recipe.pretrain.steps,
        batch_size=recipe.pretrain.batch_size,
        learning_rate=recipe.pretrain.learning_rate,
        warmup=recipe.language.warmup_steps,
        weight_decay=recipe.language.weight_decay,
        precision=recipe.language.precision,
        seed=recipe.seed,
        progress=progress,
    )
    run.write_metrics("pretrain", {"loss": float(np.mean(losses[-50:]))})


def load_processor(folder: Path) -> PoiseProcessor:
    """The processor over the tokenizer in `folder`."""
    register()
    return PoiseProcessor.from_pretrained(folder)


def text_samples(run: Run, processor: PoiseProcessor, drills: Sequence[Drill]) -> list[TokenSample]:
    """Conversations without any feature: speech, commentary, dialogue, corrected codes.

    Of texts everything is learned, user turns too: the model has to learn the language first. Of
    codes the corrected ones.
    """
    perception, samples = run.perception(), spoken_samples(run, processor, drills)
    for copy in range(run.recipe.pretrain.windows_per_clip):
        for learner, twin in plain_codes(drills, perception, run.recipe.seed + 100 + copy):
            messages = render_messages("correction", learner_codes=learner, target=twin)
            sample = token_sample(processor, messages, ModelInputs())
            samples.append(ignore_guide(sample, len(learner), len(learner[0])))
    return samples


def spoken_samples(
    run: Run, processor: PoiseProcessor, drills: Sequence[Drill]
) -> list[TokenSample]:
    """Speech with its summary, and a question about a commentary; every token is learned."""
    samples: list[TokenSample] = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([run.recipe.seed, 8, i])
        question, reply = compose_dialogue(drill, rng)[0]
        talks = [
            [
                {"role": "user", "content": compose_spoken(drill, rng)},
                {"role": "assistant", "content": compose_summary(drill, rng)},
            ],
            render_messages(
                "chat", commentary=compose_summary(drill, rng), question=question, target=reply
            ),
        ]
        for messages in talks:
            ids = token_sample(processor, supervise(list(messages)), ModelInputs()).ids
            samples.append(TokenSample(ids, ids, [1.0] * len(ids), ModelInputs()))
    return samples


def plain_codes(
    drills: Sequence[Drill], perception: Perception, seed: int
) -> list[tuple[list[list[int]], list[list[int]]]]:
    """Codes of learner and twin in a window near a true moment of each clip, for pretraining."""
    windows = []
    for i, (drill, pose) in enumerate(zip(drills, learner_poses(drills, seed), strict=True)):
        rng = np.random.default_rng([seed, 13, i])
        start, end = drill.moments[rng.integers(len(drill.moments))]
        middle = (start + end) / 2 + rng.normal(0, MOMENT_SPREAD)
        windows.append(cut_window(pose, window_around(middle, pose.duration)[0]))
    twins = [twin_window(d, w) for d, w in zip(drills, windows, strict=True)]
    learner, twin = (perception.encode_windows(w)[1].tolist() for w in (windows, twins))
    return list(zip(learner, twin, strict=True))


def language_stage(run: Run) -> None:
    """LoRA multi-task training on pool B, merged; label temperature; library likelihoods."""
    recipe, perception = run.recipe, run.perception()
    settings, folder = recipe.language, run.folder / LANGUAGE_FOLDER
    progress = Progress("language")
    library = Library.load(run.folder / LIBRARY_FOLDER)
    processor = load_processor(folder)
    drills = run.pool("language")
    clips = perceived_clips(run, drills, perception, library, recipe.seed + 21)
    progress.say(f"{len(clips)} clips perceived")
    samples = multitask_samples(run, clips, library, processor)
    progress.say(f"{len(samples)} conversations, {sum(len(s.ids) for s in samples)} tokens")
    model = PoiseForConditionalGeneration.from_pretrained(run.folder / WORK / "pretrained")
    model.match_embeddings()
    merged = lora_round(run, model, samples, processor, settings.steps, 1, progress)
    merged.save_pretrained(run.folder / WORK / FIRST_ROUND)
    finish(run, merged, processor, library)


def refresh_stage(run: Run) -> None:
    """A second round: the merged model learns text again, then LoRA on commentary above all.

    The first round spends most tokens on pose codes; this one makes the commentary fluent.
    """
    recipe, settings = run.recipe, run.recipe.language
    if not settings.refresh_steps:
        return
    progress, perception = Progress("refresh"), run.perception()
    processor = load_processor(run.folder / LANGUAGE_FOLDER)
    model = PoiseForConditionalGeneration.from_pretrained(run.folder / WORK / FIRST_ROUND)
    told = [d for d in run.pool("perception") if d.level is not None]
    train_steps(
        model,
        spoken_samples(run, processor, told),
        processor,
        steps=settings.refresh_text_steps,
        batch_size=recipe.pretrain.batch_size,
        learning_rate=recipe.pretrain.learning_rate / 2,
        warmup=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        precision=settings.precision,
        seed=recipe.seed + 3,
        progress=progress,
    )
    library = Library.load(run.folder / LIBRARY_FOLDER)
    clips = perceived_clips(run, run.pool("language"), perception, library, recipe.seed + 22)
    samples = commentary_samples(run, clips, processor)
    samples += multitask_samples(run, clips[::2], library, processor)
    progress.say(f"{len(samples)} conversations, {sum(len(s.ids) for s in samples)} tokens")
    merged = lora_round(run, model, samples, processor, settings.refresh_steps, 4, progress)
    finish(run, merged, processor, library)


def lora_round(
    run: Run,
    model: PoiseForConditionalGeneration,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    steps: int,
    seed: int,
    progress: Progress,
) -> PoiseForConditionalGeneration:
    """Train a fresh adapter for `steps` and merge it."""
    settings = run.recipe.language
    torch.manual_seed(run.recipe.seed + seed)
    new_tokens = processor.tokenizer.convert_tokens_to_ids(
        special_tokens(model.config.codebook_size)
    )
    wrapped = add_lora(model, run.recipe.lora, new_tokens)
    trained = trainable(wrapped)  # after merging nothing tells them apart any more
    progress.say(f"trains {trained}")
    losses = train_steps(
        wrapped,
        samples,
        processor,
        steps=steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        precision=settings.precision,
        seed=run.recipe.seed + seed + 1,
        progress=progress,
    )
    run.write_metrics(progress.name, {"loss": float(np.mean(losses[-50:])), "trainable": trained})
    return wrapped.merge_and_unload()


def finish(
    run: Run,
    merged: PoiseForConditionalGeneration,
    processor: PoiseProcessor,
    library: Library,
) -> None:
    """Calibrate the label, rate the library, and write both and the checkpoint's card."""
    folder, engine = run.folder / LANGUAGE_FOLDER, TransformersEngine(merged, processor)
    merged.config.label_temperature = fit_label_temperature(run, engine, run.perception())
    merged.save_pretrained(folder)
    processor.save_pretrained(folder)
    with_unconditional(library, engine).save(run.folder / LIBRARY_FOLDER)
    Checkpoint(run.folder, f"poise-{run.recipe.name}", LEVEL_BASIS).write()


def commentary_samples(
    run: Run, clips: Sequence[PerceivedClip], processor: PoiseProcessor
) -> list[TokenSample]:
    """F_t alone, twice a clip in other words."""
    samples = []
    for i, clip in enumerate(clips):
        rng = np.random.default_rng([run.recipe.seed, 14, i])
        for _ in range(2):
            messages = render_messages(
                "commentary", target=compose_summary(clip.drill, rng), **prompt_pieces(clip.inputs)
            )
            weight = run.recipe.language.label_weight
            samples.append(token_sample(processor, messages, clip.inputs, label_weight=weight))
    return samples


def perceived_clips(
    run: Run, drills: Sequence[Drill], perception: Perception, library: Library | None, seed: int
) -> list[PerceivedClip]:
    """Pool-B clips with noise, out-of-fold scores, windows, codes and, for a share, video."""
    poses = learner_poses(drills, seed)
    assessments = cross_fit_scores(perception.assessor, drills, poses)
    answers = [
        compose_summary(d, np.random.default_rng([seed, 9, i])) for i, d in enumerate(drills)
    ]
    share = run.recipe.language.video_share
    videos = rendered_features(
        drills, poses, assessments, perception, share, seed, run.recipe.data.workers
    )
    return perceive(drills, poses, assessments, perception, answers, library=library, videos=videos)


def multitask_samples(
    run: Run, clips: Sequence[PerceivedClip], library: Library, processor: PoiseProcessor
) -> list[TokenSample]:
    """Two conversations a clip: F_t with F_g, and F_t with F_r."""
    settings = run.recipe.language
    samples = []
    for i, clip in enumerate(clips):
        rng = np.random.default_rng([run.recipe.seed, 10, i])
        if clip.gold < 0:
            raise PoiseError(
                f"no demonstration of {clip.drill.activity} to learn from",
                got=f"a library of {len(library)} windows without any",
                remedy="simulate more performers for it (data.library_performers)",
            )
        gold = library.items[clip.gold].codes
        shown = gold if rng.random() >= settings.demonstration_dropout else None
        again = compose_summary(clip.drill, rng)
        pair = [
            token_sample(processor, messages, clip.inputs, label_weight=settings.label_weight)
            for messages in (
                correction_messages(clip, clip.answer, demonstration=shown, supervised=True),
                retrieval_messages(clip, again, gold, supervised=True),
            )
        ]
        samples += [ignore_guide(pair[0], *clip.learner_codes.shape), pair[1]]
    return samples


def fit_label_temperature(run: Run, engine: TransformersEngine, perception: Perception) -> float:
    """Temperature of the label likelihoods by cross-entropy on validation performers."""
    drills = [d for d in run.pool("validation") if d.level is not None]
    poses = learner_poses(drills, run.recipe.seed + 31, 20.0)
    assessments = perception.assessor.assess_many(poses)
    answers = [""] * len(drills)
    clips = perceive(drills, poses, assessments, perception, answers)
    logits = [engine.score(label_prompt(c.inputs), label_continuations())[0] for c in clips]
    return fit_temperature(np.array(logits), np.array([d.level for d in drills]))
