"""`poise bench`: measure a part beside the usual way to do it, and write the page of all results.

poise bench rank [--json] [-o rank.json]
poise bench all -o docs/results/benchmarks [--only rank --only chat]
poise bench tables --markdown docs/benchmarks.md
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from assistant.bench import BENCHES, run_bench
from assistant.errors import PoiseError
from assistant.files import check_writable, write_text
from assistant.options import AsJson

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Measure a part beside the usual way to do it, in turns in one run.",
)
Stored = Annotated[Path, typer.Option("--results", help="Folder of the stored results.")]
RESULTS = Path("docs/results/benchmarks")


def _command(name: str) -> Callable[..., None]:
    """The command of one benchmark."""

    def measure(
        output: Annotated[
            Path | None, typer.Option("-o", "--output", help="Also write the JSON here.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        check_writable(output)
        result = run_bench(name)
        if output is not None:
            write_text(output, json.dumps(result, indent=1) + "\n")
        if as_json:
            print(json.dumps(result))
        else:
            from assistant.bench_page import section

            print(section(name, result))

    return measure


for _name, (_, _text) in BENCHES.items():
    app.command(_name, help=_text)(_command(_name))


@app.command("all")
def run_all(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for NAME.json.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Only this benchmark (may be repeated).")
    ] = None,
) -> None:
    """Run the benchmarks, each in a process of its own, and store their results."""
    names = list(only or BENCHES)
    for name in names:
        if name not in BENCHES:
            raise PoiseError("unknown benchmark", got=repr(name), expected=", ".join(BENCHES))
    check_writable(output / "NAME.json")
    failed = []
    for name in names:
        print(f"bench {name}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "assistant.cli", "bench", name]
        done = subprocess.run([*command, "-o", str(output / f"{name}.json")])
        if done.returncode:
            failed.append(name)
    if failed:
        raise PoiseError(
            "not all benchmarks ran", got=f"no result of {', '.join(failed)}", remedy="see above"
        )


@app.command("tables")
def tables(
    results: Stored = RESULTS,
    markdown: Annotated[Path | None, typer.Option(help="Also write the page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """All stored results as one page."""
    from assistant.bench_page import page, stored

    found = stored(results)
    check_writable(markdown)
    text = page(found)
    if markdown is not None:
        write_text(markdown, text)
    print(json.dumps(found) if as_json else text.rstrip())
