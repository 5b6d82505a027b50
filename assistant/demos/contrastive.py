"""Two encoders that bring a learner's window near its demonstration's: the usual baseline.

ExpertAF compares with features that were tuned contrastively (InternVideo2-FT). Here both encoders
read the joints of a two-second window; `poise train RECIPE --stage contrastive` trains them, and
`poise eval mini-test --contrastive FOLDER` prints their row. Coaching does not use them.
"""

import json
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from assistant.errors import PoiseError
from assistant.skeleton import N_JOINTS
from assistant.tasks.window import WINDOW_FRAMES

WEIGHTS, SETTINGS = "model.safetensors", "config.json"
INPUT: Final = WINDOW_FRAMES * N_JOINTS * 3
# Where CLIP begins (Radford et al. 2021); learned.
START_TEMPERATURE: Final = 0.07


class DualEncoder(nn.Module):
    """Unit vectors of learners' and of experts' windows, compared by their cosine.

    Args:
        width: of the hidden layers; size: of the vectors.
    """

    def __init__(self, width: int = 256, size: int = 64) -> None:
        super().__init__()
        self.width, self.size = width, size
        self.learner, self.expert = _encoder(width, size), _encoder(width, size)
        self.log_temperature = nn.Parameter(torch.tensor(START_TEMPERATURE).log())

    def forward(self, learners: torch.Tensor, experts: torch.Tensor) -> torch.Tensor:
        """Cosine over temperature of every pair: [B, 10, 17, 3] and [N, 10, 17, 3] -> [B, N]."""
        a = nn.functional.normalize(self.learner(learners.flatten(1)), dim=-1)
        b = nn.functional.normalize(self.expert(experts.flatten(1)), dim=-1)
        return a @ b.T / self.log_temperature.exp()

    @torch.inference_mode()
    def distances(self, learner: np.ndarray, experts: np.ndarray) -> np.ndarray:
        """[N] rising from the best match of a learner's window [10, 17, 3] on."""
        scores = self(
            torch.from_numpy(learner[None]).float(), torch.from_numpy(np.asarray(experts)).float()
        )
        return -scores[0].numpy()

    def save_pretrained(self, folder: Path) -> None:
        """Write weights and settings."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, folder / WEIGHTS)
        settings = {"width": self.width, "size": self.size}
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", "utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path) -> "DualEncoder":
        """Read what `save_pretrained` wrote.

        Raises:
            PoiseError: it is missing or damaged.
        """
        from safetensors.torch import load_file

        try:
            settings = json.loads((folder / SETTINGS).read_text("utf-8"))
            model = cls(int(settings["width"]), int(settings["size"]))
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as fault:
            raise PoiseError(
                f"no contrastive encoders in {folder}",
                got=str(fault).splitlines()[0],
                expected=f"{SETTINGS} and {WEIGHTS}",
                remedy="train them by `poise train ablation --stage contrastive`",
            ) from fault
        return model.eval()


def _encoder(width: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(INPUT, width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, size),
    )
