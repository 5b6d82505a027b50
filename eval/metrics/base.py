"""What all metrics share: checks before any work, and the shapes that `evaluate` stores."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import evaluate
import numpy as np
from datasets import Features, Value
from datasets import Sequence as ListOf

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from eval.levels import NOT_JUDGED

TEXT: Final = Value("string")
POSE: Final = ListOf(ListOf(ListOf(Value("float64"))))  # [frames, joints, 3] metres


class PoiseMetric(evaluate.Metric):
    """A metric that refuses empty and misaligned lists before `evaluate` stores anything.

    Attributes:
        PREDICTIONS, REFERENCES: shape of one item; REFERENCES may be a tuple of shapes of which
            any is taken, or None where nothing is compared with.
        SOURCE: the paper or library that defines it.
    """

    PREDICTIONS: Any = TEXT
    REFERENCES: Any = TEXT
    SOURCE: str = ""

    def _info(self) -> evaluate.MetricInfo:
        shapes = self.REFERENCES if isinstance(self.REFERENCES, tuple) else (self.REFERENCES,)
        features = [
            Features({"predictions": self.PREDICTIONS} | ({"references": s} if s else {}))
            for s in shapes
        ]
        return evaluate.MetricInfo(
            description=type(self).__doc__ or "",
            citation=self.SOURCE,
            inputs_description="predictions and references, one each a clip, in the same order",
            features=features,
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **more: Any) -> None:
        """As of `evaluate`, after the checks.

        Raises:
            PoiseError: no prediction at all, or another number of references.
        """
        if self.REFERENCES is None:
            check_some(predictions)
            super().add_batch(predictions=predictions, **more)
        else:
            check_aligned(predictions, references)
            super().add_batch(predictions=predictions, references=references, **more)

    def compute(self, *, predictions: Any = None, references: Any = None, **settings: Any) -> Any:
        """As of `evaluate`: the result's keys begin with the metric's name."""
        if predictions is None and references is None and self.writer is None:
            check_some(None)
        if self.REFERENCES is None:
            return super().compute(predictions=predictions, **settings)
        return super().compute(predictions=predictions, references=references, **settings)


class TextMetric(PoiseMetric):
    """Texts against one reference each or several.

    An empty prediction scores 0. Empty references are left out; a clip without any is refused.
    """

    PREDICTIONS = TEXT
    REFERENCES = (ListOf(TEXT), TEXT)


class LevelMetric(PoiseMetric):
    """Proficiency levels 0 to 3 against the true ones; -1 is a clip that was not judged."""

    PREDICTIONS = Value("int32")
    REFERENCES = Value("int32")


class PoseMetric(PoiseMetric):
    """Motions [frames, joints, 3] in metres against as many frames of true ones."""

    PREDICTIONS = POSE
    REFERENCES = POSE


def check_some(predictions: Sequence[Any] | None) -> None:
    """Raise PoiseError where there is nothing to score."""
    if predictions is None or len(predictions) == 0:
        raise PoiseError("nothing to score", got="0 predictions", expected="at least one")


def check_aligned(predictions: Sequence[Any] | None, references: Sequence[Any] | None) -> None:
    """Raise PoiseError unless both lists are there and as long as each other."""
    counts = [0 if rows is None else len(rows) for rows in (predictions, references)]
    if counts[0] != counts[1]:
        raise PoiseError(
            "predictions and references are not aligned",
            got=f"{counts[0]} predictions and {counts[1]} references",
            expected="as many of both, in the same order",
        )
    check_some(predictions)


def reference_lists(references: Sequence[str | Sequence[str]]) -> list[list[str]]:
    """The references of each clip as a list without empty ones.

    Raises:
        PoiseError: a clip has none.
    """
    found = []
    for row, given in enumerate(references):
        texts = [t for t in ([given] if isinstance(given, str) else given) if t and t.strip()]
        if not texts:
            raise PoiseError(
                f"no reference text for item {row}", expected="one or several that are not empty"
            )
        found.append(texts)
    return found


def check_levels(
    predictions: Sequence[int], references: Sequence[int], *, not_judged: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays [N]; an unknown level is an error, never a default.

    Args:
        not_judged: -1 is a possible prediction.
    """
    lowest = NOT_JUDGED if not_judged else 0
    given, true = np.asarray(predictions), np.asarray(references)
    for what, levels, low in (("predicted", given, lowest), ("true", true, 0)):
        wrong = levels[(levels < low) | (levels >= N_LEVELS)]
        if len(wrong):
            raise PoiseError(
                f"unknown {what} level", got=str(wrong[0]), expected=f"{low} to {N_LEVELS - 1}"
            )
    return given, true


def motion_pairs(
    predictions: Sequence[Any], references: Sequence[Any]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Arrays of each clip's motions.

    Raises:
        PoiseError: shapes that differ, no frame, or numbers that are not finite.
    """
    pairs = []
    for row, (a, b) in enumerate(zip(predictions, references, strict=True)):
        given, true = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        if given.shape != true.shape or given.ndim != 3 or not given.size or given.shape[2] != 3:
            raise PoiseError(
                f"motions of item {row} that cannot be compared",
                got=f"shapes {given.shape} and {true.shape}",
                expected="the same [frames, joints, 3], at least one frame",
            )
        if not (np.isfinite(given).all() and np.isfinite(true).all()):
            raise PoiseError(f"motions of item {row} hold numbers that are not finite")
        pairs.append((given, true))
    return pairs


def mean_result(name: str, values: Iterable[float]) -> dict[str, Any]:
    """`{name: mean, name_per_sample: values}`."""
    rows = [float(value) for value in values]
    return {name: float(np.mean(rows)), f"{name}_per_sample": rows}
