"""What experts said and annotators wrote about a take, cleaned and counted.

An expert pauses the film and speaks about what was seen before the pause, so a comment belongs to
the seconds before its `video_time` (the annotators were told not to refer to later frames).
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.files import MIN_SECONDS
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.layout import Layout
from data_prep.egoexo4d.stream import as_flag, read_object
from data_prep.egoexo4d.takes import Take
from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT

# Pauses just behind the end of a film are rounding; later ones belong to another film.
_END_TOLERANCE: Final = 1.0
_LISTS: Final = {"good_executions": CORRECT, "tips_for_improvement": NEEDS_IMPROVEMENT}


@dataclass(frozen=True)
class Comment:
    """One spoken comment.

    Attributes:
        expert: six-character id.
        number: place among the expert's comments on the take, as in the file.
        time: seconds of the take at which the expert paused it.
        text: the transcription.
    """

    expert: str
    number: int
    time: float
    text: str


def comments(
    take: Take, entries: Iterable[Mapping[str, Any]], findings: Findings
) -> Iterator[Comment]:
    """The usable comments of a take; failed, empty and misplaced ones are counted."""
    experts = set()
    for entry in entries:
        expert = str(entry.get("commentary", "")).rpartition("/")[2] or "unknown"
        if expert in experts:
            findings.add("experts_twice", f"{take.uid}/{expert}")
            continue
        experts.add(expert)
        for number, spoken in enumerate(entry.get("commentary_data") or []):
            time, text = spoken.get("video_time"), str(spoken.get("text") or "").strip()
            reason = _unusable(take, time, text, spoken.get("error"))
            if reason is None:
                assert time is not None
                yield Comment(expert, number, float(time), text)
            else:
                findings.counts[f"comments_{reason}"] += 1


def rating(
    layout: Layout, take: Take, expert: str, findings: Findings
) -> tuple[int | None, str | None]:
    """An expert's rating of the whole take, 1..10, and why; None where there is none."""
    path = layout.expert(f"{take.name}/{expert}")
    if not path.exists():
        findings.counts["ratings_absent"] += 1
        return None, None
    try:
        given = read_object(path).get("proficiency") or {}
        value = given.get("rating") if isinstance(given, dict) else None
        number = None if value is None else float(value)
        if number is not None and not (1 <= number <= 10 and number == int(number)):
            raise ValueError(f"rating {value!r}")
    except (PoiseError, TypeError, ValueError) as fault:
        wrong = fault if isinstance(fault, PoiseError) else _no_rating(path, str(fault))
        findings.read("ratings", wrong)
        return None, None
    findings.read("ratings", None)
    return None if number is None else int(number), given.get("why") or None


def atomic_actions(
    entries: Iterable[Mapping[str, Any]], findings: Findings
) -> list[dict[str, Any]]:
    """[{t, action}] over all annotators in order of time, t in seconds of the take.

    Rejected annotations, unsure descriptions and those of other people than the performer ("C")
    are counted and left out.
    """
    kept = []
    for entry in entries:
        if as_flag(entry.get("rejected")):
            findings.counts["atomic_descriptions_rejected"] += 1
            continue
        for line in entry.get("descriptions") or []:
            time, text = line.get("timestamp"), str(line.get("text") or "").strip()
            if as_flag(line.get("unsure")):
                findings.counts["atomic_descriptions_unsure"] += 1
            elif line.get("subject") not in (None, "", "C"):
                findings.counts["atomic_descriptions_of_others"] += 1
            elif not isinstance(time, int | float) or not text:
                findings.counts["atomic_descriptions_empty"] += 1
            else:
                kept.append({"t": float(time), "action": text})
    return sorted(kept, key=lambda action: action["t"])


def notes(take: Take, entries: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The official good executions and tips, one line each: what labels are checked against."""
    for entry in entries:
        for key, polarity in _LISTS.items():
            for note in entry.get(key) or []:
                for text in _texts(note.get("list")):
                    yield {
                        "take_id": take.uid,
                        "split": take.our_split,
                        "kind": key,
                        "polarity": polarity,
                        "time": note.get("video_time"),
                        "expert": note.get("expert_uid"),
                        "text": text,
                    }


def _texts(value: Any) -> list[str]:
    """The sentences of `list`: a list, or a string that is a list in Python's notation."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            value = [value]
    sentences = [value] if isinstance(value, str) else value or []
    return [text for sentence in sentences if (text := str(sentence).strip())]


def _unusable(take: Take, time: Any, text: str, error: Any) -> str | None:
    """Why a comment is left out, None for a good one."""
    try:
        failed = as_flag(error)
    except ValueError:
        failed = True  # a message instead of a flag
    if failed:
        return "with_transcription_error"
    if not text:
        return "empty"
    if not isinstance(time, int | float) or time != time:
        return "without_time"
    if time < MIN_SECONDS:
        return "before_anything_was_seen"
    if take.duration is not None and time > take.duration + _END_TOLERANCE:
        return "after_the_end"
    return None


def _no_rating(path: Any, got: str) -> PoiseError:
    return PoiseError(f"no rating in {path}", got=got, expected="a whole number from 1 to 10")
