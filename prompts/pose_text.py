"""The learner's pose as text: 3D coordinates as numbers, in place of rows of embeddings.

ExpertAF compares its pose tokens with a language model that is given the 3D coordinates in text
form (section 4, baseline LLaVA-FT w/ pose; Table 1). All joints of ten frames are 510 numbers and
fill the 2,048 tokens of poise-mini's context. So 12 points of three frames are written, some 440
tokens: the begin, the middle (the heaviest moment is there) and the end of the window. Hips are
left out, since they move with the pelvis, and of the face all but the nose. Whole centimetres:
below is noise. Heights count from the floor, so that a heel that rises shows, as it does in the
rows of embeddings.
"""

import math
from collections.abc import Sequence
from typing import Final

from prompts.render import render_template

POSE_FORMS: Final = ("features", "text")
# Joints of COCO-17 by name, after the pelvis; of a pair the left one is written first.
TEXT_JOINTS: Final = (
    "nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
TEXT_FRAMES: Final = (0, 5, 9)  # of the ten of the window, at 5 a second
_POINTS: Final = ("pelvis", "nose", "shoulders", "elbows", "wrists", "knees", "ankles")
_CENTIMETRES: Final = 100


def render_pose_text(points: Sequence[Sequence[Sequence[float]]], times: Sequence[float]) -> str:
    """`(...) pelvis, ...; 0.0 s 0 0 93, 12 0 160, ...; 1.0 s ...`: three numbers a point.

    Args:
        points: [frames, 1 + len(TEXT_JOINTS), 3] metres, the pelvis first.
        times: seconds of the frames.

    Raises:
        ValueError: another number of points, or coordinates that are not finite.
    """
    frames = []
    for time, frame in zip(times, points, strict=True):
        rows = [[float(value) for value in point] for point in frame]
        if len(rows) != 1 + len(TEXT_JOINTS) or not all(
            len(row) == 3 and all(map(math.isfinite, row)) for row in rows
        ):
            wanted = f"{1 + len(TEXT_JOINTS)} points of 3 finite coordinates"
            raise ValueError(f"cannot write a pose; got: {rows}; expected: {wanted}")
        said = [" ".join(str(round(_CENTIMETRES * value)) for value in row) for row in rows]
        frames.append(f"{time:.1f} s {', '.join(said)}")
    return render_template("pose_text", points=_POINTS, frames=frames)
