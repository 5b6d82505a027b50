"""Stage `labelling`: the finished model also learns to label spoken comments.

It is no part of a whole run: it continues from a run's language model and writes a second
checkpoint beside it, so that the first stays what its recipe made.

    poise train mini --stage labelling -o runs/mini        # writes runs/mini/work/labelling
    poise data label --evaluate FILE.jsonl --backend model --checkpoint runs/mini/work/labelling
"""

import shutil
from collections.abc import Sequence

import numpy as np

from assistant.checkpoint import LANGUAGE_FOLDER
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from data_prep.commentary.composed import conversation
from data_prep.drills.commentary import compose_spoken, compose_summary
from data_prep.drills.records import Drill
from training.language_samples import TokenSample, token_sample
from training.pretraining import load_processor
from training.progress import Progress
from training.run import WORK, Run
from training.stage_loop import stored_samples, train_by

LABELLING = "labelling"


def labelling_stage(run: Run) -> None:
    """Full training on the composed comments of pool A, from the run's finished model."""
    recipe, progress = run.recipe, Progress("labelling")
    folder = run.folder / WORK / LABELLING
    processor = load_processor(run.folder / LANGUAGE_FOLDER)
    model = PoiseForConditionalGeneration.from_pretrained(run.folder / LANGUAGE_FOLDER)
    samples = stored_samples(
        run, LABELLING, lambda: label_samples(processor, run.pool("perception"), recipe.seed)
    )
    progress.say(f"{len(samples)} comments, {sum(len(s.ids) for s in samples)} tokens")
    losses = train_by(
        run,
        LABELLING,
        recipe.labelling,
        model,
        samples,
        processor,
        seed=recipe.seed + 4,
        progress=progress,
    )
    if run.is_main:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns(WORK))
        model.save_pretrained(folder / LANGUAGE_FOLDER)
    run.write_metrics("labelling", {"loss": float(np.mean(losses[-50:]))})


def label_samples(
    processor: PoiseProcessor, drills: Sequence[Drill], seed: int, tellings: int = 2
) -> list[TokenSample]:
    """Each drill's spoken comment with its label, `tellings` times in other words."""
    samples = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, 16, i])
        for _ in range(tellings if drill.level is not None else 0):
            told = {
                "summary": compose_summary(drill, rng),
                "commentary_raw": compose_spoken(drill, rng),
                "activity": drill.activity,
            }
            messages = conversation(told)
            if messages is not None:
                sample_id = f"{drill.sample_id}/label"
                samples.append(
                    token_sample(processor, messages, ModelInputs(), sample_id=sample_id)
                )
    return samples
