"""Do the moments of a clip find its errors? (Sparse Skill Extractor, section 3.1)"""

import numpy as np


def error_recall(attention: np.ndarray, errors: np.ndarray) -> float:
    """|e and e_hat| / l: e_hat are the l steps with most attention, l the number of errors."""
    count = int(errors.sum())
    chosen = np.argsort(-attention, kind="stable")[:count]
    return float(errors[chosen].sum() / count)


def spread_recall(errors: np.ndarray) -> float:
    """Recall of l steps spread evenly over the clip."""
    count = int(errors.sum())
    chosen = ((np.arange(count) + 0.5) * len(errors) / count).astype(int)
    return float(errors[chosen].sum() / count)


def chance_recall(errors: np.ndarray, among: np.ndarray) -> float:
    """Expected recall of l random steps `among` [n] bool; all of them where there are fewer."""
    count = int(errors.sum())
    return float(errors[among].sum() * min(1.0, count / max(int(among.sum()), 1)) / count)
