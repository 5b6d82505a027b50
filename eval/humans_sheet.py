"""The page of one rater: one file that asks the network for nothing, and keeps what is answered."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.files import check_file
from eval.humans import FORMAT, QUESTIONS, SCALE, Study, sheet_order

MEDIA: Final = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
}
POSES: Final = (".npz", ".json", ".trc", ".c3d")
MOST_BYTES: Final = 20_000_000  # of one clip; a phone must hold the whole sheet
MOMENTS: Final = 6
SIDE: Final = 150  # pixels of a drawn moment
TURN: Final = np.radians(35.0)  # of the camera from the side: both arms and legs can be seen


def render_sheets(
    study: Study, key: Mapping[str, Any], media: Mapping[str, tuple[str, str]] | None = None
) -> list[str]:
    """The pages of all raters.

    Args:
        media: sample id to (`video` or `image`, data URL); empty where clips are shown elsewhere.
    """
    from assistant.web.page import embed, joined_script, page_environment

    here = Path(__file__).parent
    template = page_environment(here).get_template("humans.html.jinja")
    script, digest = joined_script([here / "humans.js"])
    style = (here / "humans.css").read_text("utf-8")
    pages = []
    for number in range(1, study.sheets + 1):
        clips = [
            {
                "media": (media or {}).get(sample),
                "reference": study.references.get(sample),
                "items": [
                    (item, study.texts[key["items"][item]["system"]][sample]) for item in items
                ],
            }
            for sample, items in sheet_order(key, number)
        ]
        data = {"format": FORMAT, "study": key["study"], "sheet": number}
        pages.append(
            template.render(
                clips=clips,
                n_items=len(key["items"]),
                questions={name: QUESTIONS[name] for name in study.questions},
                scale=SCALE,
                sheet=number,
                data=embed(data),
                script=script,
                script_hash=digest,
                style=style,
            )
        )
    return pages


def read_media(folder: Path, samples: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Each sample's film, picture or drawn pose: `ID.SUFFIX` in the folder, `/` in ids as `%2F`.

    Raises:
        PoiseError: a sample has none, or one is too large or cannot be read.
    """
    return {sample: _medium(folder, sample) for sample in samples}


def _medium(folder: Path, sample: str) -> tuple[str, str]:
    stem = quote(sample, safe=" ")
    paths = [folder / f"{stem}{suffix}" for suffix in (*MEDIA, *POSES)]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise PoiseError(
            f"no clip of {sample} in {folder}",
            expected=f"{stem} with one of {' '.join((*MEDIA, *POSES))}",
        )
    check_file(path, "clip")
    if path.suffix in POSES:
        from assistant.pose.read import read_pose
        from assistant.web.strip import jpeg_url

        return "image", jpeg_url(draw_moments(read_pose(path)))
    if path.stat().st_size > MOST_BYTES:
        raise PoiseError(
            f"{path} is too large for a sheet",
            got=f"{path.stat().st_size / 1e6:.0f} MB",
            expected=f"at most {MOST_BYTES / 1e6:.0f} MB",
            remedy="cut it to the movement or make it smaller",
        )
    kind = MEDIA[path.suffix]
    code = base64.b64encode(path.read_bytes()).decode("ascii")
    return kind.partition("/")[0], f"data:{kind};base64,{code}"


def draw_moments(pose: PoseSequence) -> bytes:
    """Six evenly spaced moments of a motion side by side, seen obliquely, as a JPEG."""
    from assistant.skeleton import LEFT_HIP, RIGHT_HIP
    from assistant.web.strip import ReportFrame, draw_skeleton, jpeg

    places = np.linspace(0, len(pose.joints) - 1, MOMENTS).round().astype(int)
    joints = np.asarray(pose.joints[places], dtype=np.float64)  # [moments, 17, 3]
    flat = joints[..., :2] - joints[:, [LEFT_HIP, RIGHT_HIP], :2].mean(1, keepdims=True)
    right = flat @ (np.cos(TURN), np.sin(TURN))
    up = joints[..., 2] - np.nanmin(joints[..., 2])
    scale = 0.9 * SIDE / max(float(np.nanmax(up)), 2 * float(np.nanmax(np.abs(right))), 1e-6)
    centres = SIDE * (np.arange(MOMENTS)[:, None] + 0.5)
    points = np.stack([centres + right * scale, 0.95 * SIDE - up * scale], axis=-1)
    from PIL import Image

    image = Image.new("RGB", (SIDE * MOMENTS, SIDE), (56, 66, 72))
    for moment in points:
        draw_skeleton(image, moment)
    return jpeg(ReportFrame(0.0, np.array(image)), long_side=SIDE * MOMENTS)
