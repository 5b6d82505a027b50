"""The named faults of the soccer penalty kick and of the golf swing; see `faults`."""

from typing import Final

from data_prep.drills.fault_spec import FaultSpec

PENALTY_KICK: Final = (
    FaultSpec(
        "short_backswing",
        "legs",
        "peak knee flexion of the kicking leg between leaving the ground and the contact",
        "deg",
        (84.0, 120.0),
        72.0,
        63.0,
        53.0,
        "Kellis & Katis 2007, J Sports Sci Med 6(2): the knee flexes in the backswing before the"
        " thigh turns forward; Nunome et al. 2002, Med Sci Sports Exerc 34(12): peak of about 100"
        " degrees",
    ),
    FaultSpec(
        "lean_back",
        "torso",
        "backward lean of the trunk from the vertical at the contact",
        "deg",
        (-14.0, 8.0),
        15.0,
        22.0,
        31.0,
        "Barfield 1998, Clin Sports Med 17(4): a trunk over the ball keeps the shot low; Lees et"
        " al. 2010, J Sports Sci 28(8): trunk lean at contact",
    ),
    FaultSpec(
        "plant_behind",
        "feet",
        "how far the ankle of the standing leg is behind that of the kicking leg at the contact,"
        " along the kick",
        "cm",
        (-10.0, 17.0),
        26.0,
        34.0,
        43.0,
        "Barfield 1998, Clin Sports Med 17(4): standing foot beside the ball, 5-10 cm behind to"
        " level; Lees et al. 2010, J Sports Sci 28(8)",
    ),
    FaultSpec(
        "head_up",
        "head",
        "head pitch below the horizontal, ears to nose, at the contact",
        "deg",
        (24.0, 60.0),
        12.0,
        1.0,
        -12.0,
        "Lees & Nolan 1998, J Sports Sci 16(3): eyes on the ball at contact; Wood & Wilson 2011,"
        " Cogn Process 12(3): gaze in the penalty kick",
    ),
    FaultSpec(
        "idle_arm",
        "arms",
        "angle of the upper arm opposite the kicking leg against the trunk at the end of the"
        " backswing",
        "deg",
        (54.0, 106.0),
        40.0,
        28.0,
        14.0,
        "Shan & Westerhoff 2005, Sports Biomech 4(1): skilled kickers take the opposite arm up and"
        " back, a tension arc that novices lack",
    ),
)

GOLF_SWING: Final = (
    FaultSpec(
        "bent_lead_arm",
        "arms",
        "elbow angle of the lead arm at the top of the backswing; 180 is straight",
        "deg",
        (150.0, 179.0),
        134.0,
        118.0,
        97.0,
        "Zheng et al. 2008, Int J Sports Med 29(6): lead elbow flexion at the top is larger in"
        " amateurs; Hume, Keogh & Reid 2005, Sports Med 35(5)",
    ),
    FaultSpec(
        "restricted_turn",
        "torso",
        "angle between the lines of the shoulders at address and at the top of the backswing",
        "deg",
        (79.0, 108.0),
        66.0,
        53.0,
        38.0,
        "Myers et al. 2008, J Sports Sci 26(2): upper torso turns 80-100 degrees; Okuda, Gribble &"
        " Armstrong 2010, J Sports Sci Med 9(1): less turn in low-skilled golfers",
    ),
    FaultSpec(
        "hip_sway",
        "legs",
        "sideways movement of the pelvis away from the target, from address to the top",
        "cm",
        (-5.0, 4.5),
        9.0,
        13.5,
        20.0,
        "Chu, Sell & Lephart 2010, J Sports Sci 28(11); Hume, Keogh & Reid 2005, Sports Med 35(5):"
        " turn about a fixed axis, a lateral shift of the pelvis costs timing",
    ),
    FaultSpec(
        "head_up_early",
        "head",
        "how far the face has turned toward the target from address to impact",
        "deg",
        (-18.0, 18.0),
        26.0,
        38.0,
        55.0,
        "Vickers 1992, Perception 21(1): gaze rests on the ball until after contact; Hume, Keogh &"
        " Reid 2005, Sports Med 35(5): head behind the ball at impact",
    ),
    FaultSpec(
        "low_finish",
        "hands",
        "height of the hands over the shoulders in the finish",
        "cm",
        (0.0, 34.0),
        -9.0,
        -18.0,
        -30.0,
        "Hume, Keogh & Reid 2005, Sports Med 35(5): a full follow-through slows the club over a"
        " long way; McHardy & Pollard 2005, Br J Sports Med 39(11): finish with the hands high",
    ),
)
