"""`poise eval score`, `poise eval compare` and `poise eval bertscore-baseline`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.errors import PoiseError
from assistant.files import check_writable, write_text
from eval.options import AsJson, Output
from eval.output import finish


def score(
    predictions: Annotated[Path, typer.Argument(metavar="PRED.jsonl")],
    references: Annotated[Path, typer.Argument(metavar="REF.jsonl")],
    metrics: Annotated[
        str | None, typer.Option(help="Comma-separated; default: all whose fields are there.")
    ] = None,
    bert_model: Annotated[
        Path | None, typer.Option(help="Folder of another BERTScore model.")
    ] = None,
    bert_layer: Annotated[int | None, typer.Option(help="Its layers in use.")] = None,
    bert_baseline: Annotated[
        Path | None, typer.Option(help="Of `poise eval bertscore-baseline` for that model.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Of recall@k.")] = 50,
    fps: Annotated[float, typer.Option(help="Frames a second of the poses.")] = 30.0,
    synonyms: Annotated[str, typer.Option(help="Of METEOR: wordnet, none.")] = "wordnet",
    judge: Annotated[
        str | None, typer.Option(help="OpenAI-compatible endpoint that judges the two rubrics.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="Its model.")] = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Annotated[int, typer.Option(help="Of the shuffled floors and intervals.")] = 0,
) -> None:
    """Score anybody's predictions, one JSON object a clip, aligned by id; floors beside."""
    check_writable(output)
    from eval import tables
    from eval.score_files import read_aligned
    from eval.scoring import score_files

    if (judge is None) != (judge_model is None):
        raise PoiseError("half a judge", expected="both --judge URL and --judge-model NAME")
    bert: dict[str, Any] = {"layer": bert_layer}
    bert |= {"model": str(bert_model)} if bert_model else {}
    bert |= {"baseline": str(bert_baseline)} if bert_baseline else {}
    settings: dict[str, dict[str, Any]] = {
        "bertscore": bert,
        "meteor": {"synonyms": synonyms},
        "recall_at_k": {"k": k},
        "velocity_error": {"fps": fps},
    }
    if judge is not None:
        asked = {"endpoint": judge, "model": judge_model}
        settings |= {"specificity": asked, "actionability": asked}
    result = score_files(
        read_aligned(predictions, references),
        metrics=[name.strip() for name in metrics.split(",")] if metrics else None,
        settings=settings,
        seed=seed,
        log=lambda text: print(text, file=sys.stderr),
    )
    finish(result, as_json, output, tables.score_table(result))


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json")],
    b: Annotated[Path, typer.Argument(metavar="B.json")],
    as_json: AsJson = False,
    output: Output = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Paired tests, with intervals, between two results over the same samples."""
    check_writable(output)
    from eval import compare as comparison
    from eval import tables

    found = comparison.compare(comparison.read_result(a), comparison.read_result(b), seed=seed)
    finish(found, as_json, output, tables.compare_table(found))


def bertscore_baseline(
    output: Annotated[Path, typer.Option("-o", "--output", help="The baseline's JSON file.")],
    model: Annotated[
        Path | None, typer.Option(help="Model folder; default: the packaged one.")
    ] = None,
    layer: Annotated[int | None, typer.Option(help="Layers in use.")] = None,
    sentences: Annotated[
        Path | None, typer.Option(help="One sentence a line; default: simulated commentaries.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Where the simulated set lies or is made.")] = Path(
        "runs/bertscore-baseline"
    ),
    pairs: Annotated[int, typer.Option(help="Random pairs of sentences.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the pairs.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure what unrelated sentences score by BERTScore, which rescales its scores."""
    check_writable(output)
    from eval.baseline_sentences import simulated_sentences
    from eval.metrics.embedding import measure_baseline, open_encoder

    encoder = open_encoder(model, layer)
    if sentences is None:
        lines, origin = simulated_sentences(cache)
    else:
        lines, origin = sentences.read_text("utf-8").splitlines(), str(sentences)
    found = measure_baseline(
        encoder, [s.strip() for s in lines if s.strip()], pairs=pairs, seed=seed
    )
    found["origin"] = origin
    write_text(output, json.dumps(found, indent=1) + "\n")
    means = ", ".join(f"{part} {found[part]:.4f}" for part in ("precision", "recall", "f1"))
    line = f"{found['model']}, layer {found['layer']}, {found['pairs']} pairs: {means}"
    print(json.dumps(found, sort_keys=True) if as_json else line)
