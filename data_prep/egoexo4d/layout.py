"""Where the official v2 download of Ego-Exo4D keeps what: names and paths, nothing else.

    takes.json, captures.json, participants.json
    annotations/{proficiency_demonstrator,proficiency_demonstration,expert_commentary,
                 atomic_descriptions}_{train,val}.json
    annotations/expert_commentary/<take_name>/<expert_uid>/{data.json,transcriptions.json}
    annotations/ego_pose/{train,val,test}/body/{annotation,automatic}/<take_uid>.json
    annotations/ego_pose/{train,val,test}/camera_pose/<take_uid>.json
    takes/<take_name>/frame_aligned_videos/{aria0X_214-1,cam0N}.mp4, .../downscaled/448/
    takes/<take_name>/eye_gaze/{personalized,general}_eye_gaze_2d.csv
    features/{omnivore_video,maws_clip_2b}/<take_uid>_<camera>_<stream>.pt

The splits of body poses are those of another benchmark: a take of the proficiency train split may
have its pose under val.
"""

from functools import cached_property
from pathlib import Path
from typing import Final

from assistant.dataset import FEATURE_KINDS
from assistant.errors import PoiseError

SPLITS: Final = ("train", "val", "test")
# Official name of a split to the one of our records.
OUR_SPLIT: Final = {"train": "train", "val": "validation", "test": "test"}
METADATA: Final = ("takes", "captures", "participants")
DEMONSTRATOR: Final = "proficiency_demonstrator"
DEMONSTRATION: Final = "proficiency_demonstration"
COMMENTARY: Final = "expert_commentary"
ATOMIC: Final = "atomic_descriptions"
KINDS: Final = (DEMONSTRATOR, DEMONSTRATION, COMMENTARY, ATOMIC)
# Manual annotations are the better ones.
POSE_SOURCES: Final = ("annotation", "automatic")
GAZE_FILES: Final = ("personalized_eye_gaze_2d.csv", "general_eye_gaze_2d.csv")
_UID_LENGTH: Final = 36


class Layout:
    """Paths below the folder of a download.

    Raises:
        PoiseError: the folder holds no Ego-Exo4D.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        if not (root / "takes.json").is_file() or not self.annotations.is_dir():
            raise PoiseError(
                f"no Ego-Exo4D in {root}",
                got="no takes.json or no folder annotations",
                expected="the folder that the official downloader filled (v2)",
                remedy="name that folder, or make a small one with "
                "`python -m data_prep.egoexo4d.miniature DIR`",
            )

    @property
    def annotations(self) -> Path:
        return self.root / "annotations"

    @property
    def takes(self) -> Path:
        return self.root / "takes.json"

    def annotation(self, kind: str, split: str) -> Path:
        """The file of one of KINDS for an official split."""
        return self.annotations / f"{kind}_{split}.json"

    def splits(self, kind: str) -> list[str]:
        """The official splits that have a file of this kind."""
        return [split for split in SPLITS if self.annotation(kind, split).exists()]

    def expert(self, commentary: str) -> Path:
        """`data.json` of "<take_name>/<expert_uid>": the rating."""
        return self.annotations / COMMENTARY / commentary / "data.json"

    def pose(self, take_uid: str, source: str) -> Path | None:
        """The body pose file of a take, manual ("annotation") or automatic."""
        return self._pose_files[source].get(take_uid)

    def calibration(self, take_uid: str) -> Path | None:
        """The cameras of a take."""
        return self._pose_files["camera_pose"].get(take_uid)

    def videos(self, relative: str) -> tuple[Path, Path]:
        """The downscaled and the full file of "takes/<name>/frame_aligned_videos/<camera>.mp4"."""
        full = self.root / relative
        return full.parent / "downscaled" / "448" / full.name, full

    def gaze(self, take_name: str) -> Path | None:
        """The eye gaze file of a take: personalised where there is one, else general."""
        folder = self.root / "takes" / take_name / "eye_gaze"
        return next((folder / name for name in GAZE_FILES if (folder / name).is_file()), None)

    def features(self, take_uid: str, kind: str) -> dict[str, Path]:
        """Camera ("aria01", "cam01") to the feature file of its picture stream."""
        found: dict[str, Path] = {}
        for name in sorted(self._feature_files[kind].get(take_uid, [])):
            camera, _, stream = Path(name).stem[_UID_LENGTH + 1 :].partition("_")
            if camera.startswith("aria") and stream not in ("rgb", "214-1"):
                continue
            found[camera] = self.root / "features" / kind / name
        return found

    @cached_property
    def _pose_files(self) -> dict[str, dict[str, Path]]:
        """Kind of file to take_uid to path, over the three splits."""
        base = self.annotations / "ego_pose"
        found: dict[str, dict[str, Path]] = {}
        for kind in (*POSE_SOURCES, "camera_pose"):
            inner = kind if kind == "camera_pose" else f"body/{kind}"
            files = [path for split in SPLITS for path in (base / split / inner).glob("*.json")]
            found[kind] = {path.stem: path for path in files}
        return found

    @cached_property
    def _feature_files(self) -> dict[str, dict[str, list[str]]]:
        """Kind of feature to take_uid to file names."""
        found: dict[str, dict[str, list[str]]] = {}
        for kind in FEATURE_KINDS:
            takes = found.setdefault(kind, {})
            for path in (self.root / "features" / kind).glob("*.pt"):
                takes.setdefault(path.name[:_UID_LENGTH], []).append(path.name)
        return found
