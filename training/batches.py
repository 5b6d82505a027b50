"""Which conversations stand in which batch, and how a batch is shared out."""

from collections.abc import Iterator, Sequence

import numpy as np

from assistant.errors import PoiseError
from assistant.model.processing_poise import IGNORED
from training.language_samples import TokenSample


def length_batches(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int
) -> Iterator[list[int]]:
    """`steps` batches of indices; similar lengths stand together, the order of batches is random.

    Every epoch sorts within random chunks of 32 batches, so that batches differ between epochs. The
    batches follow from the arguments alone: a resumed run passes over those it has had.

    Raises:
        PoiseError: there is nothing to train on.
    """
    if not lengths:
        raise PoiseError("nothing to train on", got="no sample", expected="at least one")
    rng = np.random.default_rng(seed)
    given = 0
    while given < steps:
        order = rng.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), 32 * batch_size):
            chunk = sorted(order[start : start + 32 * batch_size], key=lambda i: lengths[i])
            batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
        for index in rng.permutation(len(batches)):
            if given == steps:
                return
            given += 1
            yield [int(i) for i in batches[index]]


def epoch_steps(samples: int, batch_size: int) -> int:
    """Batches of one epoch of `length_batches`."""
    return -(-samples // batch_size)


def shared_out(indices: Sequence[int], parts: int) -> list[list[int]]:
    """The batch in `parts` pieces of nearly equal size, in order; some are empty if it is small."""
    return [[int(i) for i in piece] for piece in np.array_split(np.array(indices), parts)]


def loss_weight(samples: Sequence[TokenSample]) -> float:
    """Sum of the weights of all tokens that count in the loss of these samples.

    A sample's first token is never predicted.
    """
    return sum(
        weight
        for sample in samples
        for weight, label in zip(sample.weights[1:], sample.labels[1:], strict=True)
        if label != IGNORED
    )
