"""The four proficiency levels of Ego-Exo4D and their numbers."""

from collections.abc import Iterable

from assistant.errors import PoiseError
from prompts.vocabulary import LEVELS

N_LEVELS = len(LEVELS)


def level_index(name: str) -> int:
    """The number 0..3 of a level's name; any other label is an error, never a default."""
    if name not in LEVELS:
        raise PoiseError("unknown proficiency level", got=repr(name), expected=", ".join(LEVELS))
    return LEVELS.index(name)


def expected_level(probabilities: Iterable[float]) -> float:
    """The score sum_k k p_k, between 0 and 3."""
    return float(sum(k * p for k, p in enumerate(probabilities)))
