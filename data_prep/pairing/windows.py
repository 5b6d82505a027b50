"""The motions behind a pair of the store, and the error at every place of the expert's window."""

import numpy as np

from assistant.dataset import SampleTable
from assistant.errors import PoiseError
from assistant.pose.windows import window_errors
from data_prep.pairing.executions import COLUMNS, Execution, find_executions
from data_prep.pairing.motions import Motions, Segment
from data_prep.pairing.store import Pair


class PairWindows:
    """Cuts the windows of pairs again, as they were cut when the pairs were mined.

    Args:
        table: the dataset of the pairs, or its copy with demonstrations.
        window: seconds.
    """

    def __init__(self, table: SampleTable, window: float) -> None:
        found = find_executions(table.columns(COLUMNS))
        self.motions = Motions(table.pose, window)
        self._learners = {(e.sample_id, e.region): e for e in found.learners}
        self._experts = {(e.sample_id, e.region, e.time): e for e in found.experts}

    def of(self, pair: Pair) -> tuple[Segment, Segment, np.ndarray]:
        """The learner's window, all frames the expert's may take, and the errors [positions] mm.

        Raises:
            PoiseError: the dataset does not hold this pair.
        """
        learner = self._learners.get((pair.learner, pair.region))
        expert = self._experts.get((pair.expert, pair.region, pair.expert_time))
        window, segment = self._cut(learner, expert)
        if not isinstance(window, Segment) or not isinstance(segment, Segment):
            raise PoiseError(
                f"pair of {pair.learner} and {pair.expert}, {pair.region}",
                got="a dataset without it",
                remedy="pair the dataset again into a new folder",
            )
        errors = window_errors(
            window.joints[None],
            [segment.joints],
            learner_confidence=window.confidence[None],
            expert_confidence=[segment.confidence],
        )[0, 0]
        return window, segment, errors

    def _cut(
        self, learner: Execution | None, expert: Execution | None
    ) -> tuple[Segment | str, Segment | str]:
        if learner is None or expert is None:
            return "missing", "missing"
        return self.motions.learner(learner), self.motions.expert(expert)
