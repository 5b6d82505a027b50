"""The modules that make embedding rows of a clip's features, for every class that runs the model.

`PoiseForConditionalGeneration` (transformers) and the class that vLLM runs share them, their names
in the checkpoint and the arithmetic.
"""

from collections.abc import Mapping

import torch
from torch import nn

from assistant.model.configuration_poise import PoiseConfig
from assistant.model.numeric_token import NumericToken
from assistant.model.projectors import FeatureMapper, build_projector


class FeatureRows:
    """A mix-in for an `nn.Module`: one module a modality, and rows of features through them."""

    config: PoiseConfig
    video_projector: nn.Module
    pose_mapper: FeatureMapper
    stage1_mapper: FeatureMapper
    score_token: NumericToken
    regions_token: NumericToken

    def build_features(self, config: PoiseConfig) -> None:
        """Make the five modules, with random weights; call it once in `__init__`."""
        width, hidden = config.text_config.hidden_size, config.mapper_hidden
        self.video_projector = build_projector(config)
        self.pose_mapper = FeatureMapper(config.pose_size, hidden, width)
        self.stage1_mapper = FeatureMapper(config.stage1_size, hidden, width)
        self.score_token = NumericToken(config.score_size, hidden, width)
        self.regions_token = NumericToken(config.regions_size, hidden, width)

    def fit_inputs(self, features: Mapping[str, torch.Tensor]) -> None:
        """Fit the input norms of some modalities from training clips.

        Args:
            features: [N, size] rows of pose, score, regions or stage1.
        """
        for modality, rows in features.items():
            kind = "token" if modality in ("score", "regions") else "mapper"
            getattr(self, f"{modality}_{kind}").inputs.fit(rows)

    def rows(self, modality: str, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Embedding rows [N, width] of one modality, absent items dropped, in reading order.

        Args:
            features: [B, n, size] (video, pose, stage1) or [B, size] (score, regions).
            mask: [B, n] or [B] bool, True where the item is present.
        """
        features = features.to(self.score_token.align.scale.dtype)
        if modality == "video":
            rows = self.video_projector(features, mask)
            if self.config.projector_fused:  # one row per sample that has any view
                mask = mask.any(1, keepdim=True)
            return rows[mask]
        if modality in ("score", "regions"):
            return getattr(self, f"{modality}_token")(features)[mask.view(-1, 1)]
        return getattr(self, f"{modality}_mapper")(features)[mask]
