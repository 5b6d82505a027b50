"""What runs in a worker process: clips come in as paths, features go back.

Everything that opens files of strangers (demuxers, decoders, the pose estimator) runs here, so that
what hangs or dies takes nothing else with it. A worker ends with the pipe to its server.
"""

import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assistant.errors import PoiseError
from assistant.serving.settings import ClipLimits

if TYPE_CHECKING:
    from assistant.coach_result import Judged, NotJudged
    from assistant.perception import Perception

READY: Final = "ready"
# What a clip may take beside the models that are loaded when work begins.
_HEADROOM_BYTES: Final = 6 * 2**30


@dataclass(frozen=True)
class SeeJob:
    """A clip to look at.

    Attributes:
        clip_id: name in results.
        views: view name to film.
        pose: a pose file, or None.
        activity: judge it as this; None finds it out.
        names: path to what the client calls the file.
    """

    clip_id: str
    views: Mapping[str, Path]
    pose: Path | None = None
    activity: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """The clip cannot be used, and why."""

    reason: str


@dataclass(frozen=True)
class Broken:
    """Our own fault, by name; the worker has written the rest to its log."""

    name: str


def work(connection: Connection, folder: Path, limits: ClipLimits) -> None:
    """Look at clips until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server decides when its workers end
    import torch

    from assistant.perception import Perception
    from assistant.progress import quiet_libraries

    torch.set_num_threads(1)
    with quiet_libraries():
        perception = Perception.from_pretrained(folder)
    _limit_memory()
    try:
        connection.send(READY)
        while True:
            connection.send(_answer(perception, connection.recv(), limits))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def see(perception: "Perception", job: SeeJob, limits: ClipLimits) -> "Judged | NotJudged":
    """Check a clip's limits, find its pose and compute what the language model reads.

    Raises:
        PoiseError: the clip cannot be used.
    """
    from assistant.clip import Clip
    from assistant.clip_input import resolve_pose
    from assistant.coach_result import CoachInput
    from assistant.perceive import perceive
    from assistant.pose.read import read_pose
    from assistant.serving.limits import check_film, check_pose, check_pose_file
    from assistant.video.decode import at_most_pixels

    for film in job.views.values():
        check_film(film, limits)
    pose = None
    if job.pose is not None:
        check_pose_file(job.pose, limits)
        pose = read_pose(job.pose)
        check_pose(pose, limits)
    # A film may grow after its header; coded pictures are somewhat larger than those shown.
    with at_most_pixels(2 * limits.pixels):
        resolved = resolve_pose(Clip(job.clip_id, dict(job.views), pose))
        given = CoachInput(job.clip_id, resolved.pose, dict(job.views))
        return perceive(perception, [given], activity=job.activity)[0]


def _answer(
    perception: "Perception", job: SeeJob, limits: ClipLimits
) -> "Judged | NotJudged | Refused | Broken":
    try:
        return see(perception, job, limits)
    except PoiseError as fault:
        reason = str(fault)
        for path, name in job.names.items():
            reason = reason.replace(path, name)
        return Refused(reason)
    except Exception as fault:  # told to the client by name, to the log in full
        traceback.print_exc(file=sys.stderr)
        return Broken(type(fault).__name__)


def _limit_memory() -> None:
    """Let a clip that asks for absurd amounts of memory fail alone."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = used + _HEADROOM_BYTES
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
