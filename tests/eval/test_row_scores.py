"""What is scored of a row, and what its model is given of a clip."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assistant.coach_result import Judged
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.window import WindowFrames
from eval.row_scores import fields_of, given, level_figures
from prompts.vocabulary import LEVELS, VIEWS


def clip(level: int, activity: str) -> Any:
    return SimpleNamespace(level=level, activity=activity)


def test_levels_have_their_floors_on_the_same_clips() -> None:
    clips = [clip(level, name) for name in ("squat", "throw") for level in (0, 1, 2, 3, 3)]
    p = np.eye(4)[[0, 1, 2, 3, 3, 0, 0, 0, 0, 0]]
    found = level_figures(p, clips)
    assert found["accuracy"] == pytest.approx(0.6)
    assert (
        found["by_activity"]["squat"]["accuracy"] == 1 and found["by_activity"]["squat"]["n"] == 5
    )
    assert found["by_activity"]["throw"]["accuracy"] == pytest.approx(0.2)
    # The majority level is that of four of ten clips; other clips' answers are of the activity.
    assert found["floors"]["majority"]["accuracy"] == pytest.approx(0.4)
    assert found["floors"]["another clip's answer"]["accuracy"] <= 0.4


def test_fields_of_free_answers_are_counted_apart() -> None:
    texts = [
        f"Proficiency Level: {LEVELS[0]}. Proficiency Commentary:\nLegs (correct): Good.",
        f"Proficiency Level: {LEVELS[1]}.",
        "Proficiency Commentary:\nLegs (correct): Good.",
        "nothing of the kind",
    ]
    assert fields_of(texts, "label_first") == {
        "level_field": 0.5, "commentary_field": 0.5, "both_fields": 0.25,
    }  # fmt: skip


def test_a_model_is_given_what_its_settings_say() -> None:
    rng = np.random.default_rng(0)
    window = WindowFrames(0.0, 2.0, rng.random((10, 17, 3)), rng.random((10, 3)), 0.0)
    inputs = ModelInputs(
        video=np.arange(5.0)[:, None], pose=rng.random((10, 4)), score=rng.random(14),
        regions=rng.random(18), stage1=rng.random((3, 4)),
    )  # fmt: skip
    nothing: Any = None
    item = Judged(nothing, nothing, nothing, [], window, nothing, nothing, inputs, ())

    def seen(**settings: Any) -> Judged:
        perception: Any = SimpleNamespace(
            **({"views": VIEWS, "numbers": "token", "inputs": "all", "pose_form": "features"}
               | settings)
        )  # fmt: skip
        return given(item, perception)

    whole = seen()
    assert whole.video_views == VIEWS and whole.inputs.video is not None
    assert whole.inputs.video[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert whole.inputs.pose is inputs.pose and not whole.inputs.pose_text
    some = seen(views=("ego", "exo2"), inputs="video", numbers="none")
    assert some.inputs.video is not None and some.inputs.pose is None
    assert some.inputs.video[:, 0].tolist() == [VIEWS.index("ego"), VIEWS.index("exo2")]
    assert some.video_views == ("ego", "exo2") and some.inputs.numbers == "none"
    pose = seen(inputs="pose", pose_form="text")
    assert pose.inputs.video is None and pose.video_views == () and pose.inputs.pose_text
