"""Words that must be spelled the same everywhere: levels, regions, polarities, special tokens.

This is the one place where they are written; `assistant` re-exports what its domain needs.
"""

from typing import Final

LEVELS: Final = ("Novice", "Early Expert", "Intermediate Expert", "Late Expert")

REGIONS: Final = ("head", "torso", "arms", "hands", "legs", "feet")

# Data carry integers, results carry the strings; "not mentioned" makes no remark.
NEEDS_IMPROVEMENT: Final = 0
CORRECT: Final = 1
NOT_MENTIONED: Final = 2
POLARITIES: Final = ("needs_improvement", "correct", "not_mentioned")

VIEWS: Final = ("ego", "exo1", "exo2", "exo3", "exo4")
# The exo view that shows the skill best, whichever it is (ExpertAF section 3.3).
BEST_EXO: Final = "best_exo"
VIEW_NAMES: Final = (*VIEWS, BEST_EXO)

# One placeholder per embedding row that is spliced in.
VIDEO: Final = "<|video|>"
VIDEO_START: Final = "<|video_start|>"
VIDEO_END: Final = "<|video_end|>"
POSE: Final = "<|pose|>"
POSE_START: Final = "<|pose_start|>"
POSE_END: Final = "<|pose_end|>"
SCORE: Final = "<|score|>"
REGIONS_TOKEN: Final = "<|regions|>"
STAGE1: Final = "<|stage1|>"
STAGE1_START: Final = "<|stage1_start|>"
STAGE1_END: Final = "<|stage1_end|>"

# Discrete pose codes written by the model, and the ends of a frame and of a sequence.
POSE_FRAME_END: Final = "<|pose_frame_end|>"
POSE_SEQUENCE_END: Final = "<|pose_sequence_end|>"

# Written by the model in an answer of the chat; what they stand for is shown or filled in there.
SHOW_DEMONSTRATION: Final = "<|show_demonstration|>"
SHOW_CORRECTION: Final = "<|show_correction|>"
MEASURED: Final = {region: f"<|measured_{region}|>" for region in REGIONS}
MEASURED_CHANGE: Final = "<|measured_change|>"
LEVEL_PROBABILITY: Final = "<|level_probability|>"
CALLS: Final = (
    SHOW_DEMONSTRATION,
    SHOW_CORRECTION,
    *MEASURED.values(),
    MEASURED_CHANGE,
    LEVEL_PROBABILITY,
)

# What a learner may ask about; medical questions never reach the model.
SUBJECTS: Final = (
    "what_to_fix_first",
    "body_region",
    "compare",
    "explain_level",
    "show_me",
    "drill",
    "readiness",
    "medical",
)

TURN_START: Final = "<|im_start|>"
TURN_END: Final = "<|im_end|>"

PLACEHOLDERS: Final = {
    "video": VIDEO,
    "pose": POSE,
    "score": SCORE,
    "regions": REGIONS_TOKEN,
    "stage1": STAGE1,
}


def pose_code(index: int) -> str:
    """The token of entry `index` of the pose codebook, `<|pose_0|>` and so on."""
    return f"<|pose_{index}|>"


def special_tokens(codebook_size: int) -> list[str]:
    """All special tokens in their fixed order, the pose codes last."""
    fixed = [
        TURN_START,
        TURN_END,
        VIDEO_START,
        VIDEO,
        VIDEO_END,
        POSE_START,
        POSE,
        POSE_END,
        SCORE,
        REGIONS_TOKEN,
        STAGE1_START,
        STAGE1,
        STAGE1_END,
        POSE_FRAME_END,
        POSE_SEQUENCE_END,
    ]
    return fixed + [pose_code(i) for i in range(codebook_size)]
