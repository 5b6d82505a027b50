"""`poise bench load`: many chats at once on a server of our own, beside one chat at a time.

People talk about nine simulated clips, one after the other; every answer is compared with the one
that its clip got when nobody else asked. More chat at once than the server has places for, so that
refusals are seen too.
"""

import asyncio
import importlib.util
import tempfile
from pathlib import Path
from typing import Any, Final

from assistant.bench import BY_RATE, compared, drills_set
from assistant.dataset import SampleTable
from assistant.pose.read import write_pose
from assistant.serving.load import LoadReport, drive, learn_alone
from assistant.serving.own_server import ServerProcess

CHATS: Final = 64
PLACES: Final = 48
CLIPS: Final = 9
SECONDS: Final = 120.0
ALONE_SECONDS: Final = 30.0


def run() -> dict[str, Any]:
    """Answers a second; and what was answered wrongly, lost or refused, waits and memory."""
    with tempfile.TemporaryDirectory() as folder:
        clips = clip_files(Path(folder))
        engines = ["transformers", *(["vllm"] if importlib.util.find_spec("vllm") else [])]
        found, told = zip(*(_measure(clips, engine) for engine in engines), strict=True)
    return {
        "measured": engines[0],
        **found[0],
        "parts": dict(zip(engines[1:], found[1:], strict=True)),
        "clips": CLIPS,
        "places": PLACES,
        "at_once": dict(zip(engines, told, strict=True)),
    }


def clip_files(folder: Path) -> list[Path]:
    """Simulated takes of different drills, levels and performers, as pose files."""
    data = SampleTable(drills_set(folder / "set", performers=CLIPS, clips=1, seed=7))
    paths = []
    for row in range(CLIPS):
        pose = data.pose(row)
        assert pose is not None, "every drill has a pose"
        paths.append(folder / f"clip{row}.npz")
        write_pose(paths[-1], pose)
    return paths


def _measure(clips: list[Path], engine: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The comparison, and what happened to all who chatted at once."""
    options = ("--engine", engine, "--max-chats", str(PLACES), "--cached-clips", "4")
    with ServerProcess(*options) as server:
        talks = learn_alone(server.url, "none", clips)
        processes = [server.process.pid, *server.workers()]

        def driven(chats: int, seconds: float) -> LoadReport:
            work = drive(
                server.url, "none", talks, chats=chats, seconds=seconds, processes=processes
            )
            return asyncio.run(work)

        alone, many = driven(1, ALONE_SECONDS), driven(CHATS, SECONDS)
    found = compared(
        [many.answered / many.seconds],
        {"one chat at a time": [alone.answered / alone.seconds]},
        ours_is=f"{CHATS} chats at once",
        unit="answers a second",
        ratio_is=BY_RATE,
    )
    return found, many.figures()
