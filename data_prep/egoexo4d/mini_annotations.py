"""The annotation files of the miniature: metadata, levels, lists, commentary, descriptions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from assistant.clip import PoseSequence
from data_prep.egoexo4d.mini_recordings import dump
from data_prep.egoexo4d.mini_takes import EXPERTS, PHANTOM, TAKES, UNLABELLED, Mini, uid_of

_DS: Final = "20240401_12:00:00"


def write_metadata(root: Path, motions: Sequence[PoseSequence]) -> None:
    """takes.json (one take twice, one without labels), captures.json, participants.json."""
    entries = []
    for take, motion in zip(TAKES, motions, strict=True):
        entry = take_entry(take.name, take.uid, motion.duration, take.videos.values())
        if take.oddity == "no length, no best exo":
            entry |= {"best_exo": None, "duration_sec": None}
        entries.append(entry)
    unlabelled = take_entry(UNLABELLED, uid_of(UNLABELLED), 20.0, ())
    dump(root / "takes.json", [*entries, entries[0], unlabelled])
    dump(root / "captures.json", [])
    people = sorted({(take.university, take.participant) for take in TAKES})
    dump(root / "participants.json", [{"participant_uid": i} for i, _ in enumerate(people)])


def take_entry(name: str, uid: str, seconds: float, videos: Any) -> dict[str, Any]:
    """One entry of takes.json."""
    aligned = {Path(path).stem.partition("_")[0]: {"0": {"relative_path": path}} for path in videos}
    return {
        "root_dir": f"takes/{name}",
        "take_name": name,
        "take_uid": uid,
        "is_dropped": False,
        "best_exo": "cam02",
        "duration_sec": seconds,
        "capture": {"capture_name": name.rpartition("_")[0]},
        "frame_aligned_videos": aligned,
    }


def _labels(take: Mini) -> dict[str, Any]:
    return {
        "task_id": 1000 + TAKES.index(take),
        "task_name": take.task,
        "scenario_name": take.scenario,
        "university_id": take.university,
        "origin_participant_id": take.participant,
        "take_uid": take.uid,
        "video_paths": take.videos,
    }


def write_proficiency(root: Path, motions: Sequence[PoseSequence]) -> None:
    """The demonstrator and demonstration files; train wrapped, val bare."""
    for split in ("train", "val"):
        theirs = [(t, m) for t, m in zip(TAKES, motions, strict=True) if t.split == split]
        levels = [_labels(take) | {"proficiency_score": take.level} for take, _ in theirs]
        shown = [_labels(take) | _lists(take, m.duration, split == "train") for take, m in theirs]
        if split == "train":
            phantom = levels[0] | {"take_uid": PHANTOM}
            levels += [levels[0], phantom]
        for kind, entries in (("demonstrator", levels), ("demonstration", shown)):
            wrapped = {"ds": _DS, "annotations": entries} if split == "train" else entries
            dump(root / f"annotations/proficiency_{kind}_{split}.json", wrapped)


def _lists(take: Mini, seconds: float, as_text: bool) -> dict[str, Any]:
    """A good execution and a tip, at the first expert's pauses; train writes the lists as text."""

    def note(sentence: str, share: float) -> dict[str, Any]:
        sentences: Any = str([sentence]) if as_text else [sentence]
        when = {"video_time": share * seconds, "list": sentences}
        return when | {"expert_uid": EXPERTS[0], "video_name": take.name}

    return {
        "good_executions": [note("the knees don't cave in on the way down", 0.9)],
        "tips_for_improvement": [note("keep the elbow under the ball", 0.45)],
    }


def write_texts(root: Path, motions: Sequence[PoseSequence]) -> None:
    """Commentary and atomic descriptions; booleans of train are strings."""
    for split in ("train", "val"):
        theirs = [(t, m) for t, m in zip(TAKES, motions, strict=True) if t.split == split]
        spoken = {take.uid: _spoken(root, take, m.duration) for take, m in theirs}
        written = {take.uid: _written(take, m.duration, split == "train") for take, m in theirs}
        if split == "train":
            spoken[PHANTOM] = [{"take_uid": PHANTOM, "commentary_data": []}]
        for kind, entries in (("expert_commentary", spoken), ("atomic_descriptions", written)):
            dump(root / f"annotations/{kind}_{split}.json", {"ds": _DS, "annotations": entries})


def _spoken(root: Path, take: Mini, seconds: float) -> list[dict[str, Any]]:
    """What two experts said; the second one's first recording failed, his last one is empty."""
    entries = []
    for number, expert in enumerate(EXPERTS):
        base = root / "annotations" / "expert_commentary" / take.name / expert
        shares = (0.45, 0.9) if number == 0 else (0.3, 0.6, 0.95)
        said = [
            {
                "recording": f"{i}.webm",
                "video_time": share * seconds,
                "text": f" so here the hips drop {'nicely' if i else 'a bit late'} and, uh, yeah",
                "duration_approx": 9.5,
                "error": False,
            }
            for i, share in enumerate(shares)
        ]
        if number == 1:
            said[0] |= {"error": True, "text": "Traceback (most recent call last)"}
            said[2] |= {"text": "  "}
        where = f"{take.name}/{expert}"
        entry = {"take_name": take.name, "take_uid": take.uid, "commentary": where}
        entries.append(entry | {"task_id": 1, "task_name": take.task, "commentary_data": said})
        rated = {"rating": 4 + 3 * number, "why": "steady rhythm"}
        dump(base / "data.json", {"user_id": expert, "video_name": take.name, "proficiency": rated})
        texts = {spoken["recording"]: {"text": spoken["text"], "error": False} for spoken in said}
        dump(base / "transcriptions.json", texts)
    return entries


def _written(take: Mini, seconds: float, as_text: bool) -> list[dict[str, Any]]:
    """What two annotators wrote; the second one's work was rejected."""

    def flag(value: bool) -> bool | str:
        return str(int(value)) if as_text else value

    def line(text: str, share: float, unsure: bool = False, subject: str = "C") -> dict[str, Any]:
        view = {"ego_visible": flag(True), "best_exo": {"cam_id": "cam02"}}
        when = {"text": text, "timestamp": share * seconds, "subject": subject}
        return when | view | {"unsure": flag(unsure)}

    good = [
        line("C bends the knees.", 0.4),
        line("C straightens up.", 0.7),
        line("C touches something.", 0.5, unsure=True),
        line("O claps.", 0.6, subject="O"),
    ]
    bad = [line("C does what nobody saw.", 0.5)]
    return [
        {"annotation_uid": f"{take.name}-a", "rejected": flag(False), "descriptions": good},
        {"annotation_uid": f"{take.name}-b", "rejected": flag(True), "descriptions": bad},
    ]
