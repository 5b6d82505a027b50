"""The pose as text: which numbers are written, and how."""

import numpy as np
import pytest

from prompts.pose_text import TEXT_FRAMES, TEXT_JOINTS, render_pose_text
from prompts.render import render_messages

POINTS = np.array([[0.0, 0.0, 0.926], [0.114, -0.004, 1.604]] + [[0.0, 0.2, -0.1]] * 10)

TEXT = (
    "(cm forward, left, up) pelvis, nose, shoulders, elbows, wrists, knees, ankles, "
    "left before right; "
    "0.0 s 0 0 93, 11 0 160" + ", 0 20 -10" * 10 + "; "
    "1.0 s 0 0 -93, -11 0 -160" + ", 0 -20 10" * 10
)


def test_coordinates_are_whole_centimetres_in_the_order_that_is_named():
    assert render_pose_text([POINTS.tolist(), (-POINTS).tolist()], [0.0, 1.0]) == TEXT
    assert "-0" not in TEXT.replace("-004", "")
    sides = [name.split("_") for name in TEXT_JOINTS[1:]]
    assert [side for side, _ in sides] == ["left", "right"] * 5
    assert [f"{part}s" for _, part in sides[::2]] == [
        "shoulders", "elbows", "wrists", "knees", "ankles",
    ]  # fmt: skip
    assert TEXT_FRAMES[0] == 0 and TEXT_FRAMES[-1] == 9


@pytest.mark.parametrize("bad", [POINTS[:-1], POINTS[:, :2], np.where(POINTS > 1, np.nan, POINTS)])
def test_other_points_are_refused(bad):
    with pytest.raises(ValueError, match="12 points of 3 finite coordinates"):
        render_pose_text([bad.tolist()], [0.0])


def test_the_prompt_holds_the_text_where_the_rows_would_be():
    rows, text = (
        render_messages("commentary", n_stage1=2, **given)[1]["content"]
        for given in ({"n_pose": 3}, {"pose_text": TEXT})
    )
    before, after = rows.split("<|pose_start|><|pose|><|pose|><|pose|><|pose_end|>")
    assert text == before + TEXT + after and before == "Body pose: "
    with pytest.raises(ValueError, match="n_pose 3 beside the pose as text"):
        render_messages("commentary", n_pose=3, pose_text=TEXT)
