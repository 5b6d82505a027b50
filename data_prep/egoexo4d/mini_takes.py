"""The takes of the miniature: who did what, how it was recorded, and what is odd about it."""

import uuid
from dataclasses import dataclass
from typing import Any, Final

from prompts.vocabulary import VIEWS

EXPERTS: Final = ("ab12cd", "ef34gh")


@dataclass(frozen=True)
class Mini:
    """One take of the small tree and what is odd about it.

    Attributes:
        name: take_name; its uid is derived from it.
        split: of the proficiency files.
        scenario, task: as the official files name them.
        university, participant: who.
        level: proficiency_score.
        poses: source to (split of its folder, scale of its unit); none: no pose.
        gaze: "personalized", "general" or none.
        cameras: of exo1..exo4; None: the take lacks this view.
        oddity: what is damaged in its files or left open in takes.json.
    """

    name: str
    split: str
    scenario: str
    task: str
    university: str
    participant: str
    level: str
    poses: tuple[tuple[str, str, float], ...] = ()
    gaze: str | None = None
    cameras: tuple[str | None, ...] = ("cam01", "cam02", "cam03", "cam04")
    oddity: str = ""

    @property
    def uid(self) -> str:
        """A take_uid that is the same in every tree."""
        return uid_of(self.name)

    @property
    def videos(self) -> dict[str, str]:
        """View to path as in `video_paths`."""
        folder = f"takes/{self.name}/frame_aligned_videos"
        files = dict(zip(VIEWS, ("aria01_214-1", *self.cameras), strict=True))
        return {view: f"{folder}/{name}.mp4" for view, name in files.items() if name is not None}


def uid_of(name: str) -> str:
    """The take_uid of a take's name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"poise/{name}"))


_HOOPS: Final = ("Basketball", "Basketball Drills - Mid-Range Jump Shooting", "ego4d-unc")
_BALL: Final = ("Soccer", "Soccer Drills - Penalty Kick", "ego4d-sfu")
_WALL: Final = ("Rock Climbing", "LosAndes_V2_R1", "ego4d-university-sa")


def _mini(
    name: str, split: str, what: tuple[str, str, str], who: str, level: str, **more: Any
) -> Mini:
    return Mini(name, split, *what, who, level, **more)


TAKES: Final = (
    _mini(
        "unc_basketball_01_1",
        "train",
        _HOOPS,
        "30",
        "Late Expert",
        poses=(("annotation", "train", 1.0), ("automatic", "train", 1.0)),
        gaze="personalized",
    ),
    _mini(
        "unc_basketball_01_2",
        "train",
        _HOOPS,
        "30",
        "Intermediate Expert",
        poses=(("automatic", "val", 1.0),),
        gaze="general",
        cameras=("cam01", "cam02", None, "cam04"),
    ),
    _mini("unc_basketball_02_1", "train", _HOOPS, "31", "Novice", oddity="downscaled only"),
    _mini(
        "sfu_soccer_03_1",
        "train",
        _BALL,
        "p003",
        "Early Expert",
        cameras=("cam01", "cam02", "cam03", "cam05"),
        oddity="video missing",
    ),
    _mini(
        "uniandes_bouldering_04_1",
        "train",
        _WALL,
        "133",
        "Intermediate Expert",
        oddity="no length, no best exo",
    ),
    _mini(
        "uniandes_bouldering_04_2",
        "train",
        _WALL,
        "133",
        "Late Expert",
        poses=(("automatic", "train", 1.0),),
        oddity="empty pose, corrupt video and rating",
    ),
    _mini(
        "sfu_soccer_05_1",
        "val",
        _BALL,
        "p005",
        "Novice",
        poses=(("automatic", "test", 1000.0),),
    ),
    _mini(
        "unc_basketball_01_3",
        "val",
        _HOOPS,
        "30",
        "Early Expert",
        poses=(("automatic", "val", 1.0),),
        oddity="pose jumps",
    ),
    _mini("uniandes_bouldering_06_1", "val", _WALL, "140", "Novice"),
)
PHANTOM: Final = uid_of("unc_basketball_99_9")
UNLABELLED: Final = "cmu_bike15_4"
