"""Conversations in LLaVA's JSON, as ExpertAF's training data are, from samples and to samples.

    [{"id": "...", "video": ["films/a.mp4"], "views": ["exo1"], "pose": "poses/a.npz",
      "system": "...", "conversations": [{"from": "human", "value": "... <video> ... <pose> ..."},
                                         {"from": "gpt", "value": "Proficiency Level: ..."}],
      "video1": "take", "video1_range": "[30, 90]", ..., "sample": {...}}]

The turns are those of `prompts.render`; one `<video>` stands for each view and one `<pose>` for
the pose. `video1`, `video2` and their ranges, in frames at 30 fps, are ExpertAF's names for the
takes of learner and demonstration. Whatever else a sample holds and JSON can say lies in `sample`,
which readers of LLaVA's format do not look at; without it the conversation alone is read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from assistant.dataset import COLUMNS
from assistant.errors import PoiseError
from assistant.levels import LEVELS
from assistant.pose.read import read_pose
from prompts.parse import parse_feedback
from prompts.render import ZERO_WIDTH_SPACE, render_messages
from prompts.vocabulary import NOT_MENTIONED, POLARITIES, REGIONS, VIEWS

CONVERSATIONS: Final = "conversations.json"
EXPERTAF_FPS: Final = 30.0
FRAMES: Final = 8  # named in the prompt's first sentence
# What a sample holds beside its texts, views and pose, and JSON can carry.
PLAIN: Final = tuple(
    key
    for key in COLUMNS
    if key not in ("sample_id", "views", "pose", "pose_clean", "twin", "gaze", "steps", "summary",
                   "dialogues", "level")
)  # fmt: skip
_EXPECTED: Final = "a list of {id, conversations: [{from: human, value}, {from: gpt, value}, ...]}"
_PLACEHOLDER: Final = re.compile(r"<(?=(?:video|image|pose)\d*>)", re.IGNORECASE)


def to_conversation(sample: Mapping[str, Any], films: list[str], pose: str | None) -> dict | None:
    """One sample as an item of LLaVA's list; None where it has no text to learn.

    Args:
        sample: a record of `assistant.dataset`.
        films: paths of its views, in their order, as they shall stand in the file.
        pose: the path of its pose, or None.
    """
    answer = sample["summary"] or sample["commentary_raw"]
    if not answer:
        return None
    given: dict[str, Any] = {
        "frames": FRAMES if films else 0,
        "n_video": len(films),
        "n_pose": int(bool(pose)),
    }
    messages = render_messages("commentary", **given, target=answer)
    turns = [(message["role"], message["content"]) for message in messages]
    asked: list[tuple[str, str]] = []
    for turn in sample["dialogues"] or ():
        question, reply = turn["question"], turn["answer"]
        chat = render_messages(
            "chat", **given, commentary=answer, question=question, history=asked, target=reply
        )
        turns += [(message["role"], message["content"]) for message in chat[-2:]]
        asked.append((question, reply))
    names = {"user": "human", "assistant": "gpt"}
    item: dict[str, Any] = {"id": sample["sample_id"]}
    if films:
        item |= {"video": films, "views": list(sample["views"])}
    if pose:
        item["pose"] = pose
    item["system"] = turns[0][1]
    item["conversations"] = [
        {"from": names[role], "value": _placeholders(text) if n == 0 else _guarded(text)}
        for n, (role, text) in enumerate(turns[1:])
    ]
    item |= _takes(sample)
    item["sample"] = {key: sample[key] for key in PLAIN if sample.get(key) is not None}
    if sample["level"] is not None:
        item["sample"]["level"] = LEVELS[sample["level"]]
    return item


def read_conversations(path: Path) -> Iterator[dict[str, Any]]:
    """Samples of a LLaVA file; views stay where they are, poses are read from beside the file.

    An answer in Poise's output grammar becomes `summary`, `level` and `regions`; any other text is
    `commentary_raw`. Further turns become `dialogues`.

    Raises:
        PoiseError: naming the item, for everything that does not fit.
    """
    try:
        items = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as fault:
        raise _bad(path, None, f"no readable JSON: {fault}") from fault
    if not isinstance(items, list) or not items:
        raise _bad(path, None, "no list of items")
    seen: set[str] = set()
    for number, item in enumerate(items):
        try:
            sample = _sample(path, item)
        except PoiseError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as fault:
            raise _bad(path, number, f"{type(fault).__name__}: {fault}") from fault
        if sample["sample_id"] in seen:
            raise _bad(path, number, f"the id {sample['sample_id']!r} a second time")
        seen.add(sample["sample_id"])
        yield sample


def _sample(path: Path, item: Mapping[str, Any]) -> dict[str, Any]:
    turns = item["conversations"]
    roles = [turn["from"] for turn in turns]
    if not roles or roles != ["human", "gpt"] * (len(roles) // 2):
        raise ValueError(f"turns of {', '.join(map(str, roles)) or 'nobody'}")
    texts = [_unguarded(turn["value"]) for turn in turns]
    extra = {key: value for key, value in item.get("sample", {}).items() if key in PLAIN}
    sample: dict[str, Any] = {"origin": "LLaVA conversations"} | _spans(item) | extra
    sample |= {"sample_id": str(item["id"]), "views": _views(path, item)}
    if "pose" in item:
        sample["pose"] = read_pose(path.parent / item["pose"])
    sample |= _answer(texts[1], item.get("sample", {}), sample)
    pairs = zip(texts[2::2], texts[3::2], strict=True)
    sample["dialogues"] = [{"question": q, "answer": a} for q, a in pairs] or None
    return sample


def _answer(text: str, extra: Mapping[str, Any], sample: Mapping[str, Any]) -> dict[str, Any]:
    """Summary, level and regions of an answer, or the raw commentary."""
    parsed = parse_feedback(text)
    level = extra.get("level", parsed.level)
    found: dict[str, Any] = {"level": None if level is None else LEVELS.index(level)}
    if parsed.level is None or parsed.problems:
        return found | {"commentary_raw": text}
    if sample.get("regions") is None:
        said = {remark.region: POLARITIES.index(remark.polarity) for remark in parsed.remarks}
        found["regions"] = {region: said.get(region, NOT_MENTIONED) for region in REGIONS}
    return found | {"summary": text}


def _views(path: Path, item: Mapping[str, Any]) -> dict[str, str] | None:
    """View name to absolute path; views without a name count as exo1, exo2, ..."""
    films = item.get("video") or []
    films = [films] if isinstance(films, str) else list(films)
    names = item.get("views") or [f"exo{n}" for n in range(1, len(films) + 1)]
    unknown = sorted(set(names) - set(VIEWS))
    if unknown or len(names) != len(films):
        raise ValueError(f"views {', '.join(names)} for {len(films)} films")
    return {v: str((path.parent / f).resolve()) for v, f in zip(names, films, strict=True)} or None


def _takes(sample: Mapping[str, Any]) -> dict[str, str]:
    """ExpertAF's names for the takes of learner (1) and demonstration (2)."""
    found = {}
    shown = sample["demonstration"] or {}
    for number, take, span in (
        (1, sample["take_id"], sample["span"]),
        (2, shown.get("take_id"), shown.get("span")),
    ):
        if take and span:
            found[f"video{number}"] = take
            found[f"video{number}_range"] = str([round(t * EXPERTAF_FPS) for t in span])
    return found


def _spans(item: Mapping[str, Any]) -> dict[str, Any]:
    """Take, span and demonstration by ExpertAF's names."""
    found: dict[str, Any] = {}
    for number in (1, 2):
        if f"video{number}" not in item:
            continue
        take = str(item[f"video{number}"])
        frames = [int(n) for n in re.findall(r"-?\d+", str(item[f"video{number}_range"]))]
        if len(frames) != 2:
            raise ValueError(f"video{number}_range {item[f'video{number}_range']!r}")
        span = [frame / EXPERTAF_FPS for frame in frames]
        if number == 1:
            found |= {"take_id": take, "span": span}
        else:
            found["demonstration"] = {"take_id": take, "span": span, "pa_mpjpe_mm": None}
    return found


def _placeholders(prompt: str) -> str:
    """Poise's special tokens to LLaVA's: one <video> a view, one <pose>."""
    for name in ("video", "pose"):
        prompt = prompt.replace(f"<|{name}_start|>", "").replace(f"<|{name}_end|>", "")
        prompt = prompt.replace(f"<|{name}|>", f"<{name}>")
    return prompt


def _guarded(text: str) -> str:
    """A text in which no placeholder can be typed."""
    return _PLACEHOLDER.sub(f"<{ZERO_WIDTH_SPACE}", text)


def _unguarded(text: str) -> str:
    return text.replace(f"<{ZERO_WIDTH_SPACE}", "<")


def _bad(path: Path, number: int | None, got: str) -> PoiseError:
    where = "" if number is None else f", item {number}"
    return PoiseError(
        f"cannot use conversations {path}{where}", got=got, expected=_EXPECTED,
        remedy="export them again",
    )  # fmt: skip
