"""The command `poise data label`."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from assistant import __version__
from assistant.errors import PoiseError
from assistant.files import check_writable, file_sha256, write_text
from assistant.options import AsJson
from data_prep.commentary.labels import Labeller

BACKENDS: Final = ("lexicon", "llm", "model")


def register(app: typer.Typer) -> None:
    """Add the command to `poise data`."""
    app.command()(label)


def label(
    dataset: Annotated[
        Path | None, typer.Argument(help="Samples with spoken comments (commentary_raw).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="New folder of samples; with --evaluate the JSON's file."
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="lexicon (no model), llm (an endpoint) or model (poise-mini, if trained for it)."
        ),
    ] = "lexicon",
    evaluate: Annotated[
        Path | None,
        typer.Option(help="Measure the back end on a JSONL of {id, text, regions}, or on drills."),
    ] = None,
    lines: Annotated[
        str, typer.Option(help="With --evaluate: all, odd or even lines of the file.")
    ] = "all",
    check_official: Annotated[
        list[Path] | None,
        typer.Option(
            help="Check DATASET against proficiency_demonstration_{split}.json; may be repeated."
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="llm: base URL, such as http://localhost:8000/v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="llm: the model's name there.")] = None,
    key_variable: Annotated[
        str, typer.Option(help="llm: environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    constraint: Annotated[
        str,
        typer.Option(
            help="llm: how the schema is sent: response_format, structured_outputs (vLLM) or none."
        ),
    ] = "response_format",
    concurrency: Annotated[int, typer.Option(min=1, help="llm: requests at a time.")] = 8,
    retries: Annotated[int, typer.Option(min=0, help="llm: further tries of a request.")] = 5,
    timeout: Annotated[float, typer.Option(min=0.1, help="llm: seconds for one try.")] = 120.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="llm: tokens of an answer.")] = 400,
    max_failures: Annotated[
        int, typer.Option(min=0, help="llm: comments that may fail before the run stops.")
    ] = 50,
    cache: Annotated[
        Path | None,
        typer.Option(help="llm: file of answers; default labels.sqlite in the user's cache."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="model: a trained checkpoint; default the shipped one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give spoken comments a one-sentence summary and the polarity of six body regions."""
    # With --evaluate, --output is the file of the result.
    chosen = [output is not None and evaluate is None, evaluate is not None, bool(check_official)]
    if sum(chosen) != 1 or (dataset is None) != (evaluate is not None):
        raise PoiseError(
            "cannot tell what to label",
            expected="DATASET -o DIR, --evaluate FILE, or DATASET --check-official FILE",
            remedy="give one of the three",
        )
    if evaluate is not None:
        check_writable(output)
    if backend == "llm":
        labeller = _llm(
            endpoint,
            model,
            cache,
            key_variable=key_variable,
            constraint=constraint,
            concurrency=concurrency,
            retries=retries,
            timeout=timeout,
            max_tokens=max_tokens,
            max_failures=max_failures,
        )
    else:
        labeller = _offline(backend, checkpoint)
    if evaluate is not None:
        _evaluate(evaluate, lines, labeller, as_json, output)
    elif output is not None and dataset is not None:
        _label(dataset, output, labeller, as_json)
    elif dataset is not None:
        _check(dataset, check_official or [], labeller, as_json)


def _llm(endpoint: str | None, model: str | None, cache: Path | None, **settings: Any) -> Labeller:
    from data_prep.commentary.cache import default_cache
    from data_prep.commentary.llm_labeller import LlmLabeller, LlmSettings

    if endpoint is None or model is None:
        raise PoiseError(
            "the back end llm needs an endpoint and a model",
            got=f"--endpoint {endpoint} --model {model}",
            expected="--endpoint URL --model NAME",
            remedy="name both, or take --backend lexicon",
        )
    return LlmLabeller(LlmSettings(endpoint, model, **settings), cache or default_cache())


def _offline(backend: str, checkpoint: Path | None) -> Labeller:
    if backend == "lexicon":
        from data_prep.commentary.lexicon_labeller import LexiconLabeller

        return LexiconLabeller()
    if backend == "model":
        from data_prep.commentary.model_labeller import ModelLabeller

        return ModelLabeller.open(checkpoint)
    raise PoiseError("unknown back end", got=repr(backend), expected=", ".join(BACKENDS))


def _label(dataset: Path, output: Path, labeller: Labeller, as_json: bool) -> None:
    from assistant.progress import progress_bar
    from data_prep.commentary.dataset import label_dataset

    with progress_bar("labelling") as progress:
        result = label_dataset(dataset, output, labeller, progress)
    lines = [f"{key}: {value}" for key, value in result.items()]
    print(json.dumps(result) if as_json else "\n".join(lines))


def _evaluate(
    path: Path, lines: str, labeller: Labeller, as_json: bool, output: Path | None
) -> None:
    from assistant.dataset import read_info
    from assistant.progress import progress_bar
    from data_prep.commentary.evaluate import evaluate, read_references
    from data_prep.commentary.report import text_table

    references = read_references(path, lines)
    with progress_bar("labelling") as progress:
        answers = labeller.label([reference.comment for reference in references], progress)
    sha256 = read_info(path)["sha256"] if path.is_dir() else file_sha256(path)
    about = labeller.describe() | {"poise_version": __version__, "file_sha256": sha256}
    result = {"file": str(path), "lines": lines, "backend": about.pop("backend")}
    result |= evaluate(references, answers) | {"provenance": about}
    if output is not None:
        write_text(output, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if as_json else text_table(result))


def _check(dataset: Path, files: list[Path], labeller: Labeller, as_json: bool) -> None:
    from assistant.progress import progress_bar
    from data_prep.commentary.official import check_official, result_lines

    with progress_bar("labelling sentences") as progress:
        result = check_official(dataset, files, labeller, progress)
    print(json.dumps(result) if as_json else "\n".join(result_lines(result)))
