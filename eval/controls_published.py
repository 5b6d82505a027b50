"""What Look Closer and the Sparse Skill Extractor print, by the names of our controls' rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eval.published import figures, published

KEYS: Final = ("accuracy", "macro_f1", "mae", "spearman")

# Table IV.
LADDER: Final[Mapping[str, Sequence[Any]]] = figures("look-closer-4")
# Table V: accuracy and MAE; its "full proposed" repeats the row with timestamps.
CONTROLS: Final[Mapping[str, Sequence[Any]]] = {
    name: (float(accuracy), float(mae))
    for name, accuracy, mae, *_ in published()["look-closer-5"]["rows"]
    if name != "full proposed"
}
# Table III, the row "Overall": accuracy.
LEAVE_ONE_OUT: Final[Mapping[str, Any]] = dict(
    zip(
        published()["look-closer-3"]["columns"],
        figures("look-closer-3")["Overall"],
        strict=True,
    )
)
# Table II: F1 and precision of baseline and proposed.
PER_LEVEL: Final[Mapping[str, Sequence[Any]]] = figures("look-closer-2")
# SSE, Table 2: binary F1, Spearman, error recall.
SPARSE_SKILL: Final[Mapping[str, Sequence[Any]]] = {
    key: figures("sse-2")[name]
    for key, name in (
        ("full", "Sparse Skill Extractor"),
        ("non_sparse", "w/ non-sparse local contrastive loss"),
        ("no_local", "w/o sparse local contrastive loss"),
        ("no_contrastive", "w/o local or global contrastive loss"),
        ("late_fusion", "V-JEPA"),
    )
}
