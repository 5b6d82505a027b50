"""Films of people, from the pixels on: drills that the model knows are judged as what they are, and
what is none of them is not judged."""

from pathlib import Path

import pytest

from assistant.clip import Clip
from assistant.clip_input import resolve_pose
from assistant.coach import Coach
from assistant.coach_result import CoachInput

pytestmark = [pytest.mark.slow, pytest.mark.real]


@pytest.mark.parametrize(
    ("film", "activity"),
    [
        ("squat_side_gym", "bodyweight_squat"),
        ("lunge_side_home", "forward_lunge"),
        ("outdoor_two_people", None),  # jumps and walks
        ("multiview_cam01", None),  # balances on a beam
    ],
)
def test_a_film_is_judged_as_what_it_is(film: str, activity: str | None, shared_data: Path) -> None:
    clip = Clip(film, {"exo1": shared_data / "video" / f"{film}.mp4"})
    given = CoachInput(film, resolve_pose(clip).pose, clip.views)
    record = Coach.from_pretrained().coach(given).feedback.to_json()
    assert record["judged"] == (activity is not None)
    if activity is None:
        assert record["proficiency"] is None and record["abstain_reason"]
    else:
        assert record["activity"]["name"] == activity
        assert record["remarks"] and record["proficiency"]["level"]
