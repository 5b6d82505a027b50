"""What a remark is about: the table from faults and their phrases to measured quantities.

    topics_of("bodyweight_squat", "legs", "The knees cave in clearly.")    # (knee_valgus,)

Every fault that the commentary grammar can name moves one known quantity to one side. A remark's
sentences are matched against the phrases of each; what is named decides, and only where nothing is
named the remark's body region does (docs/proficiency/evidence.md).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

HIGH: Final = 1
LOW: Final = -1
EITHER: Final = 0


@dataclass(frozen=True)
class Topic:
    """One thing that a remark may be about.

    Attributes:
        name: the fault's name, or that of a timing or asymmetry, which no fault moves.
        region: body region of the remarks about it.
        quantity: what is measured (`assistant.pose.quantities`).
        side: on which side of the experts the fault lies: HIGH, LOW, or EITHER.
        phrases: regular expressions of its words, in small letters.
        fault: False for timings and asymmetries; their words are looked for first.
    """

    name: str
    region: str
    quantity: str
    side: int
    phrases: tuple[str, ...]
    fault: bool = True


_FALLING_IN: Final = (
    r"\b(caves?|squeeze|twists?|falls?|collapses?) in\b",
    r"\b(inward|inside|narrow|together|toward|middle|apart)\b",
    r"\btoes?\b|gap between the knees|steady knees|strain|leaks",
    r"press the .*knees?|push the .*knees? out|drive the knees?|open the knees|knees open",
    r"spread the floor|hips? loses? power|hip firm|over the foot|foot points|knees track",
)
_SHALLOW: Final = (
    r"\bhips?\b.*\b(high|stop|sink|little|drop|below|pass|work|above|low|full)",
    r"shallow|depth|short|deep|lower\b|level",
    r"(knees?|legs) bend|bend (the|both) knees|thighs? (stays?|are|go|gets?|until)",
    r"stop|come back|turn around|too (early|soon|high)|back knee|touch the floor",
    r"part of the work|in part|unused|in full|push hard|legs (push|work|drive)",
)
_HEAD_DOWN: Final = (
    r"\b(head|chin|neck|eyes?|gaze|face)\b",
    r"\blook|stare|watch|lose the ball|see the foot|point (ahead|on the wall)",
)
_LEAN: Final = (
    r"\b(chest|trunk|torso|upper body|shoulders?|back)\b",
    r"lean forward|bow forward|fold at the hips|stay tall|drop straight down",
)
_FEW: Final = (r"\b(rush|hurr(y|ied)|tempo|rhythm|abrupt|jerk)", r"too (quick|slow)ly")
_UNEVEN: Final = (
    r"\b(uneven|lopsided|asymmetr|unequal)",
    r"\b(one|left|right) (side|leg|knee|arm|elbow|hand|hip|shoulder) .*\b(more|less|than)\b",
)


def _timing(region: str, quantity: str, phrases: tuple[str, ...] = ()) -> Topic:
    return Topic(quantity, region, quantity, EITHER, (*_FEW, *phrases), fault=False)


def _difference(region: str, quantity: str) -> Topic:
    return Topic(quantity, region, quantity, EITHER, _UNEVEN, fault=False)


TOPICS: Final[Mapping[str, tuple[Topic, ...]]] = {
    "bodyweight_squat": (
        Topic("shallow_depth", "legs", "knee_flexion_max", LOW, _SHALLOW),
        Topic("knee_valgus", "legs", "knee_inside_ankle", HIGH, _FALLING_IN),
        Topic("forward_lean", "torso", "trunk_lean_max", HIGH, _LEAN),
        Topic(
            "heel_rise",
            "feet",
            "ankle_rise",
            HIGH,
            (r"\bheels?\b", r"\btoes\b", r"whole foot|flat|feet|base|floor|ground"),
        ),
        Topic("head_drop", "head", "head_pitch_bottom", HIGH, _HEAD_DOWN),
        _timing("legs", "descent_time"),
        _difference("legs", "knee_flexion_difference"),
    ),
    "basketball_free_throw": (
        Topic(
            "elbow_flare",
            "arms",
            "elbow_flare",
            HIGH,
            (r"\b(elbow|forearm|upper arm|arm)\b", r"to the side|wide|sideways|line"),
        ),
        Topic(
            "insufficient_knee_bend",
            "legs",
            "knee_flexion_dip",
            LOW,
            (r"\b(knees?|legs?|dip|hips)\b", r"bend|sink|stand .* tall|start the shot|load"),
        ),
        Topic(
            "short_follow_through",
            "hands",
            "follow_through_time",
            LOW,
            (r"\b(hand|wrist|fingers?)\b", r"follow through|finish|reach"),
        ),
        Topic(
            "off_balance",
            "torso",
            "side_lean_release",
            HIGH,
            (
                r"\b(trunk|body|torso|shoulders?|weight)\b",
                r"sway|lean|drift|balance|tall|rise straight|land|fall away",
            ),
        ),
        Topic(
            "narrow_stance",
            "feet",
            "stance_width",
            LOW,
            (r"\b(feet|stance|base|heels)\b", r"narrow|wide|close together|step a little"),
        ),
        _timing("arms", "set_to_release_time"),
        _timing("legs", "dip_to_release_time"),
        _difference("torso", "shoulder_tilt_release"),
    ),
    "forward_lunge": (
        Topic("shallow_lunge", "legs", "front_knee_flexion", LOW, _SHALLOW),
        Topic("front_knee_valgus", "legs", "front_knee_inside_ankle", HIGH, _FALLING_IN),
        Topic("forward_lean", "torso", "trunk_lean_max", HIGH, _LEAN),
        Topic(
            "short_step",
            "feet",
            "step_length",
            LOW,
            (r"\b(step|stride|base|feet)\b", r"foot (lands|goes|stops)|set the foot|put the foot"),
        ),
        Topic("head_drop", "head", "head_pitch_bottom", HIGH, _HEAD_DOWN),
        _timing("legs", "descent_time"),
        _difference("legs", "hip_tilt_bottom"),
    ),
    "overhead_press": (
        Topic(
            "soft_lockout",
            "arms",
            "elbow_angle_top",
            LOW,
            (
                r"\b(elbows?|arms?|lockout)\b",
                r"press (too )?.*(early|short)|finish|ceiling|come down|below the top",
            ),
        ),
        Topic(
            "back_arch",
            "torso",
            "lean_back_max",
            HIGH,
            (
                r"\b(trunk|back|ribs|chest|torso|upper body)\b",
                r"lean|arch|behind|brace|tall|hips|shoulders",
            ),
        ),
        Topic(
            "knee_drive",
            "legs",
            "knee_flexion_max",
            HIGH,
            (r"\b(knees?|legs?|dip|thighs?)\b", r"\bhips\b|bounce|jump|swing|stand still"),
        ),
        Topic(
            "bar_forward",
            "hands",
            "hands_ahead_top",
            HIGH,
            (r"\b(hands?|bar|wrists?|grip)\b", r"forward|in front|straight line"),
        ),
        Topic("head_back", "head", "head_pitch_top", LOW, _HEAD_DOWN),
        _timing("arms", "press_time"),
        _difference("arms", "elbow_angle_difference"),
        _difference("hands", "hand_height_difference"),
    ),
    "soccer_penalty_kick": (
        Topic(
            "short_backswing",
            "legs",
            "kick_knee_flexion",
            LOW,
            (r"\b(backswing|knee|leg|shank|whip|heel)\b", r"swing|kick starts"),
        ),
        Topic(
            "lean_back",
            "torso",
            "lean_back_contact",
            HIGH,
            (r"\b(trunk|body|chest|shoulders?|torso|weight)\b", r"lean|fall back|over the ball"),
        ),
        Topic(
            "plant_behind",
            "feet",
            "plant_foot_behind",
            HIGH,
            (
                r"\b(plant|standing foot|plant foot|foot|feet|steps?)\b",
                r"behind|far back|reach for|beside|before the ball|level with the ball",
            ),
        ),
        Topic("head_up", "head", "head_pitch_contact", LOW, _HEAD_DOWN),
        Topic(
            "idle_arm",
            "arms",
            "free_arm_raise",
            LOW,
            (r"\b(arms?|elbow)\b", r"open|lift|hang|close to"),
        ),
        _timing("legs", "backswing_to_contact_time"),
        _difference("torso", "shoulder_tilt_contact"),
    ),
    "golf_swing": (
        Topic(
            "bent_lead_arm",
            "arms",
            "lead_elbow_top",
            LOW,
            (r"\b(arms?|elbow|arc)\b", r"bend|fold|long|length|straight|width"),
        ),
        Topic(
            "restricted_turn",
            "torso",
            "shoulder_turn",
            LOW,
            (r"\b(shoulders?|trunk|turn|back|chest|body)\b", r"wind up|coil|target"),
        ),
        Topic(
            "hip_sway",
            "legs",
            "hip_sway",
            HIGH,
            (r"\b(hips?|legs?|knee|lower body|weight)\b", r"slide|sway|between your feet|barrel"),
        ),
        Topic(
            "head_up_early",
            "head",
            "face_turn_impact",
            HIGH,
            (*_HEAD_DOWN, r"peek|hear the ball|follow the ball"),
        ),
        Topic(
            "low_finish",
            "hands",
            "hands_over_shoulders",
            LOW,
            (r"\b(hands?|wrists?|finish|follow through|club)\b", r"cut the swing|swing ends"),
        ),
        _timing("arms", "swing_tempo"),
        _difference("torso", "shoulder_tilt_impact"),
    ),
}


def topics_of(activity: str, region: str, text: str) -> tuple[Topic, ...]:
    """What the sentences of a remark name, each topic once; empty where they name nothing.

    A sentence is about the timing or asymmetry whose words stand in it, else about the fault of
    the remark's region with most of its phrases in it (all of those that tie). Faults of another
    region count only where no sentence names one of the remark's own.
    """
    known = TOPICS.get(activity, ())
    extra = [topic for topic in known if not topic.fault]
    own = region_topics(activity, region)
    others = [topic for topic in known if topic.fault and topic.region != region]
    sentences = [part for part in re.split(r"[.!?]", text.lower()) if part.strip()]
    found = [_most_named(extra, part) or _most_named(own, part) for part in sentences]
    if own and not any(found):
        found = [_most_named(others, part) for part in sentences]
    named = [topic for topics in found for topic in topics]
    # Of "too fast" and the like that several measurements may show, those of the region go first.
    nearest = [topic for topic in named if topic.fault or topic.region == region]
    return tuple(dict.fromkeys(nearest or named))


def region_topics(activity: str, region: str) -> tuple[Topic, ...]:
    """The faults of a region: what a remark is about that names nothing else."""
    return tuple(t for t in TOPICS.get(activity, ()) if t.fault and t.region == region)


def _most_named(group: Sequence[Topic], sentence: str) -> list[Topic]:
    hits = [sum(bool(p.search(sentence)) for p in _compiled(t.phrases)) for t in group]
    most = max(hits, default=0)
    return [topic for topic, n in zip(group, hits, strict=True) if n == most > 0]


@cache
def _compiled(phrases: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(phrase) for phrase in phrases)
