"""Are coaching questions answered on the asked subject? A published rule, and its floors.

Every question is asked about two clips of one activity with different faults, each beside the
other as the earlier clip. The rule (docs/chat.md) reads the answer's first sentence, since a long
answer that mentions everything answers nothing, and of "show me" the calls:

    what_to_fix_first  names the region of the feedback's focus and no other, or says that there is
                       nothing to fix where nothing was criticised
    body_region        names the asked region and no other
    compare            speaks of the earlier clip
    explain_level      names the clip's level and no other
    show_me            the answer calls for a demonstration or a correction
    drill              quotes most words of the feedback's drill, or says "drill" or "exercise"
    readiness          says whether the learner is ready
    medical            is the referral to a professional, and no other answer is
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.chat import ClipTalk, Filling, SeenClip, knows_dialogues
from assistant.chat_session import look_at
from assistant.coach import Coach
from assistant.coach_result import CoachInput
from assistant.engine.base import GenerationOptions
from assistant.errors import PoiseError
from assistant.medical import REFERRAL, is_medical
from eval.statistics import bootstrap
from eval.tables import with_interval
from eval.testset import TestClip
from prompts.claims import false_claims
from prompts.stated import stated_numbers
from prompts.vocabulary import (
    CALLS,
    LEVELS,
    REGIONS,
    SHOW_CORRECTION,
    SHOW_DEMONSTRATION,
    SUBJECTS,
)

SPORTS: Final = {
    "squat": "bodyweight_squat",
    "lunge": "forward_lunge",
    "overhead_press": "overhead_press",
    "basketball_free_throw": "basketball_free_throw",
    "soccer_penalty_kick": "soccer_penalty_kick",
    "golf_swing": "golf_swing",
}
GENERAL: Final = "general"
REGION_WORDS: Final = {
    "head": r"head|eyes?|chin|gaze|neck|face",
    "torso": r"torso|back|chest|trunk|upper body|core|posture|spine|ribs",
    "arms": r"arms?|elbows?|shoulders?|forearms?",
    "hands": r"hands?|wrists?|fingers?|grip",
    "legs": r"legs?|knees?|hips?|thighs?|shank",
    "feet": r"feet|foot|ankles?|heels?|toes?|stance",
}
_REGION = re.compile(
    "|".join(rf"(?P<{region}>\b(?:{words})\b)" for region, words in REGION_WORDS.items())
)
_NOTHING = re.compile(r"\b(nothing|no (clear |other )?(mistakes?|faults?|repair))\b")
_EARLIER = re.compile(r"\b(last time|earlier|before|previous|since|compared|than|still|again)\b")
_READY = re.compile(r"\b(ready|not yet|too (early|soon)|go on|wait)\b")
_DRILL = re.compile(r"\b(drills?|exercises?)\b")
MOST_OF_A_DRILL: Final = 0.6
BATCH: Final = 32


@dataclass(frozen=True)
class Asked:
    """A question of the file."""

    question_id: str
    subject: str
    region: str | None
    sport: str
    question: str


def read_questions(path: Path) -> list[Asked]:
    """The questions of a JSONL file.

    Raises:
        PoiseError: the file cannot be read, or a row is no question.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        asked = [Asked(r["id"], r["subject"], r["region"], r["sport"], r["question"]) for r in rows]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise PoiseError(
            f"cannot read the questions of {path}",
            got=f"{type(fault).__name__}: {fault}",
            expected="one JSON object a line: id, subject, region, sport, question",
        ) from fault
    wrong = [
        a.question_id
        for a in asked
        if a.subject not in SUBJECTS
        or a.sport not in (*SPORTS, GENERAL)
        or (a.subject == "body_region") != (a.region in REGIONS)
    ]
    if wrong or not asked:
        raise PoiseError(
            f"not the questions of a chat: {path}",
            got=f"unknown subject, sport or region in {', '.join(wrong)}" if wrong else "no row",
            expected=f"subjects {', '.join(SUBJECTS)}",
        )
    return asked


def named_regions(text: str) -> list[str]:
    """The regions whose words a text names, in order."""
    return [found.lastgroup for found in _REGION.finditer(text.lower()) if found.lastgroup]


def on_subject(asked: Asked, answer: str, clip: SeenClip) -> bool:
    """The rule: whether an answer, calls as written, is on the asked subject."""
    if asked.subject == "medical" or answer == REFERRAL:
        return asked.subject == "medical" and answer == REFERRAL
    if asked.subject == "show_me":
        return SHOW_DEMONSTRATION in answer or SHOW_CORRECTION in answer
    first, focus = first_sentence(answer), clip.feedback["focus"]
    if asked.subject == "what_to_fix_first":
        if focus is None:
            return bool(_NOTHING.search(first))
        return set(named_regions(first)) == {focus["region"]}
    if asked.subject == "body_region":
        return set(named_regions(first)) == {asked.region}
    if asked.subject == "explain_level":
        return set(re.findall("|".join(LEVELS).lower(), first)) == {clip.level.lower()}
    if asked.subject == "drill":
        return bool(_DRILL.search(first)) or _quotes(first, _drill_of(clip))
    return bool((_EARLIER if asked.subject == "compare" else _READY).search(first))


def first_sentence(answer: str) -> str:
    """The first sentence in small letters, calls left out."""
    plain = re.sub("|".join(map(re.escape, CALLS)), " ", answer).lower().strip()
    return re.split(r"[.!?\n]", plain, maxsplit=1)[0]


def _drill_of(clip: SeenClip) -> str:
    """The drill of the generated commentary."""
    found = re.search(r"Drill: (.*)", clip.commentary)
    return found[1] if found else ""


def _quotes(text: str, drill: str) -> bool:
    words = set(re.findall(r"[a-z]+", drill.lower()))
    said = set(re.findall(r"[a-z]+", text))
    return bool(words) and len(words & said) >= MOST_OF_A_DRILL * len(words)


@dataclass(frozen=True)
class Answered:
    """One answer: the talk that it belongs to, as written (`raw`) and as shown (`text`)."""

    asked: Asked
    pair: int
    talk: ClipTalk
    raw: str
    text: str


def pairs_of(
    coach: Coach, clips: Sequence[TestClip], activities: Sequence[str], tried: int
) -> dict[str, tuple[SeenClip, SeenClip]]:
    """For each activity the first two clips that are judged and told to fix different regions.

    Args:
        tried: clips of each activity that are looked at.

    Raises:
        PoiseError: an activity without such a pair.
    """
    pairs = {}
    for activity in activities:
        seen: list[SeenClip] = []
        for clip in [c for c in clips if c.activity == activity and c.faults][:tried]:
            _, found, _ = look_at(coach, CoachInput(clip.sample_id, clip.pose), activity=activity)
            if found is not None and found.feedback["focus"] is not None:
                seen.append(found)
            others = [c for c in seen[:-1] if c.to_improve()[0] != seen[-1].to_improve()[0]]
            if others:
                pairs[activity] = (others[0], seen[-1])
                break
        else:
            raise PoiseError(
                f"no two clips of {activity} with different faults",
                got=f"{len(seen)} judged clips with something to fix",
                remedy="raise --tried",
            )
    return pairs


def ask_all(
    coach: Coach,
    questions: Sequence[Asked],
    pairs: Mapping[str, tuple[SeenClip, SeenClip]],
    progress: Callable[[int, int], None] | None = None,
) -> list[Answered]:
    """Every question about both clips of a pair; general ones go round the activities."""
    activities, asked = list(pairs), []
    taught = knows_dialogues(coach.engine)
    for number, question in enumerate(questions):
        general = question.sport == GENERAL
        activity = activities[number % len(activities)] if general else SPORTS[question.sport]
        if activity in pairs:
            for place in range(2):
                clip, other = pairs[activity][place], pairs[activity][1 - place]
                experts = coach.experts.table.get(activity)
                talk = ClipTalk(clip, other, experts, fused_video=coach.fused_video, taught=taught)
                asked.append((question, place, talk))
    model = [item for item in asked if not is_medical(item[0].question)]
    raw: dict[int, str] = {}
    for begin in range(0, len(model), BATCH):
        some = model[begin : begin + BATCH]
        prompts = [talk.prompt(question.question) for question, _, talk in some]
        answers = coach.engine.generate(prompts, GenerationOptions())
        raw |= {id(item): a.text for item, a in zip(some, answers, strict=True)}
        if progress is not None:
            progress(begin + len(some), len(model))
    answered = []
    for item in asked:
        question, place, talk = item
        written = raw.get(id(item), REFERRAL)
        filling = Filling(talk)
        filling.add(written)
        answered.append(Answered(question, place, talk, written, filling.text))
    return answered


def unsupported(answer: Answered, talk: ClipTalk | None = None) -> set[str]:
    """Numbers that an answer states and the feedback of its clips does not.

    Args:
        talk: hold the answer against the feedback of this one instead.
    """
    talk = answer.talk if talk is None else talk
    known = [talk.clip.commentary, talk.told_earlier or ""]
    filled = (talk.fill(call) for call in CALLS)
    known += [text for text in filled if isinstance(text, str)]
    return stated_numbers(answer.text) - stated_numbers(" ".join(known))


def claims_falsely(answer: Answered, talk: ClipTalk | None = None) -> bool:
    """Whether an answer claims what is not true of its clips (`prompts.claims`).

    Args:
        talk: as of `unsupported`.
    """
    talk = answer.talk if talk is None else talk
    return bool(false_claims(answer.raw, talk.claims))


def evaluate(
    answered: Sequence[Answered], questions: Sequence[Asked], *, seed: int = 0
) -> dict[str, Any]:
    """Shares with their floors and n.

    Floors of the subject: every answer held against a question of another subject ("exchanged"),
    and the clip's commentary given as the answer to everything ("commentary").
    """
    talked = [a for a in answered if a.asked.subject != "medical"]
    if not talked:
        raise PoiseError("no question can be asked", got=f"{len(questions)} questions")
    right = np.array([on_subject(a.asked, a.raw, a.talk.clip) for a in talked])
    asked_ids = [a.asked.question_id for a in talked]
    exchanged = _exchanged(talked, np.random.default_rng(seed))
    repeated = [on_subject(a.asked, a.talk.clip.commentary, a.talk.clip) for a in talked]
    by_subject = {
        subject: _share(
            [r for r, a in zip(right, talked, strict=True) if a.asked.subject == subject]
        )
        for subject in SUBJECTS
        if any(a.asked.subject == subject for a in talked)
    }
    interval = bootstrap(right, asked_ids, seed=seed)
    both = _both(talked)
    crossed = [*((a, b.talk) for a, b in both), *((b, a.talk) for a, b in both)]
    claiming = [a for a in talked if _claims(a)]
    medical = [q for q in questions if q.subject == "medical"]
    others = [q for q in questions if q.subject != "medical"]
    return {
        "on_subject": float(right.mean()),
        "on_subject_interval": [interval.low, interval.high],
        "on_subject_exchanged": float(np.mean(exchanged)),
        "on_subject_commentary": float(np.mean(repeated)),
        "by_subject": by_subject,
        "unsupported_numbers": float(np.mean([bool(unsupported(a)) for a in talked])),
        "unsupported_numbers_other_clip": float(
            np.mean([bool(unsupported(a, talk)) for a, talk in crossed])
        ),
        "false_claims": _share([claims_falsely(a) for a in claiming]),
        "false_claims_other_clip": _share(
            [claims_falsely(a, talk) for a, talk in crossed if _claims(a)]
        ),
        "differing": float(np.mean([a.text != b.text for a, b in both])),
        "medical_routed": _share([is_medical(q.question) for q in medical]),
        "others_routed": _share([is_medical(q.question) for q in others]),
        "n_answers": len(talked),
        "n_questions": len(set(asked_ids)),
        "n_left_out": len({q.question_id for q in others} - set(asked_ids)),
        "activities": sorted({a.talk.clip.activity for a in talked}),
        "answers": [
            {
                "id": a.asked.question_id,
                "clip": a.talk.clip.name,
                "on_subject": bool(r),
                "raw": a.raw,
            }
            for a, r in zip(talked, right, strict=True)
        ],
    }


def _claims(answer: Answered) -> bool:
    """Whether an answer makes a claim that can be checked."""
    return any(lead in answer.raw for lead in answer.talk.claims)


def _share(found: Sequence[bool]) -> dict[str, float | int | None]:
    return {"share": float(np.mean(found)) if found else None, "n": len(found)}


def _exchanged(answers: Sequence[Answered], rng: np.random.Generator) -> list[bool]:
    """Each question judged by the answer to one of another subject about the same clip."""
    found = []
    for mine in answers:
        others = [
            a
            for a in answers
            if a.asked.subject != mine.asked.subject and a.talk.clip is mine.talk.clip
        ]
        if others:
            other = others[int(rng.integers(len(others)))]
            found.append(on_subject(mine.asked, other.raw, mine.talk.clip))
    return found or [False]


def _both(answers: Sequence[Answered]) -> list[tuple[Answered, Answered]]:
    """The answers to each question about the two clips."""
    by_id: dict[str, list[Answered]] = {}
    for answer in answers:
        by_id.setdefault(answer.asked.question_id, []).append(answer)
    return [(some[0], some[1]) for some in by_id.values() if len(some) == 2]


def table(result: Mapping[str, Any]) -> str:
    """The result for people."""
    on_subject = with_interval(result["on_subject"], result["on_subject_interval"])
    lines = [
        f"chat questions: {result['n_questions']} questions, each about two clips "
        f"({', '.join(result['activities'])}); {result['n_left_out']} left out (other sports)",
        f"on the asked subject    {on_subject}   n {result['n_answers']}",
        f"  answers exchanged     {result['on_subject_exchanged']:.3f}",
        f"  commentary repeated   {result['on_subject_commentary']:.3f}",
        *(
            f"  {name:<20}  {row['share']:.3f}   n {row['n']}"
            for name, row in result["by_subject"].items()
        ),
        f"unsupported numbers     {result['unsupported_numbers']:.3f}"
        f"   against the other clip {result['unsupported_numbers_other_clip']:.3f}",
        f"false claims            {_told(result['false_claims'])}"
        f"   against the other clip {_told(result['false_claims_other_clip'])}",
        f"two clips, two answers  {result['differing']:.3f}",
        f"medical routed          {_told(result['medical_routed'])}"
        f"   others routed {_told(result['others_routed'])}",
    ]
    return "\n".join(lines)


def _told(row: Mapping[str, Any]) -> str:
    return "none asked" if row["share"] is None else f"{row['share']:.3f} (n {row['n']})"
