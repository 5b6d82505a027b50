"""Perceived clips kept on disk: the same bits, and only for what they were made from."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from assistant.model.processing_poise import ModelInputs
from assistant.tasks.window import WindowFrames, given_as_text
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.clip_store import (
    arrays_sha,
    clip_arrays,
    clips_of,
    code_sha,
    files_sha,
    kept,
    sha_of,
    video_arrays,
    videos_of,
)
from training.language_samples import PerceivedClip
from training.progress import Progress

PROGRESS = Progress("clips")


@pytest.fixture(scope="module")
def drills() -> list[Drill]:
    return simulate_many(2, 2, 3, split="train", distractor_share=0.0)


def clip(drill: Drill, seed: int) -> PerceivedClip:
    rng = np.random.default_rng(seed)

    def rows(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    start = float(rng.uniform(0, 3))
    window = WindowFrames(start, start + 2.0, rows(10, 17, 3), rows(10, 3), float(rng.normal()))
    return PerceivedClip(
        drill=drill,
        window=window,
        twin=rows(10, 17, 3),
        inputs=ModelInputs(
            video=rows(seed, 6) if seed else None,
            pose=rows(10, 7),
            score=rows(14),
            regions=rows(18),
            stage1=rows(7, 5),
            numbers="digits",
            pose_text=given_as_text(window, "text"),
        ),
        learner_codes=rng.integers(0, 16, (10, 3)),
        target_codes=rng.integers(0, 16, (10, 3)),
        gold=seed - 1,
        answer=f"told {seed}",
    )


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and np.array_equal(one, other)
        )
    if isinstance(one, WindowFrames | ModelInputs):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return type(one) is type(other) and one == other


def test_clips_come_back_bit_by_bit(drills: list[Drill], tmp_path: Path) -> None:
    clips = [replace(clip(drill, i), answer="") for i, drill in enumerate(drills)]
    path, videos = tmp_path / "clips.npz", tmp_path / "video.npz"
    rows = [each.inputs.video for each in clips]
    for _ in range(2):  # made, then read
        stored = kept(path, "one", lambda: clip_arrays(clips), PROGRESS)
        films = kept(videos, "one", lambda: video_arrays(rows), PROGRESS)
        found = clips_of(drills, stored, videos_of(films), "digits", "text")
        for each, again in zip(clips, found, strict=True):
            assert again.drill is each.drill
            for field in fields(PerceivedClip):
                if field.name != "drill":
                    one, other = getattr(each, field.name), getattr(again, field.name)
                    assert same(one, other), field.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.npz", "video.npz"]


def test_no_clip_with_video_is_no_clip_with_video() -> None:
    assert videos_of(video_arrays([None, None])) == [None, None]


def test_only_the_same_thing_is_read_again(tmp_path: Path, capsys) -> None:
    path, made = tmp_path / "clips.npz", []

    def make() -> dict[str, np.ndarray]:
        made.append(len(made))
        return {"rows": np.arange(3) + len(made)}

    def ask(identity: str) -> int:
        return int(kept(path, identity, make, PROGRESS)["rows"][0])

    assert [ask("one"), ask("one"), ask("two"), ask("one")] == [1, 1, 2, 3]
    assert "made again" in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:40])
    assert ask("one") == 4
    assert "damaged: made again" in capsys.readouterr().err
    path.write_bytes(b"")
    assert [ask("one"), ask("one")] == [5, 5]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "clips.npz"
    kept(path, "one", lambda: {"rows": np.arange(3)}, PROGRESS)

    def fail() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept(path, "two", fail, PROGRESS)
    assert kept(path, "one", fail, PROGRESS)["rows"].tolist() == [0, 1, 2]


def test_an_identity_tells_apart_what_differs(tmp_path: Path) -> None:
    assert sha_of("a", "bc") != sha_of("ab", "c")
    numbers = np.arange(4.0)
    assert arrays_sha([numbers]) == arrays_sha([numbers.copy()])
    others = [[numbers + 1e-9], [numbers.astype(np.float32)], [numbers.reshape(2, 2)], []]
    assert len({arrays_sha(each) for each in [[numbers], *others]}) == 5
    (tmp_path / "in").mkdir()
    before = files_sha(tmp_path)
    (tmp_path / "in" / "a.txt").write_text("one")
    first = files_sha(tmp_path)
    (tmp_path / "in" / "a.txt").rename(tmp_path / "in" / "b.txt")
    assert len({before, first, files_sha(tmp_path), files_sha(tmp_path, "*.py")}) == 3
    assert before == files_sha(tmp_path, "*.py") == files_sha(tmp_path / "missing")
    assert code_sha() == code_sha()
