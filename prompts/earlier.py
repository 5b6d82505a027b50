"""How a chat prompt tells of the learner's earlier clip, for training and for chat alike."""

from collections.abc import Mapping, Sequence
from typing import Final

from prompts.render import render_template

BETTER: Final = "better"
WORSE: Final = "worse"
SAME: Final = "the same"


def render_earlier(level: str, regions: Sequence[str], changes: Mapping[str, str]) -> str:
    """The user turn that stands after the commentary of the newer clip.

    Args:
        level: of the earlier clip.
        regions: those that needed improvement in it, the first to fix first.
        changes: region to BETTER, WORSE or SAME in the newer clip, where it was measured in both.
    """
    return render_template(
        "earlier",
        level=level,
        regions=", ".join(regions),
        changes=", ".join(f"{region} {change}" for region, change in changes.items()),
    )
