"""The named faults of each activity: what they move, by how much, and who says so.

`normal` is the range of the quantity in faultless simulated performers; every size at severity
0.3 lies outside it, so a faultless style never shows what a fault shows. The sizes between and
beyond the cited values are ours; the citations give the direction and the order of magnitude.
"""

from collections.abc import Mapping
from typing import Final

from assistant.errors import PoiseError
from data_prep.drills.fault_spec import FaultSpec
from data_prep.drills.faults_ball import GOLF_SWING, PENALTY_KICK
from data_prep.drills.faults_gym import FORWARD_LUNGE, OVERHEAD_PRESS

FAULTS: Final[Mapping[str, tuple[FaultSpec, ...]]] = {
    "bodyweight_squat": (
        FaultSpec(
            "shallow_depth",
            "legs",
            "peak knee flexion of the repetition",
            "deg",
            (104.0, 138.0),
            90.0,
            78.0,
            60.0,
            "Schoenfeld 2010, J Strength Cond Res 24(12): partial 40, half 70-100, deep above 100"
            " degrees of knee flexion; Escamilla 2001, Med Sci Sports Exerc 33(1)",
        ),
        FaultSpec(
            "knee_valgus",
            "legs",
            "medial displacement of each knee inside its ankle at the deepest point",
            "cm",
            (-18.0, 0.5),
            4.0,
            6.5,
            10.0,
            "Myer et al. 2014, Strength Cond J 36(6): knees must not pass inside the ankles;"
            " Bell, Padua & Clark 2008, Arch Phys Med Rehabil 89(7): medial knee displacement",
        ),
        FaultSpec(
            "forward_lean",
            "torso",
            "peak trunk lean from the vertical",
            "deg",
            (16.0, 42.0),
            51.0,
            59.0,
            70.0,
            "Myer et al. 2014, Strength Cond J 36(6): trunk parallel to the shanks or more upright;"
            " Fry, Smith & Schilling 2003, J Strength Cond Res 17(4): trunk lean 31-46 degrees",
        ),
        FaultSpec(
            "heel_rise",
            "feet",
            "rise of the ankles over their standing height",
            "cm",
            (0.0, 0.6),
            3.5,
            5.5,
            8.0,
            "Myer et al. 2014, Strength Cond J 36(6): the entire foot stays on the ground;"
            " Macrum et al. 2012, J Sport Rehabil 21(2): limited dorsiflexion in the squat",
        ),
        FaultSpec(
            "head_drop",
            "head",
            "head pitch below the horizontal, ears to nose, at the deepest point",
            "deg",
            (-12.0, 24.0),
            37.0,
            48.0,
            62.0,
            "Donnelly, Berg & Fiske 2006, J Strength Cond Res 20(1): gaze down raises trunk"
            " flexion; Myer et al. 2014: head in line with the trunk, gaze ahead",
        ),
    ),
    "basketball_free_throw": (
        FaultSpec(
            "elbow_flare",
            "arms",
            "shooting upper arm out of the sagittal plane at the set point",
            "deg",
            (2.0, 25.0),
            36.0,
            46.0,
            60.0,
            "Knudson 1993, JOPERD 64(2): arm in the vertical plane of the shot; Okazaki, Rodacki &"
            " Satern 2015, Sports Biomech 14(2); Cabarkapa et al. 2021: forearm angle of"
            " non-proficient shooters",
        ),
        FaultSpec(
            "insufficient_knee_bend",
            "legs",
            "peak knee flexion of the dip",
            "deg",
            (46.0, 88.0),
            34.0,
            25.0,
            15.0,
            "Cabarkapa et al. 2021, Sports 9(9): proficient free-throw shooters flex knees and"
            " hips more in the preparatory phase; Knudson 1993, JOPERD 64(2)",
        ),
        FaultSpec(
            "short_follow_through",
            "hands",
            "time the shooting wrist stays above the eyes after release",
            "s",
            (0.55, 1.7),
            0.32,
            0.22,
            0.10,
            "Wissel 2012, Basketball: Steps to Success, 3rd ed.: hold the follow-through until the"
            " ball reaches the basket (about 1 s of flight)",
        ),
        FaultSpec(
            "off_balance",
            "torso",
            "sideways lean of the trunk shortly after release",
            "deg",
            (0.0, 10.0),
            16.0,
            22.0,
            31.0,
            "Knudson 1993, JOPERD 64(2): body erect and balanced at release; Verhoeven & Newell"
            " 2016, Hum Mov Sci 49: postural sway separates skill levels in the free throw",
        ),
        FaultSpec(
            "narrow_stance",
            "feet",
            "distance between the ankles during the shot",
            "cm",
            (21.0, 46.0),
            13.5,
            9.5,
            5.0,
            "Wissel 2012, Basketball: Steps to Success, 3rd ed.: feet shoulder-width apart;"
            " Knudson 1993, JOPERD 64(2): stable staggered base",
        ),
    ),
    "forward_lunge": FORWARD_LUNGE,
    "overhead_press": OVERHEAD_PRESS,
    "soccer_penalty_kick": PENALTY_KICK,
    "golf_swing": GOLF_SWING,
}

# Fault pairs that only the shifted split contains.
RESERVED: Final = {
    "bodyweight_squat": ("heel_rise", "head_drop"),
    "basketball_free_throw": ("elbow_flare", "narrow_stance"),
    "forward_lunge": ("short_step", "head_drop"),
    "overhead_press": ("knee_drive", "bar_forward"),
    "soccer_penalty_kick": ("plant_behind", "head_up"),
    "golf_swing": ("hip_sway", "low_finish"),
}

# Praise that a motion may earn: activity -> name -> region.
GOOD_POINTS: Final[Mapping[str, Mapping[str, str]]] = {
    "bodyweight_squat": {
        "depth": "legs",
        "knees_track": "legs",
        "upright_trunk": "torso",
        "heels_down": "feet",
        "head_up": "head",
        "steady_arms": "arms",
    },
    "basketball_free_throw": {
        "elbow_under": "arms",
        "knee_bend": "legs",
        "long_follow_through": "hands",
        "balanced": "torso",
        "wide_base": "feet",
        "eyes_on_rim": "head",
    },
    "forward_lunge": {
        "deep_lunge": "legs",
        "tall_trunk": "torso",
        "long_step": "feet",
        "level_head": "head",
        "calm_arms": "arms",
    },
    "overhead_press": {
        "full_lockout": "arms",
        "still_legs": "legs",
        "braced_trunk": "torso",
        "bar_over_shoulders": "hands",
        "neutral_head": "head",
    },
    "soccer_penalty_kick": {
        "firm_plant": "feet",
        "full_backswing": "legs",
        "over_the_ball": "torso",
        "eyes_on_ball": "head",
        "balancing_arm": "arms",
    },
    "golf_swing": {
        "straight_lead_arm": "arms",
        "full_turn": "torso",
        "centred_hips": "legs",
        "steady_head": "head",
        "high_finish": "hands",
    },
}

KNOWN: Final = tuple(FAULTS)
# The drills of test set v1, and what `simulate_many` makes unless more is asked for.
DEFAULT_ACTIVITIES: Final = ("bodyweight_squat", "basketball_free_throw")


def specs(activity: str) -> tuple[FaultSpec, ...]:
    """The faults of a known activity."""
    if activity not in FAULTS:
        raise PoiseError("unknown activity", got=repr(activity), expected=", ".join(FAULTS))
    return FAULTS[activity]


def spec(activity: str, name: str) -> FaultSpec:
    """One fault by name."""
    for candidate in specs(activity):
        if candidate.name == name:
            return candidate
    known = ", ".join(s.name for s in specs(activity))
    raise PoiseError(f"unknown fault of {activity}", got=repr(name), expected=known)
