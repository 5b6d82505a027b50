"""`poise data features`: see data_prep/features.py."""

import json
import os
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from assistant.options import AsJson


def features(
    dataset: Annotated[Path, typer.Argument(help="A dataset of `poise data` with views.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the features.")],
    encoder: Annotated[
        str | None,
        typer.Option(help="A trained encoder's folder, or FAMILY=CHECKPOINT; shipped by default."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one a core.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on this Ray cluster, HOST:PORT.")
    ] = None,
    max_failed: Annotated[
        int, typer.Option(min=0, help="Stop when more views than this cannot be read.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Extract frozen video features once per view and clip; a killed run goes on where it was."""
    from assistant.progress import progress_bar, quiet_libraries
    from data_prep.features import dataset_items, features_folder, load_encoder
    from data_prep.features_run import extract, in_processes

    items = dataset_items(dataset)
    with quiet_libraries():
        sha = load_encoder(encoder).sha256()
    folder = features_folder(output.resolve(), sha)
    source = str(Path(encoder).resolve()) if encoder and Path(encoder).is_dir() else encoder
    if ray is not None:
        from data_prep.features_ray import by_cluster

        outcomes = by_cluster(items, source, folder, ray, workers)
    else:
        count = min(workers or os.cpu_count() or 1, len(items))
        outcomes = in_processes(items, source, folder, count)
    start = perf_counter()
    with progress_bar("features") as progress:
        result = extract(outcomes, len(items), folder, max_failed=max_failed, progress=progress)
    seconds = perf_counter() - start
    result |= {"encoder": encoder or "poise-mini", "encoder_sha256": sha}
    result["items_per_second"] = round(len(items) / seconds, 2)
    if as_json:
        print(json.dumps(result))
        return
    failures = result.pop("failures")
    print("\n".join(f"{key}: {value}" for key, value in result.items()))
    for failure in failures:
        print(f"failed: {failure['sample_id']} {failure['view']}: {failure['reason']}")
