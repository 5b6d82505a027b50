"""Shuffles exchange exactly the fields that they name."""

import numpy as np

from assistant.model.processing_poise import ModelInputs
from eval.variants import SHUFFLES, shuffle_inputs


def inputs(value: float) -> ModelInputs:
    def row(*shape: int) -> np.ndarray:
        return np.full(shape, value, np.float32)

    return ModelInputs(row(1, 4), row(10, 6), row(14), row(18), row(7, 5), pose_text=f"at {value}")


def test_a_shuffle_takes_its_own_fields_and_no_others() -> None:
    given = [inputs(1.0), inputs(2.0)]
    for name, fields in SHUFFLES.items():
        first = shuffle_inputs(given, [1, 0], name)[0]
        for field in ("video", "pose", "score", "regions", "stage1"):
            expected = 2.0 if field in fields else 1.0
            assert (getattr(first, field) == expected).all(), (name, field)
        assert first.pose_text == ("at 2.0" if "pose" in fields else "at 1.0"), name


def test_all_shuffles_every_field() -> None:
    assert set(SHUFFLES["all"]) == set().union(*SHUFFLES.values())
