"""The fitted ranking: weights of a world in which they are known, chance, and poor libraries."""

from types import SimpleNamespace

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.demos.library import Demonstration, Library
from assistant.demos.rank import FEATURES
from assistant.errors import PoiseError
from assistant.pose.normalise import REST_POSE
from eval import full_supervision, ranking

NAMES = tuple(f"item-{i}" for i in range(30))
TRUE = np.array([2.0, -0.4, -0.2, -0.1])


def choice(rng: np.random.Generator, performer: int) -> ranking.Choice:
    """The gold item is drawn by a conditional logit of the weights TRUE."""
    features = np.column_stack([rng.normal(-2, 0.5, 30), *rng.uniform(20, 90, (3, 30))])
    gold = int((features @ TRUE + rng.gumbel(size=30)).argmax())
    to_twin = 10 + rng.uniform(0, 1, 30) + features[:, 1]
    to_twin[gold] = 1.0
    return ranking.Choice(f"p{performer}", "squat", NAMES, features, to_twin)


@pytest.fixture(scope="module")
def rows() -> list[ranking.Choice]:
    rng = np.random.default_rng(0)
    return [choice(rng, i % 12) for i in range(600)]


def test_weights_are_found_again(rows: list[ranking.Choice]) -> None:
    assert ranking.fit_weights(rows) == pytest.approx(TRUE, rel=0.25, abs=0.03)


def test_the_fitted_ranking_is_better_than_its_parts(rows: list[ranking.Choice]) -> None:
    found = ranking.report(rows[:120])
    ranks = {name: values["mean_reciprocal_rank"] for name, values in found["ranks"].items()}
    assert set(ranks) == {"fitted", *FEATURES}
    assert ranks["fitted"] == max(ranks.values())
    assert ranks["to_learner_mm"] < ranks["to_middle_mm"] < ranks["to_correction_mm"]


def test_chance_is_what_was_chosen_for_others(rows: list[ranking.Choice]) -> None:
    some = rows[:24]
    chance = ranking.chance_scores(some, TRUE)
    assert len(chance) == 24 * 22  # each of 12 performers has two of the clips
    best = np.array([(row.features @ TRUE).max() for row in some])
    assert np.median(chance) < np.median(best) - 5
    fitted = ranking.fit(some)
    suitable = ranking.report(rows[:120])["suitable"]
    assert fitted.fitted["performers"] == 12
    found = [suitable[f"{share}% removed"]["found"] for share in (0, 25, 50, 90)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9 and found[2] < 0.7 and found[3] < 0.1
    nearer = [suitable[f"{share}% removed"]["nearer"] for share in (0, 90)]
    assert nearer[0] > 0.9 and nearer[1] == 0
    for values in suitable.values():
        assert values["agree"] >= abs(1 - values["found"] - values["nearer"]) - 1e-9


def test_too_few_performers_are_an_error(rows: list[ranking.Choice]) -> None:
    with pytest.raises(PoiseError, match="of 1 performers; expected: at least 2"):
        ranking.fit([row for row in rows if row.performer == "p0"])
    few = [row for row in rows if row.performer in ("p0", "p1", "p2")]
    assert ranking.report(few)["performers"] == 3  # as many folds as performers


def test_a_clip_taken_for_another_activity_is_left_out() -> None:
    joints = np.repeat(REST_POSE[None].astype(np.float32), 10, 0)
    items = [
        Demonstration(name, "squat", 0, 2, "", (), joints * size, 5.0, np.zeros((10, 2)), 0.0)
        for name, size in (("a", 1.0), ("b", 1.1))
    ]
    coach = SimpleNamespace(library=Library(items))
    pose = PoseSequence(np.repeat(joints, 10, 0), np.ones((100, 17), np.float32), 30.0)
    clip = SimpleNamespace(performer="p", activity="squat", twin=pose)
    entry = dict.fromkeys(FEATURES, 1.0)
    ranked = [SimpleNamespace(demonstration=item, **entry) for item in items]
    frames = SimpleNamespace(start=0.0)

    def found(ranked: list) -> list[ranking.Choice]:
        return ranking.choices(coach, [clip], [SimpleNamespace(frames=frames, ranked=ranked)])

    assert [row.names for row in found(ranked)] == [("a", "b")]
    assert found(ranked[:1]) == [] and found([]) == []
    result = SimpleNamespace(frames=frames)
    shown = full_supervision.gold_demonstration(coach, clip, result)
    assert shown.joints == pytest.approx(joints)
    nothing = SimpleNamespace(frames=None)
    assert full_supervision.gold_demonstration(coach, clip, nothing) is None


def test_the_table_leaves_out_what_cannot_change() -> None:
    rows = {
        full_supervision.LEARNER_ONLY: {"n": 2, "level_accuracy": 0.5, "correction_mm": 30.0},
        full_supervision.DEMONSTRATION: {"n": 2, "level_accuracy": 1.0},
    }
    lines = full_supervision.table({"rows": rows}).splitlines()
    assert [cell.strip() for cell in lines[3].split("|")[2:5]] == ["2", "1.000", ""]
