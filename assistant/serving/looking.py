"""The clip that a conversation is about, and the earlier one that it is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.coach_result import Judged
from assistant.serving.clips import ClipCache, SeenClip
from assistant.serving.sources import GivenClip


@dataclass(frozen=True)
class NamedClip:
    """A clip by the name that this conversation gives it; others may know it by another."""

    name: str
    seen: SeenClip

    @property
    def activity(self) -> str | None:
        """What it was judged as; None where it was not."""
        item = self.seen.perceived
        return item.assessment.activity if isinstance(item, Judged) else None


async def look_at(
    given: Sequence[GivenClip], clips: ClipCache, activity: str | None
) -> tuple[NamedClip, NamedClip | None]:
    """The newest clip, and the last one before it of the same activity and with other content.

    Clips are looked at from the newest backwards, and no more of them than that takes; errors as
    `ClipCache.see`.

    Args:
        given: in order, at least one; their files are closed here.
        activity: judge them as this; None finds it out.
    """
    waiting = list(given)
    try:
        newest = await _see(waiting.pop(), clips, activity)
        while waiting and newest.activity is not None:
            earlier = await _see(waiting.pop(), clips, activity)
            again = earlier.seen.sha256 == newest.seen.sha256
            if earlier.activity == newest.activity and not again:
                return newest, earlier
        return newest, None
    finally:
        for clip in waiting:
            clip.close()


async def _see(clip: GivenClip, clips: ClipCache, activity: str | None) -> NamedClip:
    return NamedClip(clip.name, await clips.see(clip, activity))
