"""The Poise language model: features of perception spliced into any causal language model.

Registered with the Auto classes by `assistant.model.register()`; no remote code is needed.
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from assistant.model.configuration_poise import PoiseConfig
from assistant.model.feature_rows import FeatureRows
from assistant.model.processing_poise import MODALITIES, mismatch

# How much of its random start a code's row keeps, so that equal code vectors can part.
CODE_ROW_NOISE = 0.3
# Everything that `forward` takes beside the text: features and their presence masks.
FEATURE_ARGUMENTS = tuple(f"{m}_{part}" for m in MODALITIES for part in ("features", "mask"))


class PoisePreTrainedModel(PreTrainedModel):
    """Weight initialisation and settings that transformers asks for."""

    config_class = PoiseConfig
    base_model_prefix = "language_model"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["LlamaDecoderLayer"]
    # No tie of our own, but a mapping: peft looks for those of the language model only then.
    _tied_weights_keys: dict[str, str] = {}

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class PoiseForConditionalGeneration(PoisePreTrainedModel, GenerationMixin, FeatureRows):
    """Video, pose, score, region and Stage-1 features in; label, commentary and pose codes out."""

    def __init__(self, config: PoiseConfig, language_model: Any = None) -> None:
        """Around `language_model`, which `config.text_config` describes, or around a new one."""
        super().__init__(config)
        if language_model is None:
            language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.language_model = language_model
        self.build_features(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    @torch.no_grad()
    def match_embeddings(self) -> None:
        """Give every feature row the spread of the language model's token embeddings.

        ProfVLM section 3.3 aligns the two distributions by learned parameters; this is where they
        start. Rows far smaller than tokens are drowned by the residual stream and hardly read.
        """
        spread = torch.std(self.language_model.get_input_embeddings().weight)
        for name, parameter in self.named_parameters():
            if name.endswith("align.scale"):
                parameter.mul_(spread / parameter.square().mean().sqrt())

    @torch.no_grad()
    def start_code_rows(self, vectors: torch.Tensor) -> None:
        """Start the embeddings of the pose codes as a random projection of their code vectors.

        Codes of like poses then begin alike, and what is learned of one serves its neighbours.

        Args:
            vectors: [codebook_size, D] of the pose tokenizer.
        """
        weight = self.language_model.get_input_embeddings().weight
        spread = torch.std(weight)
        scaled = (vectors - vectors.mean(0)) / (vectors.std(0) * vectors.shape[1] ** 0.5)
        rows = scaled @ torch.randn(vectors.shape[1], weight.shape[1])
        begin = self.config.pose_code_start
        own = weight[begin : begin + len(vectors)]
        own.mul_(CODE_ROW_NOISE).add_(spread * rows)

    def embed(
        self,
        input_ids: torch.Tensor,
        features: dict[str, tuple[torch.Tensor | None, torch.Tensor | None]],
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Token embeddings [B, T, width] with each placeholder replaced by its feature row.

        `features` gives the values and the presence mask of each modality (see `rows`), one row a
        sample. Several samples may be packed into one row of ids (see `PoiseProcessor.collate`);
        `position_ids` then tell where each begins.

        Raises:
            PoiseError: a modality has not exactly as many placeholders as rows.
        """
        embeddings = self.get_input_embeddings()(input_ids)
        for modality in MODALITIES:
            place = input_ids == getattr(self.config, f"{modality}_token_id")  # [B, T]
            values, mask = features.get(modality, (None, None))
            if values is None or mask is None:
                mask = place.new_zeros(len(place), 0)
            self._check_placeholders(modality, place, mask, position_ids)
            if values is not None and bool(place.any()):
                rows = self.rows(modality, values, mask)
                embeddings = embeddings.masked_scatter(
                    place.unsqueeze(-1), rows.to(embeddings.dtype)
                )
        return embeddings

    def _check_placeholders(
        self,
        modality: str,
        place: torch.Tensor,
        mask: torch.Tensor,
        position_ids: torch.Tensor | None,
    ) -> None:
        """Raise PoiseError unless every sample has a placeholder [B, T] for each of its rows.

        Sample by sample: a row too many in one must not make up for one too few in another.
        """
        if position_ids is not None and len(place) == 1 and len(mask) > 1:  # packed
            owner = (position_ids[0] == 0).cumsum(0) - 1  # [T]
            wanted = torch.zeros(len(mask), dtype=torch.long, device=place.device)
            wanted.index_add_(0, owner, place[0].long())  # [S]
        else:
            wanted = place.sum(1)  # [B]
        given = mask.reshape(len(wanted), -1).sum(1)  # [B]
        if modality == "video" and self.config.projector_fused:
            given = given.clamp(max=1)
        wrong = (wanted != given).nonzero()
        if len(wrong):
            sample = int(wrong[0])
            raise mismatch(modality, int(wanted[sample]), int(given[sample]), sample)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        label_weights: torch.Tensor | None = None,
        video_features: torch.Tensor | None = None,
        video_mask: torch.Tensor | None = None,
        pose_features: torch.Tensor | None = None,
        pose_mask: torch.Tensor | None = None,
        score_features: torch.Tensor | None = None,
        score_mask: torch.Tensor | None = None,
        regions_features: torch.Tensor | None = None,
        regions_mask: torch.Tensor | None = None,
        stage1_features: torch.Tensor | None = None,
        stage1_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, vocabulary]; with `labels` [B, T] (-100: ignored) the mean cross-entropy.

        `labels` stand at the position of their own token: the shift by one happens here and nowhere
        else. `label_weights` [B, T] weigh single tokens (the label's tokens, say).

        `position_ids` [B, T] is named here because `generate` counts positions without the padding
        only for models that take it.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("neither input_ids nor inputs_embeds")
            values = (
                (video_features, video_mask),
                (pose_features, pose_mask),
                (score_features, score_mask),
                (regions_features, regions_mask),
                (stage1_features, stage1_mask),
            )
            features = dict(zip(MODALITIES, values, strict=True))
            inputs_embeds = self.embed(input_ids, features, position_ids)
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        )
        if labels is not None:
            outputs.loss = shifted_cross_entropy(outputs.logits, labels, label_weights)
        return outputs

    def prepare_inputs_for_generation(self, input_ids: Any, **kwargs: Any) -> dict[str, Any]:
        """Features enter with the prompt only; later steps read the cache."""
        first = kwargs.get("is_first_iteration", False) or not kwargs.get("use_cache", True)
        inputs = super().prepare_inputs_for_generation(input_ids, **kwargs)
        if not first:
            for name in FEATURE_ARGUMENTS:
                inputs.pop(name, None)
        return inputs


def shifted_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Weighted mean of -log p(label at t+1 | tokens up to t) over the supervised positions."""
    targets = labels[:, 1:]
    keep = targets != -100
    losses = nn.functional.cross_entropy(
        logits[:, :-1][keep].float(), targets[keep], reduction="none"
    )
    if weights is None:
        return losses.mean()
    chosen = weights[:, 1:][keep].float()
    return (losses * chosen).sum() / chosen.sum()
