"""Agreement of raters: Krippendorff's alpha for ordered categories.

K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), part C: any number of raters,
missing ratings allowed. 1 is perfect agreement, 0 is what chance gives, below 0 is disagreement.
"""

import numpy as np


def ordinal_alpha(ratings: np.ndarray) -> float:
    """Alpha with the ordinal difference function.

    With o the coincidences of values c and k within a unit, n their margins and
    delta²(c, k) = (sum of n from c to k, less half of n_c and n_k)²:
    alpha = 1 - (n - 1) sum(o delta²) / sum(n_c n_k delta²).

    Args:
        ratings: [units, raters], numbers in the order of the scale; NaN where missing.

    Returns:
        NaN where no unit has two ratings, or all that have hold the same value.
    """
    ratings = np.asarray(ratings, dtype=np.float64)
    values = np.unique(ratings[np.isfinite(ratings)])
    counts = (ratings[:, :, None] == values).sum(1).astype(np.float64)  # [units, values]
    counts = counts[counts.sum(1) >= 2]
    pairs = np.einsum("uc,uk->uck", counts, counts)
    diagonal = np.arange(len(values))
    pairs[:, diagonal, diagonal] -= counts  # a rating is no pair with itself
    observed = (pairs / (counts.sum(1) - 1)[:, None, None]).sum(0)  # [values, values]
    margins = counts.sum(0)
    ends = np.cumsum(margins) - margins / 2
    squared = (ends[:, None] - ends) ** 2
    expected = float((np.outer(margins, margins) * squared).sum())
    if expected == 0:
        return float("nan")
    return 1 - (margins.sum() - 1) * float((observed * squared).sum()) / expected
