"""Pairs on what the Ego-Exo4D reader writes: comments, their takes' poses, links to films."""

from pathlib import Path

import pytest

from assistant.dataset import read_info, read_samples, write_samples
from assistant.progress import progress_bar
from data_prep.egoexo4d.convert import convert
from data_prep.egoexo4d.layout import Layout
from data_prep.egoexo4d.miniature import write_miniature
from data_prep.egoexo4d.rows import Window
from data_prep.pairing.run import finished_dataset, pair_dataset, write_results
from data_prep.pairing.store import PairStore
from data_prep.paths import moved_paths
from prompts.vocabulary import REGIONS


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature with regions in its comments, all takes with a pose of one task and split."""
    home = tmp_path_factory.mktemp("pairs")
    tree = write_miniature(home / "tree")
    convert(Layout(tree), home / "read", "all", [], Window(), lambda done, total: None)
    samples = read_samples(home / "read")
    posed = {s["take_id"] for s in samples if s["pose"] is not None}
    for sample in samples:
        sample["split"], sample["activity"], sample["action"] = "train", "basketball", "layup"
        sample["participant_id"] = sample["take_id"]
        if sample["commentary_raw"] is not None:
            polarity = 0 if sample["level"] < 2 else 1
            sample["regions"] = dict.fromkeys(REGIONS, 2) | {"hands": polarity}
    kept = [s for s in samples if s["take_id"] in posed]
    write_samples(kept, home / "data")
    (home / "data" / "source").symlink_to(tree)
    return home / "data"


def test_windows_reach_over_the_pause(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = pair_dataset(labelled, out, lambda: progress_bar("pairing"))
    records = {s["sample_id"]: s for s in read_samples(out / "dataset")}
    with PairStore(out) as store:
        pairs = store.pairs()
    learners = {s for s, r in records.items() if r["regions"] and r["regions"]["hands"] == 0}
    assert {p.learner for p in pairs} == learners and len(learners) >= 6
    assert told["without_pair"] == {}
    for pair in pairs:
        learner, expert = records[pair.learner], records[pair.expert]
        assert pair.learner_time == pytest.approx(learner["span"][1], abs=1e-5)  # the pause
        assert pair.expert_time == pytest.approx(expert["span"][1], abs=1e-5)
        take = records[expert["take_id"]]
        assert pair.expert_start < pair.expert_time
        assert pair.expert_end > pair.expert_time or pair.expert_end > take["span"][1] - 0.05
        assert pair.activity == "basketball, layup"
        if pair.rank == 0:
            assert learner["demonstration"]["take_id"] == pair.expert_take == expert["take_id"]


def test_films_and_features_are_still_found(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pair_dataset(labelled, out, lambda: progress_bar("pairing"))
    folder = out / "dataset"
    films = [path for s in read_samples(folder) for path in (s["views"] or {}).values()]
    assert films and all((folder / film).is_file() for film in films)
    before = {s["sample_id"]: s["features"] for s in read_samples(labelled)}
    assert {s["sample_id"]: s["features"] for s in read_samples(folder)} == before
    assert any(before.values())

    # A labelled dataset has its films elsewhere; taking over decisions leaves them where they are.
    samples = [moved_paths(s, labelled, tmp_path / "elsewhere") for s in read_samples(labelled)]
    write_samples(samples, tmp_path / "elsewhere")
    pair_dataset(tmp_path / "elsewhere", tmp_path / "more", lambda: progress_bar("pairing"))
    for _ in range(2):
        moved = read_samples(tmp_path / "more" / "dataset")
        views = [path for s in moved for path in (s["views"] or {}).values()]
        kept = [path for s in moved for kind in s["features"].values() for path in kind.values()]
        assert len(views) == len(films)
        assert all((tmp_path / "more" / "dataset" / path).is_file() for path in [*views, *kept])
        with PairStore(tmp_path / "more") as store:
            write_results(store, finished_dataset(tmp_path / "more"), tmp_path / "more")
    assert read_info(folder)["rows"] == len(before)
    assert "demonstration" in (folder / "README.md").read_text()
