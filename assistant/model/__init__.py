"""The transformers classes of Poise; `register()` makes the Auto classes know them."""


def register() -> None:
    """Register configuration, model and processor with the Auto classes; may be called again."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor

    from assistant.model.configuration_poise import PoiseConfig
    from assistant.model.modeling_poise import PoiseForConditionalGeneration
    from assistant.model.processing_poise import PoiseProcessor

    AutoConfig.register("poise", PoiseConfig, exist_ok=True)
    AutoModelForCausalLM.register(PoiseConfig, PoiseForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(PoiseConfig, PoiseProcessor, exist_ok=True)
