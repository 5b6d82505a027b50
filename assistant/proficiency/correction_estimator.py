"""Stage 1's estimate of the corrected window: one regression from the learner's frames.

Perceiving is easy for a small network, reading features hard for a small language model. So what
F_g writes is joined with an estimate of perception (`assistant.tasks.correction.join_estimate`), as
the commentary rests on perception's region numbers. The papers have no such part; a checkpoint
without one shows what F_g writes. `training/correction_estimator.py` trains it on fault-free twins.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assistant.errors import PoiseError
from assistant.skeleton import N_JOINTS
from assistant.tasks.window import WINDOW_FRAMES, WindowFrames, heights_of

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
POINTS: Final = WINDOW_FRAMES * N_JOINTS * 3
HEIGHTS: Final = WINDOW_FRAMES * 3


@dataclass(frozen=True)
class EstimatorConfig:
    """Sizes of the network; `activities` are those that it was trained on."""

    activities: tuple[str, ...]
    width: int = 384
    blocks: int = 2
    dropout: float = 0.2


class CorrectionEstimator(nn.Module):
    """Residual MLP on a whole window: frames, heights and activity -> what a fault-free motion of
    the same person changes, metres."""

    # Statistics of the training windows: buffers.
    mean: Tensor
    spread: Tensor
    scale: Tensor

    def __init__(self, config: EstimatorConfig) -> None:
        super().__init__()
        self.config = config
        size, width = POINTS + HEIGHTS, config.width
        self.entry = nn.Linear(size + len(config.activities), width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, width),
                nn.GELU(),
                nn.Dropout(config.dropout),
                nn.Linear(width, width),
            )
            for _ in range(config.blocks)
        )
        self.exit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, POINTS))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("scale", torch.ones(()))

    def fit_statistics(self, joints: Tensor, heights: Tensor, changes: Tensor) -> None:
        """Take the inputs' mean and spread, and the spread of the changes, from training windows
        ([N, 10, 17, 3], [N, 10, 3], [N, 10, 17, 3])."""
        flat = torch.cat([joints.flatten(1), heights.flatten(1)], dim=1)
        self.mean.copy_(flat.mean(0))
        self.spread.copy_(flat.std(0) + 0.02)  # metres: some coordinates hardly move
        self.scale.copy_(changes.std())

    def forward(self, joints: Tensor, heights: Tensor, activity: Tensor) -> Tensor:
        """Changes [N, 10, 17, 3] in units of `scale`; activity: [N] places in `activities`."""
        flat = torch.cat([joints.flatten(1), heights.flatten(1)], dim=1)
        named = nn.functional.one_hot(activity, len(self.config.activities)).to(flat.dtype)
        x = self.entry(torch.cat([(flat - self.mean) / self.spread, named], dim=1))
        for block in self.blocks:
            x = x + block(x)
        return self.exit(x).reshape(joints.shape)

    @torch.inference_mode()
    def correct(
        self, windows: Sequence[WindowFrames], activities: Sequence[str]
    ) -> list[WindowFrames | None]:
        """The windows with their estimated corrections; None of an activity that it was not trained
        on."""
        known = [i for i, name in enumerate(activities) if name in self.config.activities]
        corrected: list[WindowFrames | None] = [None] * len(windows)
        if not known:
            return corrected
        some = [windows[i] for i in known]
        joints = torch.from_numpy(np.stack([w.joints for w in some])).float()
        heights = torch.from_numpy(np.stack([w.heights for w in some])).float()
        places = torch.tensor([self.config.activities.index(activities[i]) for i in known])
        moved = (joints + self(joints, heights, places) * self.scale).numpy()
        for i, frames, window in zip(known, moved, some, strict=True):
            corrected[i] = replace(window, joints=frames, heights=heights_of(frames, window))
        return corrected

    def save_pretrained(self, folder: Path) -> None:
        """Write config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), indent=1)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
        save_file(self.state_dict(), folder / WEIGHTS_FILE)

    @classmethod
    def from_pretrained(cls, folder: Path) -> "CorrectionEstimator":
        """Load what `save_pretrained` wrote, in eval mode.

        Raises:
            PoiseError: a file is missing or damaged.
        """
        try:
            values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            config = EstimatorConfig(**values | {"activities": tuple(values["activities"])})
            model = cls(config)
            model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except Exception as fault:  # safetensors has errors of its own
            raise PoiseError(
                f"cannot load the correction estimator in {folder}",
                got=f"{type(fault).__name__}: {fault}".splitlines()[0],
                expected=f"{CONFIG_FILE} and {WEIGHTS_FILE} of `poise train`",
                remedy="copy or train the checkpoint again",
            ) from fault
        return model.eval()
