"""The stage `look_closer` on small files in the official format, and the tables made of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assistant.cli import main
from assistant.dataset import write_samples
from assistant.errors import PoiseError
from assistant.proficiency.aspects import EXPERT_LIKE, NOVICE_LIKE, UNKNOWN
from eval.controls_report import summary
from eval.proficiency_controls import evaluate, read_runs
from training.look_closer_settings import LookCloserStageSettings
from training.proficiency.look_closer import IGNORE
from training.proficiency.recorded_takes import action_type, exo_view, recorded_takes

COLUMNS, RATE, SECONDS = 10, 6.0, 8


def write_take(folder: Path, i: int, split: str) -> list[dict[str, Any]]:
    """The row of a take and of one labelled comment; expert takes move more in some columns."""
    rng, level, uid = np.random.default_rng(i), i % 4, f"uid{i:03d}"
    features: dict[str, str] = {}
    for view, camera in (("ego", "aria01_rgb"), ("exo1", "cam01_0"), ("exo2", "cam02_0")):
        if (view == "ego" and i % 7 == 3) or (view == "exo2" and i % 2):
            continue
        rows = rng.normal(size=(round(SECONDS * RATE), 1, COLUMNS))
        rows[..., : COLUMNS // 2] *= 1 + level
        path = f"features/maws_clip_2b/{uid}_{camera}.pt"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.from_numpy(rows).half(), folder / path)
        features[view] = path
    base = {
        "take_id": uid, "participant_id": f"{split}{i // 2}", "split": split, "level": level,
        "activity": ("soccer", "cooking")[(i // 4) % 2], "best_exo": "exo2",
        "features": {"maws_clip_2b": features}, "span": [0.0, float(SECONDS)],
    }  # fmt: skip
    whole = base | {
        "sample_id": uid,
        "gaze": rng.normal(0, 5, (SECONDS * 30, 2)).astype(np.float32) if i % 5 else None,
        "atomic_actions": [{"t": t, "action": f"C {verb} it."}
                           for t, verb in ((2.0, "kicks"), (5.0, "catches"), (6.0, "kicks"))],
    }  # fmt: skip
    comment = base | {
        "sample_id": f"{uid}_e1_000", "commentary_raw": "well",
        "regions": {"head": 1 if level >= 2 else 0, "hands": 2},
    }  # fmt: skip
    return [whole, comment]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = tmp_path_factory.mktemp("download")
    folder = tmp_path_factory.mktemp("datasets") / "labelled"
    rows = [row for i in range(32) for row in write_take(files, i, "train")]
    rows += [row for i in range(40, 56) for row in write_take(files, i, "validation")]
    write_samples(rows, folder)
    (files / "features").rename(folder / "features")
    return folder


def test_official_features_gaze_and_labels_are_read(dataset: Path) -> None:
    found, activities = recorded_takes(dataset, "maws_clip_2b", RATE, 16)
    assert activities == ("cooking", "soccer")
    assert {split: len(takes) for split, takes in found.items()} == {"train": 32, "validation": 16}
    take = found["train"][2]
    assert (take.name, take.activity, take.clip.activity) == ("uid002", "soccer", 1)
    assert (take.clip.level, take.clip.participant) == (2, "train1")
    assert take.clip.aspects.tolist() == [EXPERT_LIKE, UNKNOWN, UNKNOWN, UNKNOWN]
    assert found["train"][1].clip.aspects[0] == NOVICE_LIKE
    assert {m: x.shape for m, x in take.clip.streams.items()} == {
        "ego": (16, COLUMNS), "exo": (16, COLUMNS), "gaze": (SECONDS * 5, 2),
    }  # fmt: skip
    kick, caught = ("soccer", "kick"), ("soccer", "catch")
    assert take.windows["ego"].buckets == (kick, caught, kick)
    rows = torch.load(dataset / "features/maws_clip_2b/uid002_cam02_0.pt", weights_only=True)
    inside = rows.float().reshape(-1, COLUMNS).numpy()[6:19]  # 1 s to 3 s at 6 rows a second
    assert take.windows["exo"].annotated[0] == pytest.approx(inside.std(axis=0), rel=1e-4)
    assert set(found["train"][3].windows) == {"exo"}  # no ego file
    assert "gaze" not in found["train"][5].clip.streams
    with pytest.raises(PoiseError, match="features/omnivore_video"):
        recorded_takes(dataset, "omnivore_video", RATE, 16)


def test_a_take_without_labelled_comments_has_no_aspects(tmp_path: Path) -> None:
    [whole, _] = write_take(tmp_path / "d", 0, "train")
    (tmp_path / "d" / "features").rename(tmp_path / "features")
    (tmp_path / "d").rmdir()
    write_samples([whole], tmp_path / "d")
    (tmp_path / "features").rename(tmp_path / "d" / "features")
    found, _ = recorded_takes(tmp_path / "d", "maws_clip_2b", RATE, 4)
    assert found["train"][0].clip.aspects.tolist() == [IGNORE] * 4


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("C shoots the ball.", "shoot"),
        ("#C C passes the ball", "pass"),
        ("The player catches it", "catch"),
        ("C carries a bowl", "carry"),
        ("", "unnamed"),
    ],
)
def test_the_action_type_is_the_verb(text: str, verb: str) -> None:
    assert action_type(text) == verb


def test_the_best_exo_view_counts_if_it_has_features() -> None:
    row = {"best_exo": "exo3", "features": {"k": {"ego": "a", "exo2": "b", "exo4": "c"}}}
    assert exo_view(row, "k") == "exo2"
    assert exo_view(row | {"best_exo": "exo4"}, "k") == "exo4"
    assert exo_view(row | {"features": {"k": {"ego": "a"}}}, "k") is None


def train(dataset: Path, run: Path, *more: str) -> int:
    small = ["width=16", "heads=2", "layers=1", "feedforward=16", "epochs=1", "fewest_windows=2",
             f"feature_rate={RATE}"]  # fmt: skip
    overrides = [f"look_closer.{item}" for item in (*small, f"dataset={dataset}", *more)]
    return main(["train", "look_closer", "--stage", "look_closer", "threads=1", *overrides,
                 "-o", str(run)])  # fmt: skip


def test_the_whole_path_from_official_files_to_tables(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(dataset, run, "variants=[full]", "seeds=2") == 0
    said = capsys.readouterr().err
    assert "(the paper's network 5.58 M)" in said and "32 takes train, 0 calibrate, 16 test" in said
    results = run / "work" / "look_closer"
    assert sorted(p.name for p in results.glob("*.json")) == ["full_0.json", "full_1.json"]
    full = json.loads((results / "full_0.json").read_text())
    assert full["modalities"] == ["ego", "exo", "gaze"] and full["paper_parameters"] == 5_580_000
    p = {head: np.array(rows) for head, rows in full["probabilities"].items()}
    assert {"base", "multinomial", "coral/annotated", "coral/proposals", "coral/shuffled_labels",
            "coral/random_prototypes", "coral/activity_average", "coral/no_margin",
            "exchanged_inputs", "nearest_neighbour"} <= set(p)  # fmt: skip
    assert all(x.shape == (16, 4) and np.allclose(x.sum(1), 1, atol=1e-3) for x in p.values())
    assert not np.allclose(p["coral/annotated"], p["coral/no_margin"])

    result = evaluate(read_runs(results), draws=20)
    assert (result["n"], result["seeds"], result["performers"]) == (16, [0, 1], 8)
    row = result["ladder"]["6 + PDM + CORAL (full)"]
    assert row["accuracy"]["low"] <= row["accuracy"]["value"] <= row["accuracy"]["high"]
    assert row["against"]["row"].startswith("5") and result["ladder"]["2 + gaze"] is None
    text = summary({"look_closer": result, "sparse_skill": {}, "settings": []})
    assert "not run" in text and "majority" in text and "0.542" in text

    # A second call goes on where the first stopped; other settings need another folder.
    before = (results / "full_0.json").stat().st_mtime_ns
    assert train(dataset, run, "variants=[full]", "seeds=2") == 0
    assert "full, seed 1: done before" in capsys.readouterr().err
    assert (results / "full_0.json").stat().st_mtime_ns == before
    assert train(dataset, run, "variants=[full]", "learning_rate=0.001") == 1
    assert "is of other settings" in capsys.readouterr().err
    assert train(dataset, tmp_path / "pose", "variants=[with_pose]") == 1
    assert "no take with pose" in capsys.readouterr().err


def test_wrong_settings_are_named_together() -> None:
    with pytest.raises(PoiseError) as caught:
        LookCloserStageSettings(variants=("half",), epochs=0, c=0.0, test_seed=8101)
    for part in ("'half', expected video", "epochs 0", "c 0.0", "test_seed 8101"):
        assert part in str(caught.value)


@pytest.mark.slow
def test_simulated_pools_share_no_performer_and_are_kept(tmp_path: Path) -> None:
    from training.look_closer_data import simulated_pools

    settings = LookCloserStageSettings(
        train_performers=2, calibration_performers=1, test_performers=1, clips_per_performer=2,
        seconds=2.0,
    )  # fmt: skip
    activities = ("bodyweight_squat", "basketball_free_throw")
    said: list[str] = []
    pools = [simulated_pools(settings, activities, tmp_path, said.append) for _ in range(2)]
    assert len(said) == 3  # the second call films nobody
    people = [{t.clip.participant for t in some} for some in
              (pools[0].train, pools[0].calibration, pools[0].test)]  # fmt: skip
    assert len(set.union(*people)) == sum(map(len, people)) == 4
    for take in pools[1].test:
        assert take.clip.streams["ego"].shape[0] == 16
        assert take.clip.streams["gaze"].shape == (10, 2)
        assert set(take.windows) == {"ego", "exo", "pose"}
