"""Stage `language`: the pretrained model learns F_t, F_g and F_r from clips, by LoRA."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assistant.answer import said_before_label
from assistant.checkpoint import (
    ADAPTERS_FOLDER,
    LANGUAGE_FOLDER,
    LIBRARY_FOLDER,
    Checkpoint,
)
from assistant.demos.cut import with_unconditional
from assistant.demos.library import Library
from assistant.engine.base import GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor
from assistant.perception import Perception
from assistant.tasks.commentary import answer_prompt, label_continuations, label_prompt
from data_prep.drills.commentary import compose_summary
from prompts.parse import LABEL_ONLY, parse_feedback
from prompts.vocabulary import special_tokens
from training.adapter import (
    add_lora,
    load_model,
    rebuilt,
    save_bare,
    save_trained,
    trainable,
)
from training.atomic import install
from training.clips import TELLING_SEED, fit_inputs, perceived_clips
from training.dataset_clips import dataset_clips, level_basis, told_samples
from training.dataset_pairs import run_library
from training.dialogue_samples import dialogue_samples
from training.language_samples import (
    Pairs,
    PerceivedClip,
    TokenSample,
    ToldClip,
    commentary_messages,
    correction_messages,
    perceive,
    retrieval_messages,
    task_samples,
)
from training.paired_clips import pair_samples, paired_learners
from training.pretraining import PRETRAINED, load_processor
from training.proficiency import fit_temperature
from training.progress import Progress
from training.run import WORK, Run, learner_poses
from training.stage_loop import mean_loss, measures, stored_samples, train_by
from training.validation import HeldOut, with_films

LANGUAGE, CORRECTION = "language", "correction"
# In the work folder: everything that training changed.
TRAINED_FILE = "trained.safetensors"
LEVEL_BASIS = "simulated drills"
GENERATION_BATCH = 64


def language_stage(run: Run) -> None:
    """LoRA multi-task training on pool B or on pairs, or F_t on a dataset, merged; temperature;
    library likelihoods.

    With `activity` in the recipe: `sport_adapter` instead.
    """
    if run.recipe.activity:
        sport_adapter(run)
        return
    progress, processor = Progress(LANGUAGE), load_processor(run.folder / LANGUAGE_FOLDER)
    library = run_library(run) if run.is_main else Library([])  # the others do not read it
    pretrained = run.folder / WORK / PRETRAINED
    samples = stored_samples(
        run, LANGUAGE, lambda: conversations(run, pretrained, library, processor, progress)
    )
    wrapped = adapt(run, pretrained, samples, processor, progress)
    if run.is_main:
        trained = run.folder / WORK / TRAINED_FILE
        save_trained(wrapped, trained)
        if run.recipe.lora.quantisation != "none":
            # Into the weights as they were: rounded ones would lose what the adapter learned.
            tokens = new_tokens(processor, wrapped.config.codebook_size)
            wrapped = rebuilt(pretrained, trained, run.recipe.lora, tokens)
        finish(run, wrapped.merge_and_unload(), processor, library)


def conversations(
    run: Run, source: Path, library: Library, processor: PoiseProcessor, progress: Progress
) -> list[TokenSample]:
    """What the model in `source` learns from the clips of pool B, or of a dataset.

    Where nothing was pretrained, the model's input norms are fitted from the clips first.
    """
    recipe, model = run.recipe, load_model(source)
    if recipe.language.dataset:
        takes = dataset_clips(run, "train")
        fit_new(run, model, takes, source)
        if not recipe.language.pairs:
            return told_samples(processor, takes, recipe.language)
        learners = paired_learners(run)
        told = own_commentary(run, model, processor, learners)
        samples = pair_samples(
            run, processor, {learners[place].sample_id: text for place, text in told.items()}
        )
        progress.say(f"{len(samples)} conversations, {len(told)} learners with own commentary")
        return samples
    share = recipe.language.video_share
    clips = perceived_clips(run, library, recipe.seed + TELLING_SEED, video_share=share)
    progress.say(f"{len(clips)} clips perceived")
    fit_new(run, model, clips, source)
    alone = recipe.language.tasks == "commentary"
    own = {} if alone else own_commentary(run, model, processor, clips)
    samples = multitask_samples(run, clips, library, processor, own)
    progress.say(f"{len(samples)} conversations, {len(own)} clips with own commentary")
    talks = dialogue_samples(processor, clips, recipe.seed, recipe.language)
    if talks:
        progress.say(f"{len(talks)} dialogues")
    return [*samples, *talks]


def fit_new(
    run: Run, model: PoiseForConditionalGeneration, clips: Sequence[ToldClip], source: Path
) -> None:
    """Fit the input norms of a model in `source` that nothing was pretrained on."""
    if not run.recipe.pretrain.steps and not run.recipe.activity:  # else pretraining did it
        fit_inputs(model, clips)
        fresh = source.with_name(source.name + ".fitted")
        model.save_pretrained(fresh)
        install(fresh, source)


def adapt(
    run: Run,
    pretrained: Path,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    progress: Progress,
) -> Any:
    """The model in `pretrained` under a trained adapter."""
    recipe = run.recipe
    model = load_model(pretrained, recipe.lora.quantisation, recipe.language.precision)
    torch.manual_seed(recipe.seed + 1)
    wrapped = add_lora(model, recipe.lora, new_tokens(processor, model.config.codebook_size))
    trained = trainable(wrapped)  # after merging nothing tells them apart any more
    progress.say(f"trains {trained}")
    parts = by_task(samples) if recipe.correction.epochs else {LANGUAGE: list(samples)}
    losses, evaluate = {}, HeldOut(run, processor)
    for number, (stage, some) in enumerate(parts.items()):
        losses[stage] = train_by(
            run,
            stage,
            recipe.language if stage == LANGUAGE else recipe.correction,
            wrapped,
            some,
            processor,
            seed=recipe.seed + 2 + number,
            progress=progress,
            data=LANGUAGE,
            evaluate=evaluate,
        )
    last = {f"{s}_loss" if s != LANGUAGE else "loss": mean_loss(v) for s, v in losses.items()}
    measured = {stage: measures(run.loop_folder(stage)) for stage in parts}
    run.write_metrics(
        LANGUAGE, {**last, "trainable": trained, "validation": measured.pop(LANGUAGE), **measured}
    )
    return wrapped


def new_tokens(processor: PoiseProcessor, codebook_size: int) -> list[int]:
    """Ids of the tokens that Poise adds to a vocabulary."""
    ids: list[int] = processor.tokenizer.convert_tokens_to_ids(special_tokens(codebook_size))
    return [*ids, *processor.call_ids().values()]


def by_task(samples: Sequence[TokenSample]) -> dict[str, list[TokenSample]]:
    """F_t and F_r first, then F_g alone (ExpertAF section 3.4)."""
    correction = [s for s in samples if s.sample_id.endswith(f"/{CORRECTION}")]
    return {
        LANGUAGE: [s for s in samples if not s.sample_id.endswith(f"/{CORRECTION}")],
        CORRECTION: correction,
    }


def sport_adapter(run: Run) -> None:
    """LoRA on attention and MLP linears alone, over the finished checkpoint, for one sport.

    Vocabulary rows and projectors stay those of the checkpoint, so that a server can hold several
    such adapters over one base.
    """
    recipe = run.recipe
    stage, base = f"{LANGUAGE}_{recipe.activity}", run.folder / LANGUAGE_FOLDER
    Checkpoint.open(run.folder)
    progress, processor = Progress(stage), load_processor(base)
    library = Library.load(run.folder / LIBRARY_FOLDER)
    samples = stored_samples(
        run, stage, lambda: conversations(run, base, library, processor, progress)
    )
    model = load_model(base, recipe.lora.quantisation, recipe.language.precision)
    torch.manual_seed(recipe.seed + 3)
    wrapped = add_lora(model, recipe.lora, (), beside=False)
    progress.say(f"trains {trainable(wrapped)}")
    losses = train_by(
        run,
        stage,
        recipe.language,
        wrapped,
        samples,
        processor,
        seed=recipe.seed + 3,
        progress=progress,
        evaluate=HeldOut(run, processor),
    )
    run.write_metrics(
        stage, {"loss": mean_loss(losses), "validation": measures(run.loop_folder(stage))}
    )
    if run.is_main:
        save_bare(wrapped, sport_folder(run), recipe.lora, base=LANGUAGE_FOLDER)


def sport_folder(run: Run) -> Path:
    """Where the adapter of the recipe's one sport is written."""
    return run.folder / ADAPTERS_FOLDER / run.recipe.activity


def finish(
    run: Run,
    merged: PoiseForConditionalGeneration,
    processor: PoiseProcessor,
    library: Library,
) -> None:
    """Calibrate the label, rate the library, and write both and the checkpoint's card.

    File by file in one step each, so that what a killed run leaves can be read when it resumes.
    """
    engine, fresh = TransformersEngine(merged, processor), run.folder / WORK / "finished"
    merged.config.label_temperature = fit_label_temperature(run, engine, run.perception())
    shutil.rmtree(fresh, ignore_errors=True)
    merged.save_pretrained(fresh)
    processor.save_pretrained(fresh)
    install(fresh, run.folder / LANGUAGE_FOLDER)
    rated = with_unconditional(library.items, engine, merged.config)
    Library(rated, any_activity=library.any_activity).save(run.folder / LIBRARY_FOLDER)
    language = run.recipe.language
    basis = level_basis(language) if language.dataset else LEVEL_BASIS
    Checkpoint(run.folder, f"poise-{run.recipe.name}", basis).write()


def own_commentary(
    run: Run,
    model: PoiseForConditionalGeneration,
    processor: PoiseProcessor,
    clips: Sequence[ToldClip],
) -> dict[int, str]:
    """What the pretrained model itself says of a share of the clips, by the clip's place.

    In coaching F_r and F_g follow generated commentary, so they train on some of it. An answer that
    does not fit the grammar is left out; of a dataset's, whose texts are free, one without level or
    commentary.
    """
    rng = np.random.default_rng([run.recipe.seed, 15])
    count = round(run.recipe.language.own_commentary_share * len(clips))
    chosen = sorted(rng.choice(len(clips), count, replace=False).tolist())
    engine, told = TransformersEngine(model, processor), {}
    form = run.recipe.language.answer_form
    for start in range(0, count, GENERATION_BATCH):
        places = chosen[start : start + GENERATION_BATCH]
        prompts = [answer_prompt(clips[place].inputs, form) for place in places]
        answers = engine.generate(prompts, GenerationOptions(seed=run.recipe.seed))
        for place, prompt, answer in zip(places, prompts, answers, strict=True):
            text = prompt.answer_start + answer.text
            if fits(text, form, free=bool(run.recipe.language.dataset)):
                told[place] = text
    return told


def fits(text: str, form: str, *, free: bool) -> bool:
    """Whether an answer can be followed: it is in the grammar, or where texts are free (a
    dataset's) it has level and commentary."""
    read = parse_feedback(text, form)
    if not free or form == LABEL_ONLY:
        return not read.problems
    return read.level is not None and bool(read.commentary)


def multitask_samples(
    run: Run,
    clips: Sequence[PerceivedClip],
    library: Library,
    processor: PoiseProcessor,
    own: Mapping[int, str],
) -> list[TokenSample]:
    """Two conversations a clip: F_t with F_g, and F_t with F_r; or three, one a task, where the
    recipe trains F_g apart; or F_t alone, in two wordings.

    Args:
        own: the model's own commentary of some clips, by their place; it is given in their
            conversations instead of the true one, and not learned.
    """
    settings, samples = run.recipe.language, []
    stride = settings.retrieval_stride
    pairs = Pairs(library, settings.demonstrations, run.recipe.seed)
    for i, perceived in enumerate(clips):
        rng = np.random.default_rng([run.recipe.seed, 10, i])
        gold, clip = pairs.pair(i, perceived)
        shown = gold if rng.random() >= settings.demonstration_dropout else None
        told = clip.answer
        if settings.comments == "all":
            told = compose_summary(clip.drill, rng, settings.answer_form, order=clip.order)
        texts = [own.get(i, clip.answer), own.get(i, told)]
        if settings.tasks == "commentary":
            kinds = [
                ("commentary", commentary_messages(clip, text, demonstration=None))
                for text in texts
            ]
        elif (
            run.recipe.correction.epochs
        ):  # each task by itself, as the paper trains them; only F_t sees a demonstration
            kinds = [
                ("commentary", commentary_messages(clip, clip.answer, demonstration=shown)),
                (
                    "retrieval",
                    retrieval_messages(clip, texts[1], gold, stride, supervised=False),
                ),
                (
                    CORRECTION,
                    correction_messages(clip, texts[0], demonstration=None, supervised=False),
                ),
            ]
        else:
            true = i not in own
            asked = correction_messages(clip, texts[0], demonstration=shown, supervised=true)
            kinds = [
                (CORRECTION, asked),
                ("retrieval", retrieval_messages(clip, texts[1], gold, stride, supervised=true)),
            ]
        samples += task_samples(processor, clip, kinds, settings.weighting)
    return samples


def fit_label_temperature(run: Run, engine: TransformersEngine, perception: Perception) -> float:
    """Temperature of the label likelihoods by cross-entropy on validation performers."""
    clips = temperature_clips(run, perception)
    said = said_before_label(engine, [clip.inputs for clip in clips], seed=run.recipe.seed)
    prompts = [label_prompt(c.inputs, said=before) for c, before in zip(clips, said, strict=True)]
    logits = [engine.score(prompt, label_continuations())[0] for prompt in prompts]
    return fit_temperature(np.array(logits), np.array([clip.level for clip in clips]))


def temperature_clips(run: Run, perception: Perception) -> Sequence[ToldClip]:
    """All clips of known activities of the validation performers, or of a dataset's validation."""
    if run.recipe.language.dataset:
        return dataset_clips(run, "validation")
    drills = [d for d in run.pool("validation") if d.level is not None]
    poses = learner_poses(drills, run.recipe.seed + 31, 20.0)
    assessments = perception.assessor.assess_many(poses)
    seen = perceive(drills, poses, assessments, perception)
    return with_films(run, seen, run.recipe.seed + 31)
