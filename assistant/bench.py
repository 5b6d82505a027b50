"""`poise bench NAME`: how fast a part is beside the usual way to do it, measured in one run.

A benchmark is a function without arguments in the package it measures. It returns `ours, baseline,
ratio, unit` (several baselines: lists, named in `baselines`) and what else it has to say; the
command adds `machine`. Ours and the baselines are timed in turns, since other work on the machine
changes every time but hardly their ratio.
"""

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib import import_module
from time import perf_counter
from typing import Annotated, Any, Final

import typer

from assistant.errors import PoiseError

# name: ("module:function", what it measures in one line)
BENCHES: Final = {
    "align": ("assistant.pose.bench_align:run", "PA-MPJPE of window positions, and time warping."),
    "chat": ("assistant.serving.bench_chat:run", "First token of a chat, new clip and known one."),
    "decode": ("assistant.video.bench_decode:run", "Frames late in a film, reached by seeking."),
    "generate": ("assistant.serving.bench_generate:run", "Answers about clips, by vLLM."),
    "features": ("data_prep.bench:features", "Video features of clips, only their frames read."),
    "library": ("assistant.demos.bench:run", "The nearest of 100,000 demonstrations."),
    "rank": ("assistant.demos.bench_rank:run", "Demonstrations ranked after one shared prefix."),
    "train": ("training.bench:run", "Real tokens a second of training a language model."),
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.command(
    help="Measure a part beside the usual way to do it: "
    + " ".join(f"{name}: {text}" for name, (_, text) in BENCHES.items())
)
def bench(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(BENCHES)}.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Run the benchmark and print its result."""
    result = run_bench(name)
    print(json.dumps(result) if as_json else _lines(result))


def run_bench(name: str) -> dict[str, Any]:
    """The result of a benchmark by name, with the machine it ran on."""
    if name not in BENCHES:
        raise PoiseError("unknown benchmark", got=repr(name), expected=", ".join(BENCHES))
    module, _, attribute = BENCHES[name][0].partition(":")
    function: Callable[[], dict[str, Any]] = getattr(import_module(module), attribute)
    return {"bench": name, **function(), "machine": machine()}


def machine() -> dict[str, Any]:
    """What ran: processor, usable cores, load beside us, Python."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def in_turns(works: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds [works][rounds]: every round runs each work once, so that all meet the same load."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, spent, strict=True):
            start = perf_counter()
            work()
            times.append(perf_counter() - start)
    return spent


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Median, least and most of repeated measurements, to so many significant digits."""
    named = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: float(f"{value:.{digits}g}") for name, value in named.items()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _lines(result: dict[str, Any]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in result.items())
