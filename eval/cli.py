"""`poise eval`: suites that measure a model, every number beside its floors."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from assistant.files import check_writable
from eval.calibration_cli import calibration
from eval.dataset_suites_cli import egoexo4d_proficiency, expertaf, open_coach
from eval.dialogues_cli import chat_questions
from eval.humans_cli import app as humans
from eval.options import AsJson, EngineName, ModelFolder, Output
from eval.output import finish
from eval.paper_tables_cli import tables
from eval.proficiency_controls_cli import proficiency_controls
from eval.reproduce_cli import reproduce
from eval.score_cli import bertscore_baseline, compare, score
from eval.submit_cli import submit

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

Cache = Annotated[
    Path, typer.Option(help="Where the simulated sets lie or are made by `poise data drills`.")
]
Ranked = Annotated[
    int | None, typer.Option(help="Clips whose demonstrations are ranked, the slowest part.")
]
Seed = Annotated[int, typer.Option(help="Of shuffles, noise and intervals.")]


# Sets of another version are never taken for these.
SETS = Path("runs/mini-test-v2")


@app.callback()
def suites() -> None:
    """Measure a model, with its floors beside it."""


@app.command("mini-test")
def mini_test(
    model: ModelFolder = None,
    engine: EngineName = "transformers",
    cache: Cache = SETS,
    limit: Annotated[int | None, typer.Option(help="Clips of each set, balanced.")] = None,
    condition_limit: Annotated[
        int | None, typer.Option(help="Clips of each further condition and shuffle, balanced.")
    ] = None,
    ranked: Ranked = None,
    real_poses: Annotated[
        Path | None, typer.Option(help="Real poses on which the pose tokenizer is measured too.")
    ] = None,
    contrastive: Annotated[
        Path | None, typer.Option(help="Encoders of `--stage contrastive` that rank too.")
    ] = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """Levels, faults, corrections and retrieval on simulated performers that were never seen."""
    from eval.testset import CONDITIONS

    sets = {name: name for name in CONDITIONS}
    _measure("mini-test", sets, model, engine, cache, limit, condition_limit, ranked, real_poses,
             contrastive, as_json, output, seed)  # fmt: skip


@app.command("mini-test-shifted")
def mini_test_shifted(
    model: ModelFolder = None,
    engine: EngineName = "transformers",
    cache: Cache = SETS,
    limit: Annotated[int | None, typer.Option(help="Clips, balanced.")] = None,
    ranked: Ranked = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """The same on performers outside the training distribution, all figures and floors."""
    from eval.testset import STANDARD

    _measure("mini-test-shifted", {STANDARD: "shifted"}, model, engine, cache, limit, None, ranked,
             None, None, as_json, output, seed)  # fmt: skip


def _measure(
    name: str,
    sets_of: dict[str, str],
    model: Path | None,
    engine: str,
    cache: Path,
    limit: int | None,
    condition_limit: int | None,
    ranked: int | None,
    real_poses: Path | None,
    contrastive: Path | None,
    as_json: bool,
    output: Path | None,
    seed: int,
) -> None:
    """Run a suite of simulated clips; `sets_of` says which set plays which condition's part."""
    check_writable(output)
    from assistant.demos.contrastive import DualEncoder
    from assistant.progress import progress_bar
    from eval import mini_test as suite
    from eval import tables, testset
    from eval.real_poses import read_clips

    coach = open_coach(model, engine)
    throws = [] if real_poses is None else read_clips(real_poses, *HELD_OUT_THROWS)
    sets = {}
    for part, stored in sets_of.items():
        whole = testset.load(cache, stored, testset.CONDITIONS[stored])
        most = limit if part == testset.STANDARD or condition_limit is None else condition_limit
        sets[part] = replace(whole, clips=testset.balanced(whole.clips, most))
    trees = testset.load(cache, testset.TRAINING, testset.TRAINING_SET)
    with progress_bar(name) as progress:
        result = suite.evaluate(
            coach,
            sets,
            training=trees.clips,
            throws=throws,
            seed=seed,
            ranked=ranked,
            shuffled=condition_limit,
            contrastive=None if contrastive is None else DualEncoder.from_pretrained(contrastive),
            log=lambda text: print(text, file=sys.stderr),
            progress=progress,
        )
    result["suite"] = name
    result["sets"] = {stored: sets[part].info for part, stored in sets_of.items()}
    finish(result, as_json, output, tables.mini_test_table(result))
    if not as_json:
        print(tables.texts_table(result))
        print(tables.remarks_table(result))
        print(tables.closed_loop_table(result))
        print(tables.conditions_table(result, ("level_accuracy", "fault_micro_f1")))


@app.command("real-poses")
def real_poses(
    poses: Annotated[Path, typer.Argument(help="A folder of pose files, or an npz of many poses.")],
    activity: Annotated[str, typer.Option(help="What the poses show.")] = "basketball_free_throw",
    first: Annotated[int, typer.Option(help="First clip.")] = 20,
    last: Annotated[int, typer.Option(help="Last clip.")] = 59,
    model: ModelFolder = None,
    engine: EngineName = "transformers",
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """Are real poses recognised and answered, and are the answers stable when little moves?"""
    check_writable(output)
    from eval import tables
    from eval.real_poses import evaluate, read_clips
    from eval.variants import CoachVariant

    clips = read_clips(poses, first, last)
    coach = open_coach(model, engine, activity)
    quick = CoachVariant(coach, retrieve=False, correct=False)
    result = evaluate(coach, clips, activity, seed, quick=quick)
    finish(result, as_json, output, tables.real_poses_table(result))


@app.command("full-supervision")
def full_supervision(
    model: ModelFolder = None,
    cache: Cache = SETS,
    limit: Annotated[int | None, typer.Option(help="Clips, balanced.")] = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """What a given demonstration or commentary adds, beside the learner alone (ExpertAF)."""
    check_writable(output)
    from assistant.coach import Coach
    from eval import full_supervision as suite
    from eval import testset

    whole = testset.load(cache, testset.STANDARD, testset.CONDITIONS[testset.STANDARD])
    clips = testset.balanced(whole.clips, limit)
    coach = Coach.from_pretrained(model)
    result = suite.compare(coach, clips, seed=seed, log=lambda text: print(text, file=sys.stderr))
    result["provenance"] = coach.identity | {"set_sha256": whole.info["sha256"], "seed": seed}
    finish(result, as_json, output, suite.table(result))


@app.command("ranking")
def fit_ranking(
    model: ModelFolder = None,
    cache: Cache = SETS,
    limit: Annotated[int | None, typer.Option(help="Clips, balanced.")] = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """Fit how demonstrations are ranked, and when none is suitable, on validation performers."""
    check_writable(output)
    from dataclasses import asdict

    from assistant.coach import Coach
    from assistant.progress import progress_bar
    from eval import ranking, testset

    coach = Coach.from_pretrained(model)
    whole = testset.load(cache, testset.VALIDATION, testset.VALIDATION_SET)
    clips = testset.balanced(whole.clips, limit)
    with progress_bar("ranking") as progress:
        results = ranking.rank_clips(coach, clips, seed=seed, progress=progress)
    rows = ranking.choices(coach, clips, results)
    found = asdict(ranking.fit(rows))
    found["fitted"] |= {
        **ranking.report(rows),
        "model_sha256": coach.identity["model_sha256"],
        "set_sha256": whole.info["sha256"],
        "seed": seed,
    }
    finish(found, as_json, output, ranking.table(found["fitted"]))


@app.command()
def card(
    check: Annotated[bool, typer.Option(help="Only compare with the stored results.")] = False,
) -> None:
    """Write docs/model_card.md from the stored results."""
    from eval.card import write_card

    print(write_card(check=check))


@app.command()
def pages(
    check: Annotated[bool, typer.Option(help="Only compare with the stored results.")] = False,
) -> None:
    """Write every page of docs/ that has figures of stored results."""
    from eval.pages import write_pages

    print("\n".join(write_pages(check=check)))


app.command("calibration")(calibration)
app.command("egoexo4d-proficiency")(egoexo4d_proficiency)
app.command("expertaf")(expertaf)
app.command("chat-questions")(chat_questions)
app.command("proficiency-controls")(proficiency_controls)
app.command("reproduce")(reproduce)
app.command("score")(score)
app.command("compare")(compare)
app.command("submit")(submit)
app.command("tables")(tables)
app.command("bertscore-baseline")(bertscore_baseline)
app.add_typer(humans, name="humans")

# Throws 0 to 19 may be looked at while the drill is designed.
HELD_OUT_THROWS = (20, 59)
