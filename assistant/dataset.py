"""Samples on disk: a Hugging Face dataset with one row a clip, the same for every source.

A record is a dict with the keys of `COLUMNS`. Poses are `PoseSequence`, `steps` and `gaze` arrays;
fields that a source lacks are None. On disk the poses are packed (`assistant.packing`): the noisy
pose and the twin as their difference to the clean pose where there is one.

    records = read_samples(Path("runs/mini-test"))
    records[0]["pose"].joints   # [F, 17, 3], what a model may see

Both directions stream: `write_samples` takes any iterable and `iterate_samples` gives one record
after the other, so a dataset may be larger than the memory.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.packing import POSE_STEP, pack, pack_integers, quantise, unpack, unpack_integers
from prompts.vocabulary import REGIONS, VIEWS

SCHEMA_VERSION: Final = 1
ROWS_IN_MEMORY: Final = 64
GAZE_STEP: Final = 0.5  # degrees
INFO_FILE: Final = "poise.json"

# Key: what it is. `pose_clean` and `twin` exist for simulated clips only.
COLUMNS: Final[Mapping[str, str]] = {
    "sample_id": "unique name",
    "take_id": "recording",
    "participant_id": "performer; own splits never share one",
    "activity": "what is done",
    "action": "part of the activity",
    "split": "train, validation, test or shifted",
    "views": "view name to path, relative to the dataset",
    "best_exo": "view",
    "calibration": "path",
    "span": "[start, end] in seconds",
    "pose": "what a model may see",
    "pose_clean": "the motion without pose noise",
    "twin": "the performer without faults, frame by frame in step",
    "gaze": "[F, 2] degrees",
    "level": "0..3",
    "rating": "1..10",
    "commentary_raw": "as spoken",
    "summary": "in the output grammar",
    "regions": "region to 0 needs improvement, 1 correct, 2 not mentioned",
    "atomic_actions": "[{t, action}]",
    "steps": "[F] index into step_names",
    "step_names": "set_up first, rest last",
    "repetitions": "[{start, end}] in seconds",
    "faults": "[{name, region, severity, start, end}], one per repetition",
    "correct_points": "names of what is worth praising",
    "moments": "[{start, end}] in seconds",
    "dialogues": "[{question, answer}]",
    "demonstration": "{take_id, span, pa_mpjpe_mm}",
    "score_vector": "14 numbers",
    "origin": "where the row is from",
}
FEATURE_KINDS: Final = ("omnivore_video", "maws_clip_2b")
# Columns that only some datasets have; records of the others lack these keys.
OPTIONAL_COLUMNS: Final[Mapping[str, str]] = {
    "score": "a continuous score of the source: higher is better",
    "proficient": "0 or 1, by the score",
    "experienced": "0 or 1, by experience",
    "supertrial": "which repetition of the performer",
    "frames": "folder of pictures, relative to the download",
    "kinematics": "file of a robot's motion, relative to the download",
    "features": "kind of FEATURE_KINDS to view name to .pt path, relative to the dataset",
}


def write_samples(
    samples: Iterable[Mapping[str, Any]], folder: Path, info: Mapping[str, Any] | None = None
) -> str:
    """Write records as a dataset; returns the sha256 of their content.

    Args:
        samples: records, at least one; missing keys are written as null, unknown keys are an error.
            A generator is drained row by row: only a few rows are in memory at a time. Those
            OPTIONAL_COLUMNS are written that the first record has as keys.
        folder: is created; must be empty or missing. If anything fails it is empty again.
        info: stored beside the dataset in `poise.json`; a mapping that the generator fills is read
            after the last row.

    Raises:
        PoiseError: the folder is in use or cannot be written, there is no record, or one has
            unknown keys.
    """
    _check_folder(folder)
    try:
        rows, sha = _write_rows(samples, folder)
        record = {"schema_version": SCHEMA_VERSION, "rows": rows, "sha256": sha}
        text = json.dumps(record | dict(info or {}), indent=1, sort_keys=True)
        (folder / INFO_FILE).write_text(text + "\n", "utf-8")
    except BaseException as fault:
        _empty(folder)
        if not isinstance(fault, OSError):
            raise
        raise PoiseError(
            f"cannot write dataset {folder}", got=str(fault), remedy="name another folder"
        ) from fault
    return sha


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """All records of a dataset written by `write_samples`.

    Raises:
        PoiseError: no dataset there, or of another schema version.
    """
    return list(iterate_samples(folder))


def iterate_samples(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a dataset one after the other, decoded when they are asked for.

    Raises:
        PoiseError: no dataset there, or of another schema version.
    """
    from datasets import load_from_disk

    read_info(folder)
    for row in load_from_disk(str(folder)):
        yield _decode(row)


class SampleTable:
    """A dataset on disk by row number: some columns of all rows, the poses of some.

    Raises:
        PoiseError: no dataset there, or of another schema version.
    """

    def __init__(self, folder: Path) -> None:
        from datasets import load_from_disk

        self.info = read_info(folder)
        self._rows = load_from_disk(str(folder))
        self._poses = self._rows.select_columns(["pose", "pose_clean"])
        self._ids = self._rows.select_columns(["sample_id"])

    def __len__(self) -> int:
        return len(self._rows)

    def columns(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """These columns of all rows, as stored: not for poses, gaze and steps, which are packed."""
        rows: list[dict[str, Any]] = self._rows.select_columns(list(names)).to_list()
        return rows

    def sample_id(self, row: int) -> str:
        """The name of a row, also where the rest of it is damaged."""
        name: str = self._ids[row]["sample_id"]
        return name

    def pose(self, row: int) -> PoseSequence | None:
        """What a model may see of a row, without decoding the rest of it."""
        packed = self._poses[row]
        clean = packed["pose_clean"]
        base = None if clean is None else unpack_integers(clean["joints"])[0]
        return _decode_pose(packed["pose"], base)

    def sample(self, row: int) -> dict[str, Any]:
        """The whole record of a row.

        Raises:
            PoiseError: what is stored is no pose; damaged bytes raise whatever decoding them does.
        """
        return _decode(self._rows[row])


def read_info(folder: Path) -> dict[str, Any]:
    """The dataset's `poise.json`: schema_version, rows, sha256, preset, noise, seed.

    Raises:
        PoiseError: no dataset there, or of another schema version.
    """
    path = folder / INFO_FILE
    try:
        info: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as fault:
        raise PoiseError(
            f"cannot read dataset {folder}",
            got=f"no readable {INFO_FILE}",
            expected="a folder written by `poise data`",
            remedy=f"make it with `poise data drills --preset mini-test -o {folder}`",
        ) from fault
    if info.get("schema_version") != SCHEMA_VERSION:
        raise PoiseError(
            f"cannot read dataset {folder}",
            got=f"schema version {info.get('schema_version')}",
            expected=str(SCHEMA_VERSION),
            remedy="make the dataset again with this version of Poise",
        )
    return info


def _write_rows(samples: Iterable[Mapping[str, Any]], folder: Path) -> tuple[int, str]:
    """Write the dataset's own files; returns how many rows and the sha256 over them in order.

    The rows go to a scratch file first, since the library divides a dataset into files by its
    whole size; the files that it then writes are those of a dataset made in memory.
    """
    from datasets import Dataset
    from datasets.arrow_writer import ArrowWriter

    digest = hashlib.sha256()
    count = 0
    first = next(rest := iter(samples), None)
    if first is None:
        raise PoiseError(
            f"cannot write dataset {folder}", got="no sample", expected="one sample or more"
        )
    columns = [*COLUMNS, *(key for key in OPTIONAL_COLUMNS if key in first)]
    features = _features(columns)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".rows-") as scratch:
        path = f"{scratch}/rows.arrow"
        with ArrowWriter(features=features, path=path, writer_batch_size=ROWS_IN_MEMORY) as writer:
            for sample in chain([first], rest):
                row = _encode(sample, columns)
                digest.update(json.dumps(row, sort_keys=True, default=bytes.hex).encode() + b"\n")
                writer.write(row)
                count += 1
            writer.finalize()
        written = Dataset.from_file(path)
        # The library's own cache key would depend on the scratch file's name.
        written._fingerprint = digest.hexdigest()[:16]
        written.save_to_disk(str(folder))
    return count, digest.hexdigest()


def _empty(folder: Path) -> None:
    """Remove what a failed writing left; the folder was empty before."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as fault:
        raise PoiseError(
            f"cannot write dataset {folder}", got=str(fault), remedy="name another folder"
        ) from fault
    if used:
        raise PoiseError(
            f"cannot write dataset {folder}",
            got="a folder with files in it",
            expected="a new or empty folder",
            remedy="name another folder or remove this one",
        )


def _encode(sample: Mapping[str, Any], columns: list[str]) -> dict[str, Any]:
    unknown = sorted(set(sample) - set(columns))
    if unknown:
        raise PoiseError(
            "unknown keys in a sample", got=", ".join(unknown), expected=", ".join(columns)
        )
    row: dict[str, Any] = {key: sample.get(key) for key in columns}
    clean: PoseSequence | None = row["pose_clean"]
    base = None if clean is None else quantise(clean.joints, POSE_STEP)
    for key in ("pose", "twin"):
        row[key] = _encode_pose(row[key], base)
    row["pose_clean"] = _encode_pose(clean, None)
    row["gaze"] = None if row["gaze"] is None else pack(row["gaze"], GAZE_STEP)
    row["steps"] = None if row["steps"] is None else pack(row["steps"], 1.0)
    for key in ("span", "correct_points", "step_names", "score_vector"):
        row[key] = None if row[key] is None else list(row[key])
    return row


def _encode_pose(pose: PoseSequence | None, base: np.ndarray | None) -> dict[str, Any] | None:
    if pose is None:
        return None
    values = quantise(pose.joints, POSE_STEP)
    relative = base is not None and base.shape == values.shape
    if relative:
        values = values - base
    sure = bool((pose.confidence == 1).all())
    return {
        "joints": pack_integers(values, POSE_STEP),
        "relative": relative,
        "confidence": None if sure else pack(pose.confidence, 1 / 255),
        "fps": float(pose.fps),
        "source": pose.source,
        "world": pose.world,
    }


def _decode(row: Mapping[str, Any]) -> dict[str, Any]:
    sample = dict(row)
    clean = sample["pose_clean"]
    base = None if clean is None else unpack_integers(clean["joints"])[0]
    for key in ("pose", "twin", "pose_clean"):
        sample[key] = _decode_pose(sample[key], base)
    sample["gaze"] = None if row["gaze"] is None else unpack(row["gaze"])
    sample["steps"] = None if row["steps"] is None else unpack(row["steps"]).astype(np.int64)
    if sample["views"] is not None:
        sample["views"] = _present(sample["views"])
    if sample.get("features") is not None:
        sample["features"] = {
            kind: paths for kind, views in sample["features"].items() if (paths := _present(views))
        }
    return sample


def _present(paths: Mapping[str, str | None] | None) -> dict[str, str]:
    return {key: path for key, path in (paths or {}).items() if path is not None}


def _decode_pose(record: Mapping[str, Any] | None, base: np.ndarray | None) -> PoseSequence | None:
    if record is None:
        return None
    values, step = unpack_integers(record["joints"])
    if record["relative"]:
        assert base is not None
        values = values + base
    joints = (values * step).astype(np.float32)
    if record["confidence"] is None:
        confidence = np.ones(joints.shape[:2], np.float32)
    else:
        confidence = unpack(record["confidence"])
    return PoseSequence(joints, confidence, record["fps"], record["source"], record["world"])


def _features(columns: list[str]) -> Any:
    from datasets import Features, Value

    text, number, small = Value("string"), Value("float32"), Value("int8")
    pose = {
        "joints": Value("binary"),
        "relative": Value("bool"),
        "confidence": Value("binary"),
        "fps": number,
        "source": text,
        "world": Value("bool"),
    }
    span = [{"start": number, "end": number}]
    fault = {"name": text, "region": text, "severity": number, "start": number, "end": number}
    kinds: dict[str, Any] = dict.fromkeys(columns, text)
    kinds |= dict.fromkeys(("pose", "pose_clean", "twin"), pose)
    kinds |= {key: Value("binary") for key in ("gaze", "steps")}
    kinds |= {key: [number] for key in ("span", "score_vector")}
    kinds |= {key: [text] for key in ("step_names", "correct_points")}
    kinds |= {"level": small, "rating": small, "faults": [fault]}
    kinds |= {"moments": span, "repetitions": span}
    kinds |= {key: number for key in ("score",) if key in kinds}
    kinds |= {key: small for key in ("proficient", "experienced", "supertrial") if key in kinds}
    kinds["views"] = dict.fromkeys(VIEWS, text)
    if "features" in kinds:
        kinds["features"] = {kind: dict.fromkeys(VIEWS, text) for kind in FEATURE_KINDS}
    kinds["regions"] = dict.fromkeys(REGIONS, small)
    kinds["atomic_actions"] = [{"t": number, "action": text}]
    kinds["dialogues"] = [{"question": text, "answer": text}]
    kinds["demonstration"] = {"take_id": text, "span": [number], "pa_mpjpe_mm": number}
    return Features(kinds)
