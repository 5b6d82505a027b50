"""Training of the proficiency parts: Stage 1, open set, prototypes, ordinal calibration."""

from training.proficiency.calibration import cross_fit_scores, fit_temperature
from training.proficiency.metrics import by_condition, evaluate_proficiency
from training.proficiency.settings import ProficiencySettings
from training.proficiency.train import Beside, train_proficiency

__all__ = [
    "Beside",
    "ProficiencySettings",
    "by_condition",
    "cross_fit_scores",
    "evaluate_proficiency",
    "fit_temperature",
    "train_proficiency",
]
