"""Heads from Look Closer's v to level probabilities: CORAL in both forms, and its rivals."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from assistant.proficiency.coral import PAPER_C, Form, fit_ordinal_head, level_probabilities

REFERENCE: Final = "coral, three regressions"

# Fit on v [N, D] and levels [N]; the result gives [M, 4] for v [M, D].
Head = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray], Head]


def coral_head(form: Form) -> Fit:
    """Poise's own head in one of its forms."""

    def fit(v: np.ndarray, levels: np.ndarray) -> Head:
        return fit_ordinal_head(v, levels, form=form, c=PAPER_C).probabilities

    return fit


def multinomial_head(v: np.ndarray, levels: np.ndarray, *, c: float = PAPER_C) -> Head:
    """Softmax regression on unordered levels, with the same C.

    A level that training lacks gets probability 0.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=c, max_iter=1000, tol=1e-8).fit(v, levels)

    def probabilities(x: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), N_LEVELS))
        p[:, fitted.classes_] = fitted.predict_proba(x)
        return p

    return probabilities


def coral_pytorch_head(v: np.ndarray, levels: np.ndarray) -> Head:
    """coral-pytorch's layer and loss, with the same penalty, minimised to the end by L-BFGS.

    Raises:
        PoiseError: the package is not installed.
    """
    import torch

    try:
        from coral_pytorch.dataset import levels_from_labelbatch
        from coral_pytorch.layers import CoralLayer
        from coral_pytorch.losses import coral_loss
    except ImportError as error:
        raise PoiseError(
            "cannot compare with coral-pytorch", got=str(error),
            remedy="pip install --no-deps coral-pytorch==1.4.0",
        ) from error  # fmt: skip
    layer = CoralLayer(v.shape[1], N_LEVELS).double()
    layer.coral_weights.weight.data.zero_()  # drawn at random otherwise; the loss is convex
    inputs = torch.from_numpy(np.asarray(v, dtype=np.float64))
    sides = levels_from_labelbatch(np.asarray(levels).tolist(), N_LEVELS, dtype=torch.float64)
    optimiser = torch.optim.LBFGS(
        layer.parameters(),
        max_iter=500,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        penalty = (layer.coral_weights.weight**2).sum() / 2
        loss = PAPER_C * coral_loss(layer(inputs), sides, reduction="sum") + penalty
        loss.backward()
        return loss

    optimiser.step(closure)

    @torch.no_grad()
    def probabilities(x: np.ndarray) -> np.ndarray:
        q = torch.sigmoid(layer(torch.from_numpy(np.asarray(x, dtype=np.float64))))
        return level_probabilities(np.minimum.accumulate(q.numpy(), axis=1))

    return probabilities


HEADS: Final[Mapping[str, Fit]] = {
    REFERENCE: coral_head("regressions"),
    "coral, shared weights": coral_head("shared"),
    "coral-pytorch layer": coral_pytorch_head,
    "multinomial": multinomial_head,
}
