"""Stage `pretrain`: the language model to adapt, a published one or a small one trained here.

The small one learns, all parameters at once, from three kinds of conversation: talk alone (speech
and summary, question and answer; first of all where `pretrain.talk_steps` says so), commentary
after a clip's features, and pose codes without any commentary (corrections and demonstrations after
the learner's own). Of a dataset (`language.dataset`) it learns the commentary alone, of its pairs
(`language.pairs`) the codes too. LoRA then teaches the tasks as whole conversations.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from assistant.checkpoint import LANGUAGE_FOLDER, LIBRARY_FOLDER
from assistant.demos.library import Library
from assistant.model import register
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor
from assistant.perception import POSE_TOKENIZER_FOLDER
from assistant.pose.tokenizer import PoseTokenizer
from assistant.tasks.commentary import prompt_pieces
from data_prep.drills.commentary import compose_summary
from data_prep.drills.records import Drill
from prompts.render import render_messages
from training.clips import TELLING_SEED, fit_inputs, perceived_clips
from training.code_samples import asked_samples, code_samples, library_samples, pair_codes
from training.dataset_clips import dataset_clips, told_samples, told_texts
from training.dataset_pairs import expert_library
from training.dialogue_samples import Talks, talk_sample
from training.language import build_model, load_base
from training.language_samples import PerceivedClip, TokenSample, token_sample
from training.paired_clips import paired_clips
from training.progress import Progress
from training.run import WORK, Run
from training.stage_loop import stored_samples, train_by
from training.talk import composed_texts, question_samples, talk_samples
from training.tokenizer import train_tokenizer

PRETRAINED, TALK = "pretrained", "talk"


def pretrain_stage(run: Run) -> None:
    """Load or build the model around a causal language model; train it where it is new."""
    recipe, folder = run.recipe, run.folder / LANGUAGE_FOLDER
    tokenizer_part = PoseTokenizer.from_pretrained(run.folder / POSE_TOKENIZER_FOLDER)
    base, codebook_size = None, tokenizer_part.codebook_size
    calls = recipe.language.dialogue_share > 0
    if recipe.language_model.base:
        base = load_base(recipe.language_model, codebook_size, calls=calls)
        if run.is_main:
            base.tokenizer.save_pretrained(folder)
    elif run.is_main:
        if recipe.language.dataset:
            texts = told_texts(dataset_clips(run, "train"))
        else:
            texts = composed_texts(told_drills(run), recipe.seed, recipe.language)
        train_tokenizer(
            texts,
            folder,
            vocabulary=recipe.language_model.vocabulary,
            codebook_size=codebook_size,
            calls=calls,
        )
    run.wait()
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
        base=None if base is None else base.model,
    )
    model.match_embeddings()
    model.start_code_rows(tokenizer_part.codebook.vectors)
    if recipe.pretrain.steps:
        pretrain(run, model, processor)
    if run.is_main:
        model.save_pretrained(run.folder / WORK / PRETRAINED)


def told_drills(run: Run) -> list[Drill]:
    """The clips of pool A that show a known activity."""
    return [d for d in run.pool("perception") if d.level is not None]


def pretrain(run: Run, model: PoiseForConditionalGeneration, processor: PoiseProcessor) -> None:
    """Full training of the model on talk, then on all kinds of conversation."""
    recipe, progress = run.recipe, Progress("pretrain")
    if recipe.pretrain.talk_steps:
        talk_alone(run, model, processor)
    samples = stored_samples(
        run, "pretrain", lambda: conversations(run, model, processor, progress)
    )
    losses = train_by(
        run,
        "pretrain",
        recipe.pretrain,
        model,
        samples,
        processor,
        seed=recipe.seed,
        progress=progress,
    )
    run.write_metrics("pretrain", {"loss": float(np.mean(losses[-50:]))})


def talk_alone(run: Run, model: PoiseForConditionalGeneration, processor: PoiseProcessor) -> None:
    """Full training on talk alone: no conversation twice."""
    recipe, settings, progress = run.recipe, run.recipe.pretrain, Progress(TALK)
    samples = stored_samples(
        run,
        TALK,
        lambda: question_samples(
            processor,
            told_drills(run),
            recipe.seed,
            recipe.language,
            settings.talk_steps * settings.batch_size,
        ),
    )
    train_by(
        run,
        TALK,
        replace(settings, steps=settings.talk_steps),
        model,
        samples,
        processor,
        seed=recipe.seed + 4,
        progress=progress,
    )


def conversations(
    run: Run,
    model: PoiseForConditionalGeneration,
    processor: PoiseProcessor,
    progress: Progress,
) -> list[TokenSample]:
    """All kinds; the model's input norms are fitted from the clips on the way."""
    if run.recipe.language.dataset:
        takes = dataset_clips(run, "train")
        fit_inputs(model, takes)
        commentary = told_samples(processor, takes, run.recipe.language)
        if not run.recipe.language.pairs:
            return commentary
        stride = run.recipe.language.retrieval_stride
        paired = pair_codes(((c.demonstration, c) for c in paired_clips(run)), stride)
        return [
            *commentary,
            *asked_samples(processor, paired),
            *library_samples(processor, expert_library(run), stride),
        ]
    recipe, told = run.recipe, told_drills(run)
    library = Library.load(run.folder / LIBRARY_FOLDER)
    # Films are the language stage's matter, unless the model is given nothing else.
    share = recipe.language.video_share if recipe.language.inputs == "video" else 0.0
    clips = perceived_clips(run, library, recipe.seed + TELLING_SEED, video_share=share)
    fit_inputs(model, clips)
    kinds = {}
    if recipe.pretrain.talk and not recipe.pretrain.talk_steps:
        kinds["talk"] = talk_samples(processor, told, recipe.seed, recipe.language)
    kinds["commentary"] = commentary_samples(run, processor, clips)
    if recipe.language.tasks == "all":
        kinds["codes"] = code_samples(run, processor, told, clips, library)
    for name, samples in kinds.items():
        progress.say(f"{name}: {len(samples)}, {sum(len(s.ids) for s in samples)} tokens")
    return [sample for samples in kinds.values() for sample in samples]


def load_processor(folder: Path) -> PoiseProcessor:
    """The processor over the tokenizer in `folder`."""
    register()
    return PoiseProcessor.from_pretrained(folder)


def commentary_samples(
    run: Run, processor: PoiseProcessor, clips: Sequence[PerceivedClip]
) -> list[TokenSample]:
    """F_t alone, each clip several times in other words; a share of them goes on in questions.
    Where one commentary is learned of a clip, once in the words of the stage `language`."""
    samples = []
    language = run.recipe.language
    talks = Talks([clip.drill for clip in clips], [clip.order for clip in clips])
    tellings = run.recipe.pretrain.tellings if language.comments == "all" else 1
    for i, clip in enumerate(clips):
        rng = np.random.default_rng([run.recipe.seed, 14, i])
        for _ in range(tellings):
            name, talk = f"{clip.drill.sample_id}/commentary", None
            if language.dialogue_share and rng.random() < language.dialogue_share:
                talk = talks.about(i, rng)
            if talk is not None:
                samples.append(talk_sample(processor, talk, clip.inputs, name, language))
                continue
            told = clip.answer
            if language.comments == "all":
                told = compose_summary(clip.drill, rng, language.answer_form, order=clip.order)
            messages = render_messages("commentary", target=told, **prompt_pieces(clip.inputs))
            weights = language.weighting
            samples.append(
                token_sample(processor, messages, clip.inputs, sample_id=name, **weights)
            )
    return samples
