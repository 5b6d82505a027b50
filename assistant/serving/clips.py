"""Clips that were looked at, kept by the hash of their content.

Requests for the same clip share one look. A look that nobody waits for any more is given up where
it has not begun.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final

from assistant.serving.metrics import Metrics
from assistant.serving.perception_pool import PerceptionPool
from assistant.serving.perception_worker import SeeJob
from assistant.serving.sources import GivenClip

if TYPE_CHECKING:
    import numpy as np

    from assistant.chat import SeenClip as TalkClip
    from assistant.coach_result import Judged, NotJudged

# Answers to questions that are kept with a clip, all conversations about it together.
_MOST_WRITTEN: Final = 256


@dataclass
class SeenClip:
    """A clip that was looked at, and what was said of it first.

    Attributes:
        sha256: of its files' content.
        perceived: what perception gave; its clip's name is that of the first request.
        levels: [4] probabilities of the levels by model or adapter, once they were scored.
        known: what the chat knows of it by model or adapter, once a question was asked.
        first_answers: the commentary after the label and its tokens, by model or adapter, once it
            was written greedily to its end.
        turn: held while the first answer is written for the questions that follow it.
        written: the last answers to questions as the model wrote them, by model or adapter and by
            the text that the client was given.
    """

    sha256: str
    perceived: "Judged | NotJudged"
    levels: dict[str, "np.ndarray"] = field(default_factory=dict)
    known: dict[str, "TalkClip"] = field(default_factory=dict)
    first_answers: dict[str, tuple[str, int]] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    written: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict)

    def remember(self, name: str, shown: str, raw: str) -> None:
        """Keep an answer for the turns after it."""
        self.written[name, shown.strip()] = raw
        self.written.move_to_end((name, shown.strip()))
        while len(self.written) > _MOST_WRITTEN:
            self.written.popitem(last=False)


@dataclass
class _Look:
    """A look under way and how many wait for it."""

    task: "asyncio.Task[SeenClip]"
    waiting: int = 0


class ClipCache:
    """The clips of one server, the least recently used forgotten first."""

    def __init__(
        self, pool: PerceptionPool, metrics: Metrics, *, most: int, seconds: float
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._most = most
        self._seconds = seconds
        self._seen: OrderedDict[tuple[str, str | None], tuple[float, SeenClip]] = OrderedDict()
        self._looks: dict[tuple[str, str | None], _Look] = {}

    async def see(self, clip: GivenClip, activity: str | None) -> SeenClip:
        """The clip as perception sees it; errors as `PerceptionPool.see`.

        Args:
            clip: its files; closed here, when nobody reads them any more.
            activity: judge it as this; None finds it out.
        """
        key = (clip.sha256(), activity)
        look = self._looks.get(key)
        if key in self._seen:
            self._metrics.clips.labels("hit").inc()
            clip.close()
            _, found = self._seen.pop(key)
            self._seen[key] = (monotonic(), found)
            return found
        if look is None:
            self._metrics.clips.labels("miss").inc()
            look = self._begin(key, clip)
        else:
            self._metrics.clips.labels("shared").inc()
            clip.close()
        return await self._wait(key, look)

    def _begin(self, key: tuple[str, str | None], clip: GivenClip) -> _Look:
        look = self._looks[key] = _Look(asyncio.create_task(self._look(key, clip)))

        def ended(task: "asyncio.Task[SeenClip]") -> None:
            clip.close()
            if self._looks.get(key) is look:
                del self._looks[key]
            if not task.cancelled():
                task.exception()  # looked at here, in case nobody waits any more

        look.task.add_done_callback(ended)
        return look

    def sweep(self) -> None:
        """Forget clips that were not asked for in their time."""
        late = monotonic() - self._seconds
        for key in [key for key, (used, _) in self._seen.items() if used < late]:
            del self._seen[key]

    async def _wait(self, key: tuple[str, str | None], look: _Look) -> SeenClip:
        look.waiting += 1
        try:
            return await asyncio.shield(look.task)
        finally:
            look.waiting -= 1
            if not look.waiting and not look.task.done():
                if self._looks.get(key) is look:
                    del self._looks[key]
                look.task.cancel()

    async def _look(self, key: tuple[str, str | None], clip: GivenClip) -> SeenClip:
        job = SeeJob(
            clip_id=clip.name,
            views={view: stored.path for view, stored in clip.views.items()},
            pose=None if clip.pose is None else clip.pose.path,
            activity=key[1],
            names={str(stored.path): stored.name for stored in clip.files},
        )
        seen = SeenClip(key[0], await self._pool.see(job))
        self._seen[key] = (monotonic(), seen)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return seen
