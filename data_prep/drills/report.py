"""What `poise data drills --preset NAME --json` says of the test sets, as a block of their page."""

from collections.abc import Mapping
from typing import Any

from assistant.markdown import markdown
from data_prep.drills.dataset import PRESETS

HEADER = ("preset", "version", "performers", "clips of drills", "of other motions", "megabytes",
          "sha256 of the rows", "clips a second of one core")  # fmt: skip


def presets_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One row a preset, in the order of PRESETS; `results` by their name with underscores."""
    rows = []
    for name, preset in PRESETS.items():
        found = results[name.replace("-", "_")]
        judged = found["judged_clips"]
        rows.append(
            [
                name,
                preset.version,
                str(preset.performers),
                str(judged),
                str(found["clips"] - judged),
                f"{found['megabytes']:.1f}",
                f"{found['sha256'][:12]}...",
                f"{found['clips_per_core_second']:.0f}",
            ]
        )
    return markdown(HEADER, rows)
