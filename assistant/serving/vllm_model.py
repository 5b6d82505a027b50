"""The model class that vLLM runs: any text model of vLLM's behind the feature rows of Poise.

A clip's features enter as five modalities of vLLM, each with one item a clip: the item is the
array of `ModelInputs`, its rows come from the same modules as in transformers (`FeatureRows`), its
number of placeholders from the same `placeholder_count`. The prompt's token ids are made by
`PoiseProcessor` beforehand and hold every placeholder already, so nothing is expanded here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import BatchFeature
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from vllm.config import VllmConfig
from vllm.model_executor.models.interfaces import SupportsLoRA, SupportsMultiModal
from vllm.model_executor.models.module_mapping import MultiModelKeys
from vllm.model_executor.models.utils import (
    WeightsMapper,
    init_vllm_registered_model,
    maybe_prefix,
)
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import ModalityDataItems, MultiModalDataItems, MultiModalDataParser
from vllm.multimodal.processing import (
    BaseDummyInputsBuilder,
    BaseMultiModalProcessor,
    BaseProcessingInfo,
    PromptReplacement,
)

from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.feature_rows import FeatureRows
from assistant.model.processing_poise import MODALITIES, placeholder_count
from prompts.vocabulary import PLACEHOLDERS, VIEWS

LANGUAGE_MODEL = "language_model"
# Rows of the largest clip that memory is measured with at start; larger clips run as well.
DUMMY_STAGE1_ROWS = 16


class FeatureItems(ModalityDataItems[list[np.ndarray], np.ndarray]):
    """The features of one modality, one array a clip; they pass to the model as they are."""

    def get_count(self) -> int:
        return len(self.data)

    def get(self, index: int) -> np.ndarray:
        return self.data[index]

    def get_processor_data(self) -> Mapping[str, object]:
        return {}

    def get_passthrough_data(self) -> Mapping[str, object]:
        tensors = [torch.as_tensor(item, dtype=torch.float32) for item in self.data]
        return {f"{self.modality}_features": tensors}


class FeatureParser(MultiModalDataParser):
    """Takes an array of features, or a list of them, for each of the modalities."""

    def _get_subparsers(self) -> Mapping[str, Any]:
        def parser(modality: str) -> Any:
            def parse(data: Any) -> FeatureItems:
                return FeatureItems(data if isinstance(data, list) else [data], modality)

            return parse

        return {modality: parser(modality) for modality in MODALITIES}


class PoiseProcessingInfo(BaseProcessingInfo):
    """What vLLM asks about the modalities."""

    def get_hf_config(self) -> PoiseConfig:
        return self.ctx.get_hf_config(PoiseConfig)

    def get_data_parser(self) -> MultiModalDataParser:
        return FeatureParser()

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        return dict.fromkeys(MODALITIES, 1)

    def get_supported_mm_processor_kwargs(self) -> dict[str, set[str]]:
        return {}

    def feature_shape(self, modality: str) -> tuple[int, ...]:
        """The largest usual features of a clip."""
        config = self.get_hf_config()
        size = getattr(config, f"{modality}_size")
        rows = {
            "video": len(VIEWS),
            "pose": config.correction_frames,
            "stage1": DUMMY_STAGE1_ROWS,
        }
        return (rows[modality], size) if modality in rows else (size,)


class PoiseDummyInputs(BaseDummyInputsBuilder[PoiseProcessingInfo]):
    """A clip of zeros, with which vLLM measures memory."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        fused = self.info.get_hf_config().projector_fused
        clip = self.get_dummy_mm_data(0, mm_counts, {})
        counts = {m: placeholder_count(m, items[0], fused_video=fused) for m, items in clip.items()}
        return "".join(PLACEHOLDERS[m] * count for m, count in counts.items())

    def get_dummy_mm_data(
        self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Mapping[str, Any]
    ) -> dict[str, list[np.ndarray]]:
        return {
            modality: [np.zeros(self.info.feature_shape(modality), dtype=np.float32)] * count
            for modality, count in mm_counts.items()
            if count
        }


class PoiseMultiModalProcessor(BaseMultiModalProcessor[PoiseProcessingInfo]):
    """Finds where in the token ids each modality's rows go."""

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> Mapping[str, MultiModalFieldConfig]:
        return {f"{m}_features": MultiModalFieldConfig.batched(m) for m in MODALITIES}

    def _get_prompt_updates(
        self,
        mm_items: MultiModalDataItems,
        hf_processor_mm_kwargs: Mapping[str, object],
        out_mm_kwargs: Any,
    ) -> Sequence[PromptReplacement]:
        """Each clip's run of placeholders is replaced by itself: so vLLM learns where it is."""
        config = self.info.get_hf_config()

        def run_of(modality: str) -> Any:
            def run(index: int) -> list[int]:
                items = mm_items.get_items(modality, FeatureItems)
                count = placeholder_count(
                    modality, items.get(index), fused_video=config.projector_fused
                )
                return [getattr(config, f"{modality}_token_id")] * count

            return run

        return [PromptReplacement(m, run_of(m), run_of(m)) for m in mm_items]


@MULTIMODAL_REGISTRY.register_processor(
    PoiseMultiModalProcessor, info=PoiseProcessingInfo, dummy_inputs=PoiseDummyInputs
)
class PoiseForVllm(nn.Module, SupportsMultiModal, SupportsLoRA, FeatureRows):
    """`PoiseForConditionalGeneration` with one of vLLM's own classes as its text model."""

    # Adapters may be trained on the whole model or on its text model alone.
    hf_to_vllm_mapper = WeightsMapper(orig_to_new_prefix={"model.": f"{LANGUAGE_MODEL}.model."})
    packed_modules_mapping: dict[str, list[str]] = {}

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config: PoiseConfig = vllm_config.model_config.hf_config
        self.config = config
        marks: Any = self  # a module's attributes count as tensors to the type checker
        with marks._mark_tower_model(vllm_config, set(MODALITIES)):
            self.build_features(config)
        with marks._mark_language_model(vllm_config):
            self.language_model = init_vllm_registered_model(
                vllm_config,
                prefix=maybe_prefix(prefix, LANGUAGE_MODEL),
                hf_config=config.text_config,
                architectures=[text_architecture(config)],
            )
        self.packed_modules_mapping = self.language_model.packed_modules_mapping
        # Adapters change linears only. With the vocabulary among their targets, vLLM's CPU kernels
        # fail as soon as a prompt's own tokens are scored.
        self.language_model.embedding_modules = {}
        marks.configure_mm_token_handling(
            config.text_config.vocab_size,
            [getattr(config, f"{modality}_token_id") for modality in MODALITIES],
        )

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str:
        return PLACEHOLDERS[modality.removesuffix("_embeds")]

    def get_mm_mapping(self) -> MultiModelKeys:
        return MultiModelKeys.from_string_field(language_model=LANGUAGE_MODEL)

    def embed_multimodal(self, **kwargs: Any) -> list[torch.Tensor]:
        """Embedding rows [n, width] of each item of a modality."""
        rows = []
        for modality in MODALITIES:
            for features in kwargs.get(f"{modality}_features", ()):
                batch = features.unsqueeze(0)  # [1, n, size] or [1, size]
                mask = torch.ones(
                    batch.shape[: max(features.ndim, 1)], dtype=torch.bool, device=batch.device
                )
                rows.append(self.rows(modality, batch, mask))
        return rows

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Hidden states [T, width] of the tokens of all requests."""
        return self.language_model(input_ids, positions, intermediate_tensors, inputs_embeds)

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor | None:
        """[n, width] -> [n, vocabulary]."""
        return self.language_model.compute_logits(hidden_states)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint that `PoiseForConditionalGeneration` saved."""
        head = f"{LANGUAGE_MODEL}."
        features: dict[str, torch.Tensor] = {}

        def of_text_model() -> Iterable[tuple[str, torch.Tensor]]:
            for name, tensor in weights:
                if name.startswith(head):
                    yield name.removeprefix(head), tensor
                else:
                    features[name] = tensor

        loaded = {head + name for name in self.language_model.load_weights(of_text_model())}
        result = self.load_state_dict(features, strict=False)
        missing = [name for name in result.missing_keys if not name.startswith(head)]
        if missing or result.unexpected_keys:
            raise PoiseError(
                "the checkpoint does not fit its config.json",
                got=f"missing {missing[:3]}, unknown {result.unexpected_keys[:3]}",
                expected="the weights that PoiseForConditionalGeneration saves",
            )
        return loaded | set(features)


def text_architecture(config: PoiseConfig) -> str:
    """The class name of the text model, as transformers writes it and vLLM knows it."""
    named = getattr(config.text_config, "architectures", None)
    if named:
        return named[0]
    kind = config.text_config.model_type
    if kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise PoiseError(
            "no causal language model for the checkpoint's text_config",
            got=f"model_type {kind!r}",
            expected="one that transformers has a causal language model for",
        )
    return MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind]
