"""Stage 2 on made-up takes: planted dynamics are found, controls lose them, nothing leaks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.proficiency.look_closer import LookCloser, LookCloserConfig
from assistant.proficiency.streams import Stream
from training.proficiency.look_closer import StreamClip
from training.proficiency.second_stage import (
    ACTIVITY,
    ANNOTATED,
    CONTROLS,
    NONE,
    PROPOSALS,
    RANDOM,
    SHUFFLED,
    FirstStage,
    calibrated,
    exchanged,
    fit_banks,
    nearest_neighbour,
    unseen_evidence,
)
from training.proficiency.takes import (
    TakeFeatures,
    Windows,
    cached_takes,
    evenly,
    load_takes,
    save_takes,
    windows_of,
)

ACTIVITIES = ("kick", "throw")
ACTIONS = ("begin", "finish")
COLUMNS = 12


def made_up(people: int, seed: int, first: int = 0) -> list[TakeFeatures]:
    """Four takes each, one of every level; in every bucket a column of its own moves more in high
    levels, and one less."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(4 * people):
        level, activity = i % 4, (i // 4) % 2
        z, buckets = [], []
        for k in (0, 1, 0, 1):
            row = 1 + 0.05 * rng.random(COLUMNS)
            place = 2 * (2 * activity + k)
            row[place : place + 2] += (0.5, 0.0) if level >= 2 else (0.0, 0.5)
            z.append(row)
            buckets.append((ACTIVITIES[activity], ACTIONS[k]))
        windows = Windows(np.array(z, np.float32), tuple(buckets), np.array(z[:2], np.float32))
        streams = {"ego": rng.normal(size=(3, 4)).astype(np.float32) + level,
                   "exo": rng.normal(size=(3, 4)).astype(np.float32)}  # fmt: skip
        clip = StreamClip(
            streams, activity, level, f"p{first + i // 4:03d}", np.array([0, 1, 2, 1])
        )
        found.append(
            TakeFeatures(f"t{first}-{i}", ACTIVITIES[activity], clip,
                         {"ego": windows, "exo": windows} if i % 5 else {"ego": windows})
        )  # fmt: skip
    return found


TRAIN, OTHERS = made_up(20, 0), made_up(20, 1, first=100)


def first_stage(takes: list[TakeFeatures]) -> FirstStage:
    """Real banks beside a network that was not trained."""
    config = LookCloserConfig({"ego": 4, "exo": 4}, 2, width=8, heads=2, feedforward=8)
    return FirstStage(LookCloser(config).eval(), fit_banks(takes, ("ego", "exo"), 0, seed=1))


def gap(margins: list, takes: list[TakeFeatures]) -> float:
    """Mean margin of high levels minus that of low ones."""
    values = np.array([m["ego"] for m in margins])
    high = np.array([t.clip.level >= 2 for t in takes])
    return float(values[high].mean() - values[~high].mean())


def test_planted_dynamics_are_found_and_lost_where_labels_are_shuffled() -> None:
    evidence = first_stage(TRAIN).evidence(OTHERS)
    found = gap(evidence.margins[ANNOTATED], OTHERS)
    assert found > 0.02
    assert gap(evidence.margins[PROPOSALS], OTHERS) > found / 4
    assert abs(gap(evidence.margins[SHUFFLED], OTHERS)) < found / 2
    assert all(m == {} for m in evidence.margins[NONE])
    assert set(evidence.margins) == set(CONTROLS)
    assert evidence.margins[ANNOTATED][0]["exo"] is None  # the take has no such stream


def test_every_control_has_the_prototypes_that_its_name_says() -> None:
    banks = fit_banks(TRAIN, ("ego",), 0, seed=1)
    bank = banks[ANNOTATED]["ego"]
    assert banks[PROPOSALS]["ego"] is bank and banks[NONE] == {}
    assert banks[RANDOM]["ego"].buckets == bank.buckets
    assert not np.allclose(banks[RANDOM]["ego"].high, bank.high)
    shuffled = banks[SHUFFLED]["ego"]
    assert shuffled.counts.sum() == bank.counts.sum() and not np.allclose(shuffled.high, bank.high)
    assert [b[0] for b in banks[ACTIVITY]["ego"].buckets] == list(ACTIVITIES)
    take = TRAIN[0]
    margins = FirstStage(first_stage(TRAIN).net, banks).evidence([take]).margins
    windows = take.windows["ego"]
    assert margins[PROPOSALS][0]["ego"] == bank.annotation_free(windows.proposals, "kick")
    whole = banks[ACTIVITY]["ego"].window_margins(windows.annotated, "kick").mean()
    assert margins[ACTIVITY][0]["ego"] == pytest.approx(whole)


def test_out_of_fold_evidence_does_not_know_the_own_label() -> None:
    mine = [i for i, t in enumerate(TRAIN) if t.clip.participant == "p003"]
    turned = [
        replace(t, clip=replace(t.clip, level=3 - t.clip.level)) if i in mine else t
        for i, t in enumerate(TRAIN)
    ]
    found = [unseen_evidence(some, [], first_stage, first_stage(some)) for some in (TRAIN, turned)]
    by_name = [
        dict(zip([t.name for t in e.takes], e.margins[ANNOTATED], strict=True)) for e in found
    ]
    assert sorted(by_name[0]) == sorted(t.name for t in TRAIN)
    for i in mine:
        assert by_name[0][TRAIN[i].name] == by_name[1][TRAIN[i].name]
    assert any(by_name[0][name] != by_name[1][name] for name in by_name[0])


def test_calibration_takes_are_used_where_there_are_any() -> None:
    whole = first_stage(TRAIN)
    evidence = unseen_evidence(TRAIN, OTHERS, first_stage, whole)
    assert evidence.takes == OTHERS
    test = made_up(8, 2, first=200)
    ordinal, multinomial = calibrated(evidence, whole.evidence(test), ANNOTATED, c=1.0)
    for p in (ordinal, multinomial):
        assert p.shape == (32, 4) and (p >= 0).all() and p.sum(1) == pytest.approx(np.ones(32))
        upper = p[:, 2:].sum(1) > 0.5
        assert (upper == [t.clip.level >= 2 for t in test]).mean() > 0.9
    without, _ = calibrated(evidence, whole.evidence(test), NONE, c=1.0)
    assert not np.allclose(without, ordinal)


def test_the_nearest_neighbour_is_of_the_same_activity() -> None:
    same = nearest_neighbour(TRAIN, TRAIN, ("ego", "exo"))
    assert same.argmax(1).tolist() == [t.clip.level for t in TRAIN]
    moved = [replace(t, activity="throw") for t in TRAIN if t.activity == "kick"]
    throws = [t for t in TRAIN if t.activity == "throw"]
    answer = nearest_neighbour(TRAIN, moved[:1], ("ego",))
    pooled = np.array([t.clip.streams["ego"].mean(0) for t in TRAIN])
    asked = moved[0].clip.streams["ego"].mean(0)
    far = [(((t.clip.streams["ego"].mean(0) - asked) / pooled.std(0)) ** 2).sum() for t in throws]
    assert answer[0, throws[int(np.argmin(far))].clip.level] == 1


def test_exchanged_takes_have_the_inputs_of_another_of_their_activity() -> None:
    for take, other in zip(TRAIN, exchanged(TRAIN, 5), strict=True):
        assert (other.name, other.clip.level) == (take.name, take.clip.level)
        source = next(t for t in TRAIN if t.windows is other.windows)
        assert source.name != take.name and source.activity == take.activity
        assert other.clip.streams is source.clip.streams


def test_takes_are_kept_without_pickle_and_made_once(tmp_path: Path) -> None:
    save_takes(tmp_path / "takes.npz", TRAIN)
    for one, two in zip(load_takes(tmp_path / "takes.npz"), TRAIN, strict=True):
        assert (one.name, one.activity, one.clip.level) == (two.name, two.activity, two.clip.level)
        assert one.clip.participant == two.clip.participant
        assert one.clip.aspects.tolist() == two.clip.aspects.tolist()
        assert {m: x.tolist() for m, x in one.clip.streams.items()} == {
            m: x.tolist() for m, x in two.clip.streams.items()
        }
        assert set(one.windows) == set(two.windows)
        for stream, windows in two.windows.items():
            assert one.windows[stream].buckets == windows.buckets
            assert (one.windows[stream].annotated == windows.annotated).all()
            assert (one.windows[stream].proposals == windows.proposals).all()
    made = []

    def make() -> list[TakeFeatures]:
        made.append(1)
        return TRAIN[:2]

    for origin in ({"seed": 1}, {"seed": 1}, {"seed": 2}):
        assert len(cached_takes(tmp_path / "kept", "train", origin, make)) == 2
    assert len(made) == 2 and len(list((tmp_path / "kept").iterdir())) == 2


def test_windows_lie_around_the_actions_that_the_stream_shows() -> None:
    frames = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    stream = Stream(frames, 10.0, start=2.0)
    found = windows_of(stream, "kick", [(1.0, "before"), (3.5, "begin"), (6.5, "late")])
    assert found.buckets == (("kick", "begin"),)
    assert found.annotated[0] == pytest.approx(frames[5:26].std(axis=0), rel=1e-5)
    assert found.proposals.shape == (3, 3)
    assert evenly(frames, 4).tolist() == frames[[5, 15, 25, 35]].tolist()
    assert evenly(frames[:3], 4).tolist() == frames[:3].tolist()
