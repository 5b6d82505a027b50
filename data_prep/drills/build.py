"""Simulate a named set and write it to disk."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.dataset import write_samples
from data_prep.drills.dataset import (
    noise_condition,
    preset,
    preset_drills,
    to_sample,
)
from data_prep.drills.faults import DEFAULT_ACTIVITIES
from data_prep.drills.performer import check_split
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_performer


@dataclass(frozen=True)
class Source:
    """Which clips: how many, and how to make them one after the other."""

    name: str
    count: int
    settings: dict[str, Any]
    make: Callable[[], Iterator[Drill]]


def named_source(
    name: str | None, performers: int, clips: int, seed: int, split: str, distractors: float
) -> Source:
    """A preset by name, or a set of one's own when `name` is None."""
    if name is not None:
        chosen = preset(name)
        count = chosen.performers * chosen.clips + 7 * chosen.distractors
        settings = {"preset": name} | asdict(chosen)
        return Source(f"{name} {chosen.version}", count, settings, lambda: preset_drills(chosen))
    check_split(split)

    def make() -> Iterator[Drill]:
        for index in range(performers):
            yield from simulate_performer(index, clips, seed, split, DEFAULT_ACTIVITIES, distractors)

    settings = {
        "preset": None,
        "performers": performers,
        "clips": clips,
        "seed": seed,
        "split": split,
        "distractors": distractors,
    }
    return Source("own", performers * clips, settings, make)


def build_dataset(
    source: Source, folder: Path, noise: str, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write the clips of `source`; returns what was written, with its sha256."""
    condition = noise_condition(noise)
    origin = f"simulated drills, {source.name}, noise {noise}"
    samples = []
    for number, drill in enumerate(source.make(), 1):
        samples.append(to_sample(drill, condition, origin))
        progress(number, source.count)
    sha = write_samples(samples, folder, source.settings | {"noise": noise})
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    judged = [s for s in samples if s["level"] is not None]
    return {
        "folder": str(folder),
        "clips": len(samples),
        "judged_clips": len(judged),
        "performers": len({s["participant_id"] for s in judged}),
        "noise": noise,
        "megabytes": round(size / 1e6, 2),
        "sha256": sha,
    }
