"""What all benchmarks share: their names, how they take turns, and the form of a result.

A benchmark is a function without arguments in the package it measures. It returns `compared(...)`:
`ours, baseline, ratio, unit` (several baselines: lists), who they are, and the spread over rounds.
Further comparisons of the same form stand under `parts`, other facts as keys of their own;
`run_bench` adds the machine. Ours and the baselines are measured in turns in one run, since other
work on the machine changes every time but hardly their ratio. `bench_cli` is the command.
"""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Literal

from assistant.errors import PoiseError

# name: ("module:function", what it measures in one line)
BENCHES: Final = {
    "align": ("assistant.pose.bench_align:run", "PA-MPJPE of window positions, and time warping."),
    "decode": ("assistant.video.bench_decode:run", "Frames late in a film, reached by seeking."),
    "features": ("data_prep.bench:features", "Video features of clips, only their frames read."),
    "train": ("training.bench:run", "Real tokens a second of training a language model."),
    "generate": ("assistant.serving.bench_generate:run", "Answers about clips, by vLLM."),
    "rank": ("assistant.demos.bench_rank:run", "Demonstrations ranked after one shared prefix."),
    "chat": ("assistant.serving.bench_chat:run", "First token of a chat, new clip and known one."),
    "load": ("assistant.serving.bench_load:run", "64 chats at once: answers, refusals, memory."),
    "startup": ("assistant.bench_startup:run", "Help and import, each in a fresh process."),
    "memory": ("assistant.bench_memory:run", "The most memory held: film, pose, chat, data set."),
    "library": ("assistant.demos.bench:run", "The nearest of 100,000 demonstrations."),
}
# What `ratio` is: how many times less ours takes or more it gives, or its share of the baseline.
BY_TIME: Final = "baseline / ours"
BY_RATE: Final = "ours / baseline"
SHARE: Final = "share of the baseline"


@dataclass(frozen=True)
class Aim:
    """What a benchmark should reach.

    Attributes:
        of: "ours", or "ratio" to one baseline.
        bound: at least or at most.
        value: this.
        baseline: which one; needed for a ratio with several.
    """

    of: Literal["ours", "ratio"]
    bound: Literal["at_least", "at_most"]
    value: float
    baseline: str | None = None

    def told(self, found: float) -> dict[str, Any]:
        """The aim and whether `found` reaches it, as a result says it."""
        met = found >= self.value if self.bound == "at_least" else found <= self.value
        named = {} if self.baseline is None else {"baseline": self.baseline}
        return {"of": self.of, self.bound: self.value, **named, "met": met}


def run_bench(name: str) -> dict[str, Any]:
    """The result of a benchmark by name, with the machine it ran on."""
    if name not in BENCHES:
        raise PoiseError("unknown benchmark", got=repr(name), expected=", ".join(BENCHES))
    module, _, attribute = BENCHES[name][0].partition(":")
    function: Callable[[], dict[str, Any]] = getattr(import_module(module), attribute)
    return {"bench": name, **function(), "machine": machine()}


def compared(
    ours: Sequence[float],
    baselines: Mapping[str, Sequence[float]],
    *,
    ours_is: str,
    unit: str,
    ratio_is: str = BY_TIME,
    aims: Sequence[Aim] = (),
) -> dict[str, Any]:
    """The one form of a result: medians, ratios by rounds, their spread, and the aims.

    Args:
        ours: [rounds] what was measured; baselines: [rounds] of each other way by its name.
        ours_is: the name of ours.
        ratio_is: BY_TIME, BY_RATE or SHARE; the ratio is the median of the rounds' ratios.

    Returns:
        `ours`, `baseline`, `ratio`, `unit`, `ours_is`, `baselines`, `ratio_is`, `rounds`, `spread`
        and, where there are aims, `aims`. With one baseline its entries are no lists.
    """
    told = [spread(values) for values in baselines.values()]
    ratios = [
        spread([b / a if ratio_is == BY_TIME else a / b for a, b in zip(ours, values, strict=True)])
        for values in baselines.values()
    ]
    own, one = spread(ours), len(baselines) == 1
    found: dict[str, Any] = {
        "ours": own["median"],
        "baseline": [each["median"] for each in told],
        "ratio": [each["median"] for each in ratios],
        "unit": unit,
        "ours_is": ours_is,
        "baselines": list(baselines),
        "ratio_is": ratio_is,
        "rounds": len(ours),
        "spread": {"ours": own, "baseline": told, "ratio": ratios},
    }
    if one:
        for entry in (found, found["spread"]):
            entry |= {key: entry[key][0] for key in ("baseline", "ratio")}
        found["baselines"] = found["baselines"][0]
    if aims:
        names = list(baselines)
        found["aims"] = [
            aim.told(
                own["median"]
                if aim.of == "ours"
                else ratios[names.index(aim.baseline) if aim.baseline else 0]["median"]
            )
            for aim in aims
        ]
    return found


def machine() -> dict[str, Any]:
    """What ran: processor, usable cores, load beside us, versions, a GPU where torch sees one."""
    found = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found |= {"torch": str(torch.__version__), "threads": torch.get_num_threads()}
        if torch.cuda.is_available():
            found["gpu"] = torch.cuda.get_device_name()
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall time of some work, a GPU's included where torch uses one."""
    start = perf_counter()
    work()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - start


def in_turns(
    works: Sequence[Callable[[], Any]],
    rounds: int,
    measure: Callable[[Callable[[], Any]], float] = seconds,
) -> list[list[float]]:
    """[works][rounds]: every round measures each work once, so that all meet the same load."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, values in zip(works, found, strict=True):
            values.append(measure(work))
    return found


def drills_set(folder: Path, *, performers: int, clips: int, seed: int = 0) -> Path:
    """A data set of simulated drills, `clips` of each performer; its folder."""
    sizes = f"--performers {performers} --clips {clips} --seed {seed}".split()
    command = ["data", "drills", *sizes, "--workers", "1", "-o", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "assistant.cli", *command], stdout=subprocess.DEVNULL, check=True
    )
    return folder


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
