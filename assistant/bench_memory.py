"""`poise bench memory`: the most memory that a process of Poise holds, by its own count (VmHWM).

Every figure is the peak of one fresh process, libraries included, run as users run it. A film is
coached as its frames are read; the other way, as most code reads films, holds all its frames
first. A data set is coached some clips at a time: beside it stands one clip alone, and beside all
of them what loading takes, the floor. Needs Linux, and mediapipe for the film.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.bench import compared, drills_set, in_turns
from assistant.checkpoint import WEIGHTS_FOLDER
from assistant.errors import PoiseError

ROUNDS: Final = 2
FILM_SECONDS: Final = 12
ENLARGED: Final = 3  # times the bundled film's 256 pixels
PERFORMERS, CLIPS_EACH = 8, 4
QUESTIONS: Final = "What should I fix first?\nHow are my legs?\nGive me a drill.\n"
FLOOR: Final = "Poise loaded, nothing coached (the floor)"
_DEMO: Final = WEIGHTS_FOLDER / "demo" / "squat_demo"
_COMMAND: Final = "from assistant.cli import main; sys.exit(main(sys.argv[1:]))"
_LOADED: Final = "from assistant.coach import Coach; coach = Coach.from_pretrained()"
_ALL_FRAMES: Final = f"""
from pathlib import Path
from assistant.video.decode import frames
kept = [picture for _, picture in frames(Path(sys.argv[2]))]
{_COMMAND}
"""
# A child's ru_maxrss would begin with its parent's, so that the child itself reads its peak.
_TELL: Final = """
import atexit, sys
def tell(path=sys.argv.pop(1)):
    with open("/proc/self/status") as file, open(path, "w") as told:
        told.write(next(line.split()[1] for line in file if line.startswith("VmHWM")))
atexit.register(tell)
"""


def run() -> dict[str, Any]:
    """Megabytes of a film, a pose, a chat and a data set beside the other ways and the floor."""
    if not Path("/proc/self/status").is_file():
        raise PoiseError("cannot measure memory here", got="no /proc", expected="Linux")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        film, data = (
            _film(folder / "film.mp4"),
            drills_set(folder / "set", performers=PERFORMERS, clips=CLIPS_EACH),
        )
        pose = str(_DEMO.with_suffix(".npz"))
        chat = ["chat", pose, "--store", str(folder / "chat.sqlite")]
        numbers = count()

        def batch() -> float:
            output = folder / f"{next(numbers)}.jsonl"  # a known one would be gone on with
            return peak(_COMMAND, ["batch", str(data), "-o", str(output)])

        works: list[Callable[[], float]] = [
            partial(peak, _COMMAND, ["coach", str(film)]),
            partial(peak, _ALL_FRAMES, ["coach", str(film)]),
            partial(peak, _COMMAND, ["coach", pose]),
            partial(peak, _COMMAND, chat, QUESTIONS),
            batch,
            partial(peak, _LOADED, []),
        ]
        works[2]()  # the first clip on a machine is coached while numba compiles
        streamed, whole, posed, chatted, batched, loaded = in_turns(works, ROUNDS, _told)
    form: dict[str, Any] = {"unit": "MB at most"}
    floor = {FLOOR: loaded}
    return {
        "measured": f"a film of {FILM_SECONDS} s, {ENLARGED * 256} x {ENLARGED * 256}",
        **compared(
            streamed,
            {"all its frames in memory first": whole, **floor},
            ours_is="poise coach FILM",
            **form,
        ),
        "parts": {
            "a pose file": compared(posed, floor, ours_is="poise coach POSE", **form),
            "a chat of 3 questions": compared(chatted, floor, ours_is="poise chat POSE", **form),
            f"a data set of {PERFORMERS * CLIPS_EACH} poses": compared(
                batched, {"poise coach, one pose": posed, **floor}, ours_is="poise batch", **form
            ),
        },
    }


def peak(code: str, arguments: Sequence[str], questions: str = "") -> float:
    """The most resident memory in MB that a fresh process held which ran this code.

    Args:
        code: Python, with `sys` imported; arguments: its `sys.argv[1:]`.
        questions: its standard input.

    Raises:
        PoiseError: the process failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "peak"
        done = subprocess.run(
            [sys.executable, "-c", _TELL + code, str(told), *arguments],
            input=questions,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise PoiseError(
                f"the process measured ({' '.join(arguments[:2])}) failed",
                got=done.stderr.strip()[-300:],
            )
        return int(told.read_text()) * 1024 / 1e6


def _told(work: Callable[[], float]) -> float:
    return work()


def _film(path: Path) -> Path:
    """The bundled film, enlarged, again and again; without a pose beside it."""
    from assistant.video.decode import frames, probe, write_video

    demo = _DEMO.with_suffix(".mp4")
    pictures = np.stack([picture for _, picture in frames(demo)])
    fps = probe(demo).fps
    chosen: np.ndarray = np.arange(round(FILM_SECONDS * fps)) % len(pictures)
    write_video(path, pictures[chosen].repeat(ENLARGED, 1).repeat(ENLARGED, 2), fps)
    return path
