"""What a stage of an earlier run needs, checked before anything of that run is cleared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from assistant.checkpoint import LANGUAGE_FOLDER, LIBRARY_FOLDER, Checkpoint
from assistant.errors import PoiseError
from assistant.model.configuration_poise import GIVEN, PoiseConfig
from assistant.perception import (
    POSE_TOKENIZER_FOLDER,
    PROFICIENCY_FOLDER,
    VIDEO_ENCODER_FOLDER,
)
from training.language import check_architecture
from training.pretraining import PRETRAINED
from training.run import WORK, Run

_PRETRAINED: Final = f"{WORK}/{PRETRAINED}"
# Stage to the parts of the run that it reads.
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "proficiency": (POSE_TOKENIZER_FOLDER,),
    "library": (POSE_TOKENIZER_FOLDER, PROFICIENCY_FOLDER),
    "pretrain": (POSE_TOKENIZER_FOLDER, PROFICIENCY_FOLDER),
    "language": (LANGUAGE_FOLDER, LIBRARY_FOLDER, _PRETRAINED),
    "labelling": (LANGUAGE_FOLDER,),
    "contrastive": (POSE_TOKENIZER_FOLDER, PROFICIENCY_FOLDER, LIBRARY_FOLDER),
}
# Stages that read `language.dataset`.
OF_DATASET: Final = ("pretrain", "language")


def check_stage(run: Run, stage: str) -> None:
    """Raise PoiseError unless `--stage` can begin in the run's folder: earlier parts are there, and
    the model that `language` adapts is the one that the recipe speaks of."""
    needed = NEEDED.get(stage, ())
    language = run.recipe.language
    if language.dataset and "video" in GIVEN[language.inputs] and stage in OF_DATASET:
        needed = (*needed, VIDEO_ENCODER_FOLDER)
    missing = [part for part in needed if not (run.folder / part).is_dir()]
    if missing:
        raise PoiseError(
            f"cannot train the stage {stage} in {run.folder}",
            got=f"no {', '.join(missing)}",
            expected="a run whose earlier stages are done",
            remedy="give its folder by --output, or train all stages: leave out --stage",
        )
    if stage == "language":
        check_architecture(PoiseConfig.from_pretrained(_adapted(run)), run.recipe.language)


def _adapted(run: Run) -> Path:
    """The model that the stage `language` adapts; a sport's adapter stands over the checkpoint."""
    if not run.recipe.activity:
        return run.folder / _PRETRAINED
    Checkpoint.open(run.folder)
    return run.folder / LANGUAGE_FOLDER
