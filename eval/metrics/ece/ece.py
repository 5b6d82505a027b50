"""Expected calibration error (Guo et al. 2017)."""

from typing import Any

import numpy as np
from datasets import Sequence, Value

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from eval.calibration import BINNING, expected_calibration_error
from eval.metrics import base


class ExpectedCalibrationError(base.PoiseMetric):
    """Mean gap between confidence and accuracy over bins, 0 to 1; predictions are [N, 4]."""

    PREDICTIONS = Sequence(Value("float64"))
    REFERENCES = Value("int32")
    SOURCE = "Guo et al. 2017, On Calibration of Modern Neural Networks"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        if any(len(row) != N_LEVELS for row in predictions):
            raise PoiseError("not level probabilities", expected=f"{N_LEVELS} numbers a clip")
        p = np.asarray(predictions, dtype=np.float64)
        if not (p >= 0).all() or not np.allclose(p.sum(axis=1), 1, atol=1e-3):
            raise PoiseError("not level probabilities", expected="no negative ones, sum 1 a clip")
        _, true = base.check_levels(p.argmax(axis=1), references)
        return {"ece": expected_calibration_error(p, true), "ece_binning": BINNING}
