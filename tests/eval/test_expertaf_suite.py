"""`poise eval expertaf`: the shipped model on mined pairs, and what is counted of its answers."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.cli import main
from assistant.clip import PoseSequence
from assistant.dataset import write_samples
from assistant.errors import PoiseError
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.normalise import rotate_yaw
from data_prep.drills.dataset import to_sample
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from data_prep.pairing.run import pair_dataset
from eval import expertaf_scores as es
from eval.pairs import PairTable
from eval.suite_tables import expertaf_tables
from prompts.vocabulary import REGIONS

LEGS = {polarity: dict.fromkeys(REGIONS, 2) | {"legs": polarity} for polarity in (0, 1)}


def squat(name: str, level: int, seed: int, activity: str = "bodyweight_squat") -> dict[str, Any]:
    """One repetition by its own performer, whose legs are at fault or praised by the level."""
    rng = np.random.default_rng(seed)
    known = activity == "bodyweight_squat"
    drill = simulate(
        activity, level if known else None, sample_performer(rng, "test", f"p-{name}"), rng,
        repetitions=1 if known else None, sample_id=name,
    )  # fmt: skip
    sample = to_sample(drill, (15.0, "slow"), "made by a test", complete=True)
    return sample | {
        "split": "test", "level": level, "activity": "bodyweight_squat", "action": "squat",
        "regions": LEGS[int(level >= 2)], "calibration": None,
    }  # fmt: skip


def comment(sample: dict[str, Any], start: float, end: float) -> dict[str, Any]:
    """What an expert said of a take at the end of some of its seconds, as of Ego-Exo4D."""
    pose: PoseSequence = sample["pose"].crop(start, end)
    return sample | {
        "sample_id": f"{sample['sample_id']}_x_000", "span": [start, end], "pose": pose,
        "commentary_raw": "The hips should go lower.", "summary": None,
        "moments": [{"start": 0.0, "end": end - start}],
    } | dict.fromkeys(("pose_clean", "twin", "gaze", "steps", "repetitions", "faults"))  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test: a drill, a comment on a take, one with a broken film, one of another activity; and a
    pair to learn from."""
    take = squat("take", 1, 2) | {"regions": None, "take_id": "take"}
    samples = [
        squat("drill", 0, 1),
        take,
        comment(take | {"regions": LEGS[0]}, 0.5, take["pose"].duration - 1.5),
        squat("broken", 0, 3) | {"views": {"exo1": "broken.mp4"}},
        squat("waves", 0, 4, activity="wave") | {"summary": None, "commentary_raw": None},
        squat("expert", 3, 5),
        squat("other", 3, 6),
        squat("learnt", 0, 7) | {"split": "train"},
        squat("teacher", 3, 8) | {"split": "train"},
    ]
    home = tmp_path_factory.mktemp("expertaf")
    write_samples(samples, home / "data")
    (home / "data" / "broken.mp4").write_bytes(b"no film")
    pair_dataset(home / "data", home / "pairs", lambda: nullcontext(lambda done, total: None))
    return home / "pairs"


def test_the_shipped_model_is_measured_beside_every_floor(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    assert main(["eval", "expertaf", str(pairs), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["counts"] == {"asked": 4, "done": 3, "judged": 2, "failed": 1}
    assert [f["id"] for f in result["failures"]] == ["broken"]
    assert result["not_judged"] == ["waves"] and result["without_reference"] == ["waves"]
    assert result["inputs_used"] == {"pose": 3}  # nothing of the expert
    rows = {row["id"]: row for row in result["samples"]}
    assert set(rows) == {"drill", "take_x_000", "broken", "waves"}
    assert rows["take_x_000"]["reference"] == "The hips should go lower."
    assert rows["drill"]["commentary"] and not rows["broken"]["commentary"]
    for key in ("bertscore_f1", "meteor", "rouge_l", "bleu4", "cider"):
        assert result[key] > 0 and result[f"{key}_shuffled"] is not None
        assert result[f"{key}_nearest_neighbour"] is not None
    assert result["text_n"] == 3 and rows["broken"]["scores"]["rouge_l"] == 0
    ranks = result["retrieval"]
    size = ranks["candidates"]
    assert size == len({row["demonstration"] for row in result["samples"]}) and ranks["n"] == 4
    assert ranks["orders"]["chance"] == {
        "recall_at_1": 1 / size, "recall_at_10": 1.0, "recall_at_50": 1.0,
        "median_rank": (size + 1) / 2,
    }  # fmt: skip
    assert rows["broken"]["scores"]["rank"] == rows["waves"]["scores"]["rank"] == size
    nearest = ranks["orders"]["nearest_neighbour"]  # of all four learners, answered or not
    assert nearest["median_rank"] < size
    poses = result["correction"]
    assert poses["n"] == 2 and poses["experts_from"] == "train"
    assert set(poses["motions"]) == {
        "correction", "copy_learner", "retrieved_expert", "nearest_expert", "mean_expert", "codec",
        "shuffled",
    }  # fmt: skip
    assert poses["motions"]["codec"]["pa_mpjpe"] < poses["motions"]["copy_learner"]["pa_mpjpe"]
    assert rows["broken"]["scores"]["pa_mpjpe"] is None
    assert {"model_sha256", "prompt_sha256", "pairs_sha256"} <= set(result["provenance"])
    for said in ("failed: broken", "floor: chance", "floor: the learner, copied", "shuffled"):
        assert said in printed
    del poses["motions"]["nearest_expert"]  # as where there is no other expert
    (row,) = [line for line in expertaf_tables(result).splitlines() if "nearest expert" in line]
    assert row.count("not run") == 2
    assert main(["eval", "compare", str(out), str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["rank"]["tests"][0]["difference"] == 0


def test_the_learner_is_copied_from_the_paired_window_and_the_whole_comment_is_seen(
    pairs: Path,
) -> None:
    table = PairTable(pairs)
    found = {pair.sample_id: pair for pair in table.of("test")}
    drill, said = found["drill"], found["take_x_000"]
    mined = pa_mpjpe(table.frames(drill.expert), table.frames(drill.learner)).mean()
    assert mined == pytest.approx(drill.pa_mpjpe_mm, rel=0.15)  # at 5 frames a second of 30
    # The comment ends at the pause; its window reaches a second further, into the take's own row.
    pause = said.cut.end - 1.0
    assert said.cut.start == pytest.approx(0.5) and said.cut.window == pytest.approx(pause - 1.0)
    assert table.of("train")[0].expert.take == "teacher"
    with pytest.raises(PoiseError, match=r"no pair in split val.*test, train"):
        table.chosen("val")
    with pytest.raises(PoiseError, match="cannot read table of pairs"):
        PairTable(pairs / "dataset")


def ranks(*order: int) -> es.Ranks:
    return {name: np.array(order, dtype=np.int32) for name in es.ORDERS}


def test_ranks_count_misses_as_last_and_chance_is_that_of_the_candidates() -> None:
    answers = [ranks(1, 2, 3, 4), ranks(4, 3, 2, 1), None]
    people, sport = ["a", "b", "c"], ["kick"] * 3
    near = np.tile(np.arange(100.0), (3, 1))
    values, samples = es.score_ranks(answers, near, [0, 0, 1], people, sport, seed=0)
    assert [row["rank"] for row in samples] == [1, 4, 100]
    found = values["orders"]["likelihood"]
    assert found["recall_at_1"] == pytest.approx(1 / 3) and found["median_rank"] == 4
    assert found["recall_at_50"] == pytest.approx(2 / 3)
    low, high = found["intervals"]["recall_at_50"]
    assert low < 2 / 3 < high
    assert values["orders"]["chance"]["recall_at_50"] == 0.5
    assert values["orders"]["chance"]["median_rank"] == 50.5
    assert values["answered"] == 2


def test_a_model_that_abstains_does_not_lower_the_floor() -> None:
    near = np.array([[1.0, 5.0, 3.0, 9.0], [2.0, 2.0, 8.0, 1.0], [7.0, 6.0, 5.0, 4.0]])
    gold, people = [0, 1, 3], ["a", "b", "c"]
    answered: list[es.Ranks | None] = [ranks(1, 2, 3, 4)] * 3
    full, none = (
        es.score_ranks(given, near, gold, people, ["kick"] * 3, seed=0)[0]["orders"]
        for given in (answered, [None] * 3)
    )
    assert full["nearest_neighbour"] == none["nearest_neighbour"]
    assert full["nearest_neighbour"]["recall_at_1"] == pytest.approx(2 / 3)  # ties count against
    assert full["nearest_neighbour"]["median_rank"] == 1
    assert none["likelihood"]["median_rank"] == 4


def test_a_correction_that_reaches_the_expert_is_told_from_its_floors() -> None:
    rng = np.random.default_rng(0)
    goals = rng.normal(0, 0.3, (2, 10, 17, 3))
    learner = goals + rng.normal(0, 0.1, goals.shape)
    motions: list[es.Motions | None] = [
        {"goal": goal, "correction": 1.1 * rotate_yaw(goal, 0.7) + [1, 2, 3], "copy_learner": mine}
        for goal, mine in zip(goals, learner, strict=True)
    ]
    values, samples = es.score_motions([*motions, None], ["a", "b", "c"], ["kick"] * 3, seed=0)
    found = values["motions"]
    assert values["n"] == 2 and samples[2] == {"pa_mpjpe": None, "mpjpe": None}
    assert found["correction"]["pa_mpjpe"] == pytest.approx(0, abs=1e-6)
    own = np.linalg.norm(es.centred(goals), axis=-1).mean() * 100  # a tenth of the size, in mm
    assert found["correction"]["mpjpe"] == pytest.approx(own, rel=1e-6)
    assert found["copy_learner"]["pa_mpjpe"] > 50 and found["shuffled"]["pa_mpjpe"] > 50
    test = values["tests"]["pa_mpjpe, correction - copy_learner"]
    assert test["difference"] == pytest.approx(-found["copy_learner"]["pa_mpjpe"], abs=1e-6)


def test_ties_count_against_a_candidate() -> None:
    from types import SimpleNamespace as Of

    values = {"a": 1.0, "b": 2.0, "c": 2.0}
    keys = [key for key, _ in es.ORDERS.values()]
    ranked: Any = [
        Of(demonstration=Of(demonstration_id=name), **dict.fromkeys(keys, value))
        for name, value in values.items()
    ]
    found = es.ranks_of(ranked, ["c", "a", "b"])
    assert found["likelihood"].tolist() == [2, 3, 2]
    assert found["nearest_to_correction"].tolist() == [3, 1, 3]


def test_a_rejected_pair_is_left_out(pairs: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "dataset").symlink_to(pairs / "dataset")
    found = pq.read_table(pairs / "pairs.parquet").to_pylist()
    for pair in found:
        pair["status"] = "rejected" if pair["learner"] == "drill" else "accepted"
    pq.write_table(pa.Table.from_pylist(found), tmp_path / "pairs.parquet")
    table = PairTable(tmp_path)
    assert "drill" not in {pair.sample_id for pair in table.of("test")}
    assert set(table.statuses) == {"accepted", "rejected"}
    assert table.sha256 != PairTable(pairs).sha256
    for pair in found:
        pair["learner"] = "nobody"
    pq.write_table(pa.Table.from_pylist(found[-1:]), tmp_path / "pairs.parquet")
    with pytest.raises(PoiseError, match="without the learner"):
        PairTable(tmp_path)
