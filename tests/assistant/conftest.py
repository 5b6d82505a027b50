"""Films, bodies and a pipeline without weights that several tests need."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.demos.library import Demonstration, Library
from assistant.pose.normalise import REST_POSE, NormalisedPose
from assistant.skeleton import INDEX
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from prompts.vocabulary import REGIONS

if TYPE_CHECKING:  # torch and transformers are loaded by the tests that need them
    from assistant.coach import Coach
    from assistant.proficiency.assess import Assessment

CODECS = {".mp4": "libx264", ".mov": "libx264", ".webm": "libvpx-vp9"}
GREY_STEP = 4
"""Frame i of a film is grey of brightness (GREY_STEP * i) % 240, its left upper corner white."""


def write_film(
    path: Path,
    frames: int = 30,
    *,
    fps: Fraction | int = 30,
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    every: int = 12,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of `frames` grey pictures with a white corner, a key frame `every` so many.

    `times` gives presentation times in frames of `fps`, for a variable rate.
    """
    width, height = size
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(CODECS[path.suffix], rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = every
        if path.suffix != ".webm":
            stream.codec_context.options = {"crf": "10"}
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            picture = np.full((height, width, 3), GREY_STEP * i % 240, dtype=np.uint8)
            picture[: height // 4, : width // 4] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i if times is None else times[i]
            frame.time_base = 1 / Fraction(fps)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def film() -> Callable[..., Path]:
    return write_film


STANDING = {
    "nose": (0.10, 0.0, 1.60),
    "left_eye": (0.08, 0.03, 1.64),
    "left_ear": (0.0, 0.07, 1.62),
    "left_shoulder": (0.0, 0.18, 1.42),
    "left_elbow": (0.0, 0.20, 1.13),
    "left_wrist": (0.05, 0.20, 0.88),
    "left_hip": (0.0, 0.10, 0.92),
    "left_knee": (0.02, 0.11, 0.50),
    "left_ankle": (0.0, 0.12, 0.08),
}


@pytest.fixture
def standing() -> np.ndarray:
    """A body that stands at (2, 3) facing +x, [17, 3] metres, z up."""
    joints = np.zeros((17, 3))
    for name, (x, y, z) in STANDING.items():
        joints[INDEX[name]] = (x, y, z)
        if name.startswith("left"):
            joints[INDEX[name.replace("left", "right")]] = (x, -y, z)
    return joints + np.array([2.0, 3.0, 0.0])


ACTIVITIES = ("bodyweight_squat", "basketball_free_throw")


class StubAssessor:
    """Says the same of every clip; `judged` and `regions` may be set, `seen` is what it was asked.

    The span is the middle 80 % of a clip, the heaviest moment its middle two seconds.
    """

    activities = ACTIVITIES

    def __init__(self) -> None:
        self.judged = True
        self.regions = np.full((6, 3), 1 / 3)
        self.seen: list[tuple[NormalisedPose, str | None, bool]] = []

    def assess(self, pose: NormalisedPose, *, activity: str | None = None) -> "Assessment":
        return self.assess_many([pose], activity=activity)[0]

    def assess_many(
        self,
        poses: Sequence[NormalisedPose],
        *,
        activity: str | None = None,
        find_span: bool = True,
        sources: object = None,
    ) -> "list[Assessment]":
        self.seen += [(pose, activity, find_span) for pose in poses]
        return [self._say(pose, activity) for pose in poses]

    def _say(self, pose: NormalisedPose, activity: str | None) -> "Assessment":
        from assistant.proficiency.assess import Assessment
        from assistant.proficiency.moments import Moment

        end = pose.duration
        middle = Moment(max(end / 2 - 1, 0.0), min(end / 2 + 1, end), 0.6)
        return Assessment(
            activity=activity or ACTIVITIES[0],
            activity_probability=0.9,
            known_score=1.0 if self.judged else -1.0,
            judged=self.judged,
            span=(0.1 * end, 0.9 * end),
            p_base=np.array([0.1, 0.2, 0.3, 0.4]),
            q=np.array([0.9, 0.7, 0.4]),
            u={"ego": None, "exo": None, "pose": 0.5},
            pdm={"ego": None, "exo": None, "pose": 0.1},
            regions=self.regions,
            features=np.zeros((7, 5)),
            moments=(middle, Moment(0.0, 0.5, 0.1)),
            region_moments={r: Moment(0.1 * i, 0.1 * i + 1, 0.2) for i, r in enumerate(REGIONS)},
        )


@pytest.fixture(scope="session")
def squat() -> PoseSequence:
    """A simulated squat with its faults, in the world."""
    performer = sample_performer(np.random.default_rng(0), "train")
    return simulate("bodyweight_squat", 0, performer, np.random.default_rng(1)).pose


@pytest.fixture(scope="session")
def library() -> Library:
    """Four squats and two free throws, motions and codes at random."""
    rng = np.random.default_rng(0)
    return Library(
        [
            Demonstration(
                demonstration_id=f"expert-{i}",
                activity=ACTIVITIES[i % 3 == 2],
                start=1.0,
                end=3.0,
                level="Late Expert",
                correct_regions=("legs", "head") if i else ("arms",),
                joints=(REST_POSE + rng.normal(0, 0.05, (30, 17, 3))).astype(np.float32),
                fps=15.0,
                codes=rng.integers(0, 16, (10, 4)),
                unconditional=-1.0 - 0.1 * i,
            )
            for i in range(6)
        ]
    )


@pytest.fixture
def stub_coach(library: Library, tmp_path: Path) -> "Coach":
    """The pipeline with an engine without a model and an assessor that always says the same."""
    import torch

    from assistant.checkpoint import Checkpoint
    from assistant.coach import Coach
    from assistant.demos.rank import FEATURES, Ranking
    from assistant.engine.dummy_engine import DummyEngine
    from assistant.evidence import ExpertQuantity, Experts
    from assistant.model.configuration_poise import PoiseConfig
    from assistant.perception import Perception
    from assistant.pose.tokenizer import PoseTokenizer, PoseTokenizerConfig

    assessor: Any = StubAssessor()
    torch.manual_seed(0)
    tokenizer = PoseTokenizer(
        PoseTokenizerConfig(
            tokens_per_frame=4, codebook_size=16, encoder_width=16, decoder_width=16
        )
    ).eval()
    config = PoiseConfig(tokens_per_frame=4, codebook_size=16, pose_code_start=100)
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint = Checkpoint(folder, "stub", "simulated drills")
    checkpoint.write()
    knee = ExpertQuantity("legs", "deg", 180.0, 1.0, 50)
    coach = Coach(
        checkpoint=checkpoint,
        engine=DummyEngine(config),
        config=config,
        perception=Perception(tokenizer, assessor),
        library=library,
        experts=Experts({"bodyweight_squat": {"knee_flexion_max": knee}}),
    )
    # The library is noise: only likelihoods order it, and all of it is shown.
    weights = {**dict.fromkeys(FEATURES, 0.0), "log_likelihood": 1.0}
    coach.ranking = Ranking(weights, least={"bodyweight_squat": float("-inf")})
    return coach
