"""Whole runs: which stages are done, and that a resumed run is the run that was begun."""

import pytest

from assistant.cli import main
from assistant.errors import PoiseError
from training import stages
from training.recipe import load_recipe
from training.resume import begin, done_stages, mark_done
from training.run import Run


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """Two stages that only note that they ran; the second one dies the first time."""
    names: list[str] = []

    def first(run: Run) -> None:
        names.append("first")

    def second(run: Run) -> None:
        names.append("second")
        if names.count("second") == 1:
            raise PoiseError("killed")

    monkeypatch.setattr(stages, "STAGES", {"first": first, "second": second})
    monkeypatch.setattr("training.record.training_record", lambda *given: {"stage_minutes": {}})
    return names


def test_a_resumed_run_leaves_out_what_is_done(made, tmp_path, capsys) -> None:
    arguments = ["train", "mini", "-o", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert main([*arguments, "--resume"]) == 0
    assert made == ["first", "second", "second"]
    assert main([*arguments, "--resume", "data.workers=1"]) == 0
    assert made == ["first", "second", "second"]
    assert main([*arguments]) == 0
    assert made[3:] == ["first", "second"]
    capsys.readouterr()


def test_a_stage_run_anew_makes_the_later_ones_due(made, tmp_path, capsys) -> None:
    arguments = ["train", "mini", "-o", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert main([*arguments, "--resume"]) == 0
    assert main([*arguments, "--stage", "first"]) == 0
    assert main([*arguments, "--resume"]) == 0
    assert made == ["first", "second", "second", "first", "second"]
    capsys.readouterr()


def test_other_settings_cannot_resume(made, tmp_path, capsys) -> None:
    arguments = ["train", "mini", "-o", str(tmp_path / "run")]
    main(arguments)
    capsys.readouterr()
    assert main([*arguments, "--resume", "language.steps=7", "seed=3"]) == 1
    said = capsys.readouterr().err
    assert "cannot resume with other settings" in said
    assert "language.steps=7 (begun with 1000); seed=3 (begun with 0)" in said
    assert main(["train", "mini", "-o", str(tmp_path / "other"), "--resume"]) == 1
    assert "nothing to resume" in capsys.readouterr().err


def test_a_stage_that_is_refused_harms_nothing(tmp_path, capsys, make_model) -> None:
    """Neither the conversations of the run nor its record are cleared before the refusal."""
    run = Run(load_recipe("mini"), tmp_path)
    begin(run, ("pretrain", "language"))
    mark_done(run, "language", 3.0)
    for part in ("language", "library"):
        (tmp_path / part).mkdir()
    make_model(projector="mlp").save_pretrained(tmp_path / "work" / "pretrained")
    kept = run.loop_folder("language") / "samples.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"conversations")

    def files() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    before = files()
    again = ["train", "mini", "-o", str(tmp_path), "--stage", "language", "seed=5"]
    assert main(again) == 1
    assert "the pretrained model is another one" in capsys.readouterr().err
    (tmp_path / "library").rmdir()
    assert main(again) == 1
    said = capsys.readouterr().err
    assert "cannot train the stage language" in said and "got: no library;" in said
    assert main([*again, "activity=bodyweight_squat"]) == 1
    assert "no library" in capsys.readouterr().err
    assert files() == before


def test_the_adapter_of_a_sport_stands_beside_the_run(tmp_path, capsys) -> None:
    run = Run(load_recipe("mini"), tmp_path)
    begin(run, ("pretrain", "language"))
    mark_done(run, "language", 3.0)
    sport = Run(load_recipe("mini", ["activity=bodyweight_squat"]), tmp_path)
    begin(sport, ("language_bodyweight_squat",))
    mark_done(sport, "language_bodyweight_squat", 1.0)
    assert done_stages(run) == {"language": 3.0, "language_bodyweight_squat": 1.0}
    begin(Run(load_recipe("mini"), tmp_path, resume=True), ("pretrain", "language"))
    assert main(["train", "mini", "activity=bodyweight_squat", "-o", str(tmp_path)]) == 1
    assert "expected: --stage language, over a finished run" in capsys.readouterr().err
    assert main(["train", "mini", "activity=swimming", "-o", str(tmp_path)]) == 1
    assert "activity is 'swimming', expected one of" in capsys.readouterr().err
