"""The named faults of the forward lunge and of the overhead press; see `faults`."""

from typing import Final

from data_prep.drills.fault_spec import FaultSpec

FORWARD_LUNGE: Final = (
    FaultSpec(
        "shallow_lunge",
        "legs",
        "peak knee flexion of the front leg while its foot stands",
        "deg",
        (82.0, 116.0),
        70.0,
        58.0,
        44.0,
        "Kritz, Cronin & Hume 2009, Strength Cond J 31(6): lower until the front thigh is level,"
        " knee at about 90 degrees; Escamilla et al. 2008, Clin Biomech 23(8): forward lunge to"
        " 90-100 degrees",
    ),
    FaultSpec(
        "front_knee_valgus",
        "legs",
        "medial displacement of the front knee inside its ankle at the deepest point",
        "cm",
        (-10.0, 0.8),
        3.5,
        6.0,
        9.5,
        "Kritz, Cronin & Hume 2009, Strength Cond J 31(6): front knee over the foot, no inward"
        " movement; Bell, Padua & Clark 2008, Arch Phys Med Rehabil 89(7)",
    ),
    FaultSpec(
        "forward_lean",
        "torso",
        "peak trunk lean from the vertical",
        "deg",
        (0.0, 19.0),
        28.0,
        37.0,
        49.0,
        "Farrokhi et al. 2008, J Orthop Sports Phys Ther 38(7): lunges with the trunk upright and"
        " bent forward as far as possible; Kritz, Cronin & Hume 2009: trunk held vertical",
    ),
    FaultSpec(
        "short_step",
        "feet",
        "distance between the ankles at the deepest point",
        "cm",
        (60.0, 102.0),
        51.0,
        43.0,
        34.0,
        "Riemann, Congleton, Ward & Davies 2013, J Sports Med Phys Fitness 53(2): lunges of short"
        " and long steps; Escamilla et al. 2008, Clin Biomech 23(8): a short step loads the knee",
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
        "Kritz, Cronin & Hume 2009, Strength Cond J 31(6): head in line with the trunk, gaze"
        " straight ahead",
    ),
)

OVERHEAD_PRESS: Final = (
    FaultSpec(
        "soft_lockout",
        "arms",
        "elbow angle in the top position, both elbows averaged; 180 is straight",
        "deg",
        (160.0, 180.0),
        147.0,
        132.0,
        112.0,
        "Haff & Triplett 2016, Essentials of Strength Training and Conditioning, 4th ed.: press"
        " until the elbows are fully extended; Kroell & Mike 2017, Strength Cond J 39(6)",
    ),
    FaultSpec(
        "back_arch",
        "torso",
        "peak backward lean of the trunk from the vertical during the press",
        "deg",
        (-6.0, 8.0),
        14.0,
        20.0,
        28.0,
        "Kroell & Mike 2017, Strength Cond J 39(6): no leaning back, trunk braced; McKean &"
        " Burkett 2015, J Sport Health Sci 4(3): trunk position in the shoulder press",
    ),
    FaultSpec(
        "knee_drive",
        "legs",
        "peak knee flexion from the start of the press to the top position",
        "deg",
        (0.0, 14.0),
        25.0,
        35.0,
        49.0,
        "Soriano, Suchomel & Comfort 2019, Sports Med 49(6): a dip of the knees makes it a push"
        " press; Kroell & Mike 2017, Strength Cond J 39(6): legs stay straight",
    ),
    FaultSpec(
        "bar_forward",
        "hands",
        "wrists ahead of the shoulders in the top position",
        "cm",
        (-6.0, 6.5),
        13.0,
        19.0,
        27.0,
        "Waller, Piper & Miller 2009, Strength Cond J 31(5): bar above shoulders and hips at the"
        " top; McKean & Burkett 2015, J Sport Health Sci 4(3)",
    ),
    FaultSpec(
        "head_back",
        "head",
        "head pitch, ears to nose, in the top position; negative looks up",
        "deg",
        (-15.0, 22.0),
        -27.0,
        -38.0,
        -52.0,
        "Haff & Triplett 2016, Essentials of Strength Training and Conditioning, 4th ed.: head in"
        " a neutral position; Waller, Piper & Miller 2009: head comes forward under the bar",
    ),
)
