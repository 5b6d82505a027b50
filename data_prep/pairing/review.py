"""`poise data pair --review DIR`: one page on which a person judges the pairs by eye.

Learner and expert play side by side; a pair is accepted, rejected, or fixed by shifting the
expert's window. The page asks the network for nothing; what was decided is exported as a JSON file
that `poise data pair --apply FILE -o DIR` takes over.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from assistant.clip import PoseSequence
from assistant.dataset import SampleTable
from assistant.errors import PoiseError
from assistant.skeleton import REGION_JOINTS
from assistant.web import page
from assistant.web.animation import drawn_limbs, stage
from data_prep.pairing.motions import FPS, Segment
from data_prep.pairing.run import finished_dataset
from data_prep.pairing.store import Pair, PairStore
from data_prep.pairing.windows import PairWindows

PAGE: Final = "review.html"
SHOWN_FPS: Final = 15.0
MISSING: Final = -32768  # millimetres of a joint that is not shown
TEMPLATES: Final = Path(__file__).parent / "templates"
SCRIPTS: Final = (page.TEMPLATES / "skeletons.js", TEMPLATES / "review.js")
STYLES: Final = (page.TEMPLATES / "report.css", TEMPLATES / "review.css")


def write_review(folder: Path, splits: Sequence[str] = ("test",)) -> dict[str, Any]:
    """Write `review.html` for the pairs of these splits; returns its path and their number.

    Raises:
        PoiseError: no finished pairs in the folder, or none of these splits.
    """
    with PairStore(folder) as store:
        pairs = store.pairs()
        settings = store.settings()
    chosen = [pair for pair in pairs if pair.split in splits]
    if not chosen:
        raise PoiseError(
            f"no pairs to review in {folder}",
            got=f"splits {', '.join(sorted({p.split for p in pairs})) or 'none'}",
            expected=", ".join(splits),
            remedy="name the splits with --splits",
        )
    path = page.write_page(
        render_review(chosen, SampleTable(finished_dataset(folder)), settings),
        folder / PAGE,
        "the review page",
        "make the folder writable",
    )
    return {"page": str(path), "pairs": len(chosen), "bytes": path.stat().st_size}


def render_review(pairs: Sequence[Pair], table: SampleTable, settings: Mapping[str, Any]) -> str:
    """The page as text."""
    windows = PairWindows(table, settings["window"])
    script, digest = page.joined_script(SCRIPTS)
    said = {
        row["sample_id"]: row for row in table.columns(["sample_id", "summary", "commentary_raw"])
    }
    data = {
        "dataset_sha256": settings["dataset_sha256"],
        "window": settings["window"],
        "frame": 1 / FPS,
        "limbs": drawn_limbs(),
        "regions": {name: list(joints) for name, joints in REGION_JOINTS.items()},
        "pairs": [_shown(pair, windows, said) for pair in pairs],
    }
    return (
        page.page_environment(TEMPLATES)
        .get_template("review.html.jinja")
        .render(
            data=page.embed(data),
            count=len(pairs),
            script=script,
            script_hash=digest,
            style=Markup("\n".join(path.read_text("utf-8") for path in STYLES)),
        )
    )


def _shown(
    pair: Pair, windows: PairWindows, said: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """One pair for the page: both motions, and the error at every place of the expert's window."""
    learner, expert, errors = windows.of(pair)
    texts = said[pair.learner]
    return {
        "learner": pair.learner,
        "region": pair.region,
        "rank": pair.rank,
        "expert": pair.expert,
        "activity": pair.activity,
        "status": pair.status,
        "summary": texts["summary"],
        "spoken": texts["commentary_raw"],
        "expert_said": said[pair.expert]["summary"] if pair.expert in said else None,
        "learner_start": learner.start,
        "learner_time": pair.learner_time,
        "expert_time": pair.expert_time,
        "expert_first": expert.start,
        "chosen": round((pair.expert_start - expert.start) * FPS),
        "errors": [round(float(e), 1) if np.isfinite(e) else None for e in errors],
        "tracks": {"learner": _track(learner), "expert": _track(expert)},
    }


def _track(segment: Segment) -> dict[str, Any]:
    """A motion at 15 frames a second, int16 millimetres in base64, little-endian."""
    pose = PoseSequence(segment.joints, segment.confidence, FPS, world=segment.world)
    few = pose.resample(SHOWN_FPS)
    staged = stage(few)
    millimetres = np.clip(np.rint(1000 * staged), -32767, 32767).astype("<i2")
    millimetres[few.confidence <= 0] = MISSING
    return {
        "frames": len(few),
        "step": 1 / SHOWN_FPS,
        "mm": base64.b64encode(millimetres.tobytes()).decode("ascii"),
    }
