"""The contrastive baseline: learns pairs, keeps activities apart, and is read back as it was."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assistant.demos.contrastive import DualEncoder
from assistant.demos.library import Demonstration, Library
from assistant.errors import PoiseError
from assistant.pose.normalise import REST_POSE
from training.contrastive import train_contrastive
from training.recipe import ContrastiveSettings

SETTINGS = ContrastiveSettings(steps=150, batch_size=16, width=32, size=16)
ACTIVITIES = ("squat", "throw")


def item(number: int) -> Demonstration:
    rng = np.random.default_rng(number)
    joints = (REST_POSE + rng.normal(0, 0.1, (10, 17, 3))).astype(np.float32)
    codes = np.zeros((10, 2), int)
    activity = ACTIVITIES[number % 2]
    return Demonstration(str(number), activity, 0, 2, None, (), joints, 5.0, codes, 0.0)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library([item(i) for i in range(24)])


def learner(demonstration: Demonstration, seed: int) -> Any:
    """The demonstration seen in a mirror, with noise: near to nothing but easily learned."""
    rng = np.random.default_rng(seed)
    joints = demonstration.joints * [1, -1, 1] + rng.normal(0, 0.02, (10, 17, 3))
    return SimpleNamespace(
        window=SimpleNamespace(joints=joints.astype(np.float32)),
        drill=SimpleNamespace(activity=demonstration.activity),
    )


def ranks(model: DualEncoder, library: Library, seed: int) -> list[int]:
    found = []
    for shown in library.items:
        mine = library.of_activity(shown.activity)
        d = model.distances(
            learner(shown, seed).window.joints, np.stack([other.window for other in mine])
        )
        found.append(int((d <= d[mine.index(shown)]).sum()))
    return found


def test_new_learners_find_the_demonstration_of_their_pair(library: Library) -> None:
    places = [i % 24 for i in range(96)]
    clips = [learner(library.items[p], 100 + n) for n, p in enumerate(places)]
    model, losses = train_contrastive(clips, library, places, SETTINGS, seed=0)
    assert losses[0] == pytest.approx(np.log(12), abs=1.5)  # among the items of one activity
    assert np.mean(losses[-20:]) < 0.5
    assert np.mean(ranks(model, library, 999)) < 2 < np.mean(ranks(DualEncoder(), library, 999))
    again, _ = train_contrastive(clips, library, places, SETTINGS, seed=0)
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert (one == other).all()


def test_encoders_are_read_back(library: Library, tmp_path: Path) -> None:
    model = DualEncoder(32, 16)
    model.save_pretrained(tmp_path)
    windows = np.stack([each.window for each in library.items])
    one, other = (
        m.distances(windows[0], windows) for m in (model, DualEncoder.from_pretrained(tmp_path))
    )
    assert np.array_equal(one, other) and one.shape == (24,)
    (tmp_path / "config.json").write_text('{"width": 8, "size": 16}', "utf-8")
    with pytest.raises(PoiseError, match="no contrastive encoders"):
        DualEncoder.from_pretrained(tmp_path)
    with pytest.raises(PoiseError, match="--stage contrastive"):
        DualEncoder.from_pretrained(tmp_path / "nothing")


def test_nothing_to_learn_from(library: Library) -> None:
    with pytest.raises(PoiseError, match="no pairs to learn from"):
        train_contrastive([], library, [], SETTINGS, seed=0)
