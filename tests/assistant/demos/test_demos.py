"""The expert library on disk, the order of demonstrations, and playing one beside a learner."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.demos.library import POSES, TABLE, Demonstration, Library
from assistant.demos.rank import FEATURES, Ranking, rank, unsuitable
from assistant.demos.replay import aligned_demonstration
from assistant.engine.base import Prompt
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs
from assistant.pose.normalise import REST_POSE
from assistant.tasks.retrieval import code_token_ids
from prompts.render import render_messages

CONFIG = PoiseConfig(tokens_per_frame=4, codebook_size=16, pose_code_start=100)


def test_a_library_is_written_and_read(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "new")
    loaded = Library.load(tmp_path / "new")
    assert len(loaded) == len(library) == 6
    for mine, theirs in zip(library.items, loaded.items, strict=True):
        assert theirs.joints == pytest.approx(mine.joints, abs=0.5e-4 + 1e-6)  # tenths of a mm
        assert np.array_equal(theirs.codes, mine.codes)
        plain = {"joints": mine.joints, "codes": mine.codes}
        for name, value in vars(replace(theirs, **plain)).items():
            assert value is plain[name] if name in plain else value == getattr(mine, name)
    assert [d.demonstration_id for d in loaded.of_activity("basketball_free_throw")] == [
        "expert-2",
        "expert-5",
    ]
    assert loaded.of_activity("golf_swing") == []


def test_writing_twice_gives_the_same_bytes(library: Library, tmp_path: Path) -> None:
    for name in ("a", "b"):
        library.save(tmp_path / name)
    for name in (TABLE, POSES):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", [TABLE, POSES])
def test_a_missing_file_says_how_to_get_it(library: Library, tmp_path: Path, name: str) -> None:
    library.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(PoiseError, match=f"no {name}") as caught:
        Library.load(tmp_path)
    assert "poise train mini" in str(caught.value)


@pytest.mark.parametrize("name", [TABLE, POSES])
@pytest.mark.parametrize("content", [b"", b"not a file of that kind", None])
def test_a_damaged_file_is_one_line(
    library: Library, tmp_path: Path, name: str, content: bytes | None
) -> None:
    library.save(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is None else content)
    with pytest.raises(PoiseError, match="is damaged"):
        Library.load(tmp_path)


def test_files_of_two_libraries_do_not_fit(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "a")
    Library(library.items[:4]).save(tmp_path / "b")
    (tmp_path / "b" / TABLE).replace(tmp_path / "a" / TABLE)
    with pytest.raises(PoiseError, match="4 rows, 6 poses"):
        Library.load(tmp_path / "a")


def test_an_empty_library_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="would be empty"):
        Library([]).save(tmp_path / "none")
    assert not (tmp_path / "none").exists()


class FixedEngine:
    """Gives the continuations of `sums` in the order of their candidates."""

    name = "fixed"

    def __init__(self, sums: list[float], candidates: list[Demonstration]) -> None:
        self.sums = sums
        self.expected = [code_token_ids(c.codes, CONFIG) for c in candidates]
        self.calls = 0

    def score(self, prompt, continuations):
        self.calls += 1
        assert list(continuations) == self.expected
        return np.array(self.sums), np.array([len(c) for c in continuations])


PROMPT = Prompt(render_messages("retrieval"), ModelInputs())
STANDING = np.repeat(REST_POSE[None], 10, 0)


def by(least: float = -np.inf, **weights: float) -> Ranking:
    return Ranking({**dict.fromkeys(FEATURES, 0.0), **weights}, {"bodyweight_squat": least})


def ranked_by(ranking: Ranking, engine: FixedEngine, items: list[Demonstration], **motions):
    both = {"learner": STANDING, "correction": STANDING, **motions}
    return rank(engine, CONFIG, PROMPT, items, ranking=ranking, **both)


def test_demonstrations_are_ranked_by_their_likelihood(library: Library) -> None:
    items = library.items[:3]  # unconditional -1.0, -1.1, -1.2
    length = 10 * 5 + 1
    engine = FixedEngine([-0.95 * length, -0.9 * length, -1.1 * length], items)
    ranked = ranked_by(by(log_likelihood=1.0), engine, items)
    assert engine.calls == 1  # the prefix is computed once
    assert [r.demonstration.demonstration_id for r in ranked] == [
        "expert-1",
        "expert-0",
        "expert-2",
    ]
    assert [r.log_likelihood for r in ranked] == pytest.approx([-0.9, -0.95, -1.1])
    assert [r.relative for r in ranked] == pytest.approx([0.2, 0.05, 0.1])


def test_equal_demonstrations_stand_by_name(library: Library) -> None:
    items = [replace(library.items[0], demonstration_id=name) for name in ("c", "a", "b")]
    ranked = ranked_by(by(log_likelihood=2.0), FixedEngine([-51.0] * 3, items), items)
    assert [r.demonstration.demonstration_id for r in ranked] == ["a", "b", "c"]


def test_nothing_to_rank_asks_no_engine() -> None:
    engine = FixedEngine([], [])
    assert ranked_by(by(), engine, []) == []
    assert engine.calls == 0


def test_nearness_and_likelihood_are_weighed_together(library: Library) -> None:
    items = [replace(library.items[i], unconditional=-1.0) for i in range(3)]
    length = 10 * 5 + 1
    engine = FixedEngine([-2.0 * length, -1.0 * length, -1.5 * length], items)
    near = items[0].joints[::3]  # the least likely one is just the correction
    ranked = ranked_by(
        by(log_likelihood=1.0, to_correction_mm=-1.0), engine, items, correction=near
    )
    assert ranked[0].demonstration is items[0]
    assert ranked[0].to_correction_mm == pytest.approx(0.0, abs=1e-3)
    assert ranked[0].to_learner_mm > 1
    for each in ranked:
        assert each.score == pytest.approx(each.log_likelihood - each.to_correction_mm)
    ranked = ranked_by(
        by(log_likelihood=1e3, to_correction_mm=-1.0), engine, items, correction=near
    )
    assert ranked[0].demonstration is items[1]


def test_a_best_candidate_that_is_no_better_than_chance_is_not_suitable(library: Library) -> None:
    items = library.items[:2]
    ranked = ranked_by(by(log_likelihood=1.0), FixedEngine([-51.0, -102.0], items), items)
    assert unsuitable(ranked, "bodyweight_squat", by(least=-1.01)) is None
    reason = unsuitable(ranked, "bodyweight_squat", by(least=-1.0))
    assert reason is not None and "No suitable demonstration" in reason and "best of 2" in reason
    none = unsuitable([], "golf_swing", by())
    assert none == "No suitable demonstration: the library holds none of golf swing."


def test_a_checkpoint_may_bring_its_own_ranking(tmp_path: Path) -> None:
    shipped = Ranking.load(tmp_path)
    assert shipped == Ranking.load() and set(shipped.weights) == set(FEATURES)
    assert shipped.fitted["performers"] > 1
    own = {
        "weights": dict.fromkeys(FEATURES, 0.5),
        "least": {"golf_swing": -3.0, "forward_lunge": -2.0},
    }
    (tmp_path / "ranking.json").write_text(json.dumps(own), "utf-8")
    assert Ranking.load(tmp_path) == Ranking(own["weights"], own["least"])
    assert [Ranking.load(tmp_path).limit(a) for a in ("golf_swing", "squat")] == [-3.0, -2.0]


WITHOUT_LIMIT = json.dumps({"weights": dict.fromkeys(FEATURES, 0.5), "least": {}})


@pytest.mark.parametrize("text", ["", "[]", '{"weights": {}, "least": 1}', WITHOUT_LIMIT])
def test_a_damaged_ranking_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "ranking.json").write_text(text, "utf-8")
    with pytest.raises(PoiseError, match="is damaged"):
        Ranking.load(tmp_path)


def motion(times: np.ndarray) -> np.ndarray:
    """A body that bows and raises an arm, [len(times), 17, 3]."""
    joints = np.repeat(REST_POSE[None], len(times), 0)
    joints[:, 9, 2] += 0.6 * np.sin(times * 2)
    joints[:, :9, 0] += 0.3 * np.cos(times * 3)[:, None]
    return joints.astype(np.float32)


def demonstration(joints: np.ndarray, fps: float) -> Demonstration:
    return Demonstration(
        "x", "bodyweight_squat", 0.0, 2.0, "Late Expert", (), joints, fps, np.zeros((10, 4)), 0.0
    )


def learner(joints: np.ndarray, fps: float = 30.0) -> PoseSequence:
    return PoseSequence(joints, np.ones(joints.shape[:2], np.float32), fps, world=False)


def mean_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean() * 1000)


def test_the_learners_own_motion_is_shown_as_it_is() -> None:
    joints = motion(np.arange(60) / 30)
    shown = aligned_demonstration(demonstration(joints, 30.0), learner(joints))
    assert shown.joints == pytest.approx(joints, abs=1e-6)
    assert (shown.fps, shown.world, len(shown)) == (30.0, False, 60)


def test_a_copy_warped_in_time_is_brought_into_step() -> None:
    mine = learner(motion(np.arange(60) / 30))
    clock = np.arange(360) / 180
    warped = clock + 0.15 * np.sin(clock * np.pi)  # faster first, slower then
    copy = demonstration(motion(warped), 180.0)
    shown = aligned_demonstration(copy, mine)
    before = mean_distance(copy.pose().resample(30.0).joints, mine.joints)
    after = mean_distance(shown.joints, mine.joints)
    assert before > 30
    assert after < 6
    assert len(shown) == len(mine)


def test_a_demonstration_of_another_rate_and_length_follows_the_learner() -> None:
    mine = learner(motion(np.arange(40) / 20), 20.0)
    shown = aligned_demonstration(demonstration(motion(np.arange(30) / 15), 15.0), mine)
    assert (len(shown), shown.fps) == (40, 20.0)
    assert mean_distance(shown.joints, mine.joints) < 2
