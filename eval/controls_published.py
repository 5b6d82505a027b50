"""What the two papers print, on Ego-Exo4D: other data, never ranked together with ours.

Look Closer: Tables II to V. Sparse Skill Extractor: Table 2, Ego-Exo4D cooking.
"""

from collections.abc import Mapping
from typing import Final

KEYS: Final = ("accuracy", "macro_f1", "mae", "spearman")

# Table IV.
LADDER: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "1 video only": (0.430, 0.383, 0.796, 0.382),
    "2 + gaze": (0.430, 0.395, 0.801, 0.355),
    "3 + activity router": (0.442, 0.400, 0.785, 0.403),
    "4 + aspect experts": (0.498, 0.459, 0.727, 0.415),
    "5 + PDM, without CORAL": (0.529, 0.504, 0.681, 0.460),
    "6 + PDM + CORAL (full)": (0.542, 0.517, 0.654, 0.468),
    "full without gaze": (0.490, 0.463, 0.676, 0.466),
}
# Table V: accuracy and MAE.
CONTROLS: Final[Mapping[str, tuple[float, float]]] = {
    "main baseline (row 4)": (0.4976, 0.7268),
    "with action timestamps": (0.5420, 0.6540),
    "without action timestamps": (0.5537, 0.6114),
    "shuffled proficiency labels": (0.5008, 0.6837),
    "random prototypes": (0.4976, 0.7309),
    "activity-average score": (0.5098, 0.7081),
}
# Table III, the row "Overall": accuracy.
LEAVE_ONE_OUT: Final[Mapping[str, float]] = {
    "full": 0.538,
    "without gaze": 0.484,
    "without PDM": 0.505,
    "without CORAL": 0.511,
    "without router": 0.515,
    "without aspect experts": 0.494,
}
# Table II: F1 and precision of baseline and proposed.
PER_LEVEL: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "Novice": (0.295, 0.418, 0.275, 0.341),
    "Early Expert": (0.524, 0.582, 0.514, 0.550),
    "Intermediate Expert": (0.423, 0.430, 0.511, 0.553),
    "Late Expert": (0.494, 0.537, 0.495, 0.536),
}
# SSE, Table 2: binary F1, Spearman, error recall.
SPARSE_SKILL: Final[Mapping[str, tuple[float, float, float | None]]] = {
    "full": (0.618, 0.485, 0.365),
    "non_sparse": (0.621, 0.491, 0.292),
    "no_local": (0.559, 0.261, 0.323),
    "no_contrastive": (0.591, 0.170, 0.302),
    "late_fusion": (0.591, 0.196, None),
}
