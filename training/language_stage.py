"""Stage `language`: the pretrained model learns F_t, F_g and F_r from clips, by LoRA."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from assistant.checkpoint import LANGUAGE_FOLDER, LIBRARY_FOLDER, Checkpoint
from assistant.demos.library import Library
from assistant.engine.base import GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor
from assistant.perception import Perception
from assistant.tasks.commentary import label_continuations, label_prompt
from data_prep.drills.commentary import compose_summary
from prompts.parse import parse_feedback
from prompts.vocabulary import special_tokens
from training.clips import fit_inputs, perceived_clips
from training.language import add_lora, train_by, trainable
from training.language_samples import (
    PerceivedClip,
    TokenSample,
    correction_messages,
    demonstration_of,
    ignore_guide,
    perceive,
    retrieval_messages,
    token_sample,
)
from training.library import with_unconditional
from training.pretraining import PRETRAINED, load_processor
from training.proficiency import fit_temperature
from training.progress import Progress
from training.run import WORK, Run, learner_poses

LEVEL_BASIS = "simulated drills"
GENERATION_BATCH = 64


def language_stage(run: Run) -> None:
    """LoRA multi-task training on pool B, merged; label temperature; library likelihoods."""
    recipe, progress = run.recipe, Progress("language")
    library = Library.load(run.folder / LIBRARY_FOLDER)
    processor = load_processor(run.folder / LANGUAGE_FOLDER)
    share = recipe.language.video_share
    clips = perceived_clips(run, library, recipe.seed + 21, video_share=share)
    progress.say(f"{len(clips)} clips perceived")
    model = PoiseForConditionalGeneration.from_pretrained(run.folder / WORK / PRETRAINED)
    if model.config.numbers != recipe.language.numbers:
        raise PoiseError(
            "the pretrained model was given its numbers in another form",
            got=model.config.numbers,
            expected=recipe.language.numbers,
            remedy=f"poise train --stage pretrain language.numbers={recipe.language.numbers} first",
        )
    if not recipe.pretrain.steps:  # else pretraining did it
        fit_inputs(model, clips)
    own = own_commentary(run, model, processor, clips)
    samples = multitask_samples(run, clips, library, processor, own)
    progress.say(f"{len(samples)} conversations, {len(own)} clips with own commentary")
    merged = adapt(run, model, samples, processor, progress)
    finish(run, merged, processor, library)


def adapt(
    run: Run,
    model: PoiseForConditionalGeneration,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    progress: Progress,
) -> PoiseForConditionalGeneration:
    """Train an adapter and merge it."""
    torch.manual_seed(run.recipe.seed + 1)
    new_tokens = processor.tokenizer.convert_tokens_to_ids(
        special_tokens(model.config.codebook_size)
    )
    wrapped = add_lora(model, run.recipe.lora, new_tokens)
    trained = trainable(wrapped)  # after merging nothing tells them apart any more
    progress.say(f"trains {trained}")
    losses = train_by(
        run.recipe,
        run.recipe.language,
        wrapped,
        samples,
        processor,
        seed=run.recipe.seed + 2,
        progress=progress,
    )
    run.write_metrics("language", {"loss": float(np.mean(losses[-50:])), "trainable": trained})
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


def own_commentary(
    run: Run,
    model: PoiseForConditionalGeneration,
    processor: PoiseProcessor,
    clips: Sequence[PerceivedClip],
) -> dict[int, str]:
    """What the pretrained model itself says of a share of the clips, by the clip's place.

    In coaching F_r and F_g follow generated commentary, so they train on some of it. An answer that
    does not fit the grammar is left out.
    """
    rng = np.random.default_rng([run.recipe.seed, 15])
    count = round(run.recipe.language.own_commentary_share * len(clips))
    chosen = sorted(rng.choice(len(clips), count, replace=False).tolist())
    engine, told = TransformersEngine(model, processor), {}
    for start in range(0, count, GENERATION_BATCH):
        places = chosen[start : start + GENERATION_BATCH]
        prompts = [label_prompt(clips[place].inputs) for place in places]
        answers = engine.generate(prompts, GenerationOptions(seed=run.recipe.seed))
        for place, prompt, answer in zip(places, prompts, answers, strict=True):
            text = prompt.answer_start + answer.text
            if not parse_feedback(text).problems:
                told[place] = text
    return told


def multitask_samples(
    run: Run,
    clips: Sequence[PerceivedClip],
    library: Library,
    processor: PoiseProcessor,
    own: Mapping[int, str],
) -> list[TokenSample]:
    """Two conversations a clip: F_t with F_g, and F_t with F_r.

    Args:
        own: the model's own commentary of some clips, by their place; it is given in their
            conversations instead of the true one, and not learned.
    """
    settings, samples = run.recipe.language, []
    for i, clip in enumerate(clips):
        rng = np.random.default_rng([run.recipe.seed, 10, i])
        gold = demonstration_of(clip, library).codes
        shown = gold if rng.random() >= settings.demonstration_dropout else None
        texts = [own.get(i, clip.answer), own.get(i, compose_summary(clip.drill, rng))]
        true = i not in own
        for messages in (
            correction_messages(clip, texts[0], demonstration=shown, supervised=true),
            retrieval_messages(clip, texts[1], gold, supervised=true),
        ):
            sample = token_sample(
                processor, messages, clip.inputs, verdict_weight=settings.verdict_weight
            )
            samples.append(ignore_guide(sample, *clip.learner_codes.shape))
    return samples


def fit_label_temperature(run: Run, engine: TransformersEngine, perception: Perception) -> float:
    """Temperature of the label likelihoods by cross-entropy on validation performers."""
    drills = [d for d in run.pool("validation") if d.level is not None]
    poses = learner_poses(drills, run.recipe.seed + 31, 20.0)
    assessments = perception.assessor.assess_many(poses)
    clips = perceive(drills, poses, assessments, perception)
    logits = [engine.score(label_prompt(c.inputs), label_continuations())[0] for c in clips]
    return fit_temperature(np.array(logits), np.array([d.level for d in drills]))
