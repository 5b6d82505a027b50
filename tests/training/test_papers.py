"""Every hyper-parameter that ProfVLM and ExpertAF print stands in the recipe of the paper."""

import pytest
from transformers import TimesformerConfig, TimesformerModel

from assistant.errors import PoiseError
from assistant.pose.tokenizer import PoseTokenizerConfig
from assistant.video.encoder import VideoEncoder
from prompts.vocabulary import VIEWS
from training.recipe import LanguageSettings, PretrainedVideoEncoder, load_recipe
from training.settings import build
from training.stage_loop import plan_of
from training.stages import check_input
from training.video_features import drawn_views

# (setting, what is printed, where)
PROFVLM = [
    ("language.epochs", 6, "4.2, Table 3: 6 epochs"),
    ("language.batch_size", 32, "4.2: a batch size of 32"),
    ("language.learning_rate", 3e-4, "4.2: starting at 3e-4, cosine annealing"),
    ("language.warmup_epochs", 1, "4.2: 1 warmup epoch"),
    ("video_encoder.name", "timesformer", "4.2: a frozen TimeSformer"),
    ("video_encoder.pretrained", "facebook/timesformer-base-finetuned-k600", "4.2: Kinetics-600"),
    ("video_encoder.frames", 8, "4.2: 8 uniformly distributed frames"),
    ("video_encoder.sampling_rate", 8, "4.2: a sampling rate of 8"),
    ("video_encoder.size", 224, "4.2: shortest edge 224, centre crop 224 x 224"),
    ("video_encoder.mean", [0.45, 0.45, 0.45], "4.2"),
    ("video_encoder.std", [0.225, 0.225, 0.225], "4.2"),
    ("language_model.base", "HuggingFaceTB/SmolLM2-135M-Instruct", "4.2"),
    ("language.inputs", "video", "Table 1: the prompt holds the video and nothing else"),
    ("language.numbers", "none", "Table 1"),
    ("language.views", VIEWS, "4.2: Ego + Exos, all 5 views"),
    ("language.rig", "whole", "4.2: 1 ego-centric and 4 exocentric views"),
    ("language.answer_form", "label_first", "Table 1, Table 8"),
    ("language.comments", "all", "4.1, Table 7: each pair is an instance of its own"),
    ("language.verdict_weight", 1.0, "5.5.1: all tokens weigh the same"),
    ("language.projector_gating", True, "Table 6, last row"),
    ("language.projector_norm", True, "Table 6, last row"),
    ("lora.rank", 8, "4.2: rank r = 8"),
    ("lora.alpha", 32, "4.2: scaling factor 32"),
    ("lora.quantisation", "none", "4.2: LoRA"),
    ("language.projector", "agp", "3.3"),
    ("language.projector_hidden", 1024, "4.2: a hidden size of 1024"),
    ("language.projector_heads", 4, "4.2: 4 attention heads"),
]
EXPERTAF = [
    ("language_model.base", "meta-llama/Meta-Llama-3-8B", "3.4: Llama 3-8B"),
    ("language.epochs", 5, "3.4: F_t and F_r for 5 epochs"),
    ("language.learning_rate", 5e-5, "3.4: 5 x 10^-5"),
    ("correction.epochs", 5, "3.4: F_g for 5 epochs"),
    ("correction.learning_rate", 5e-6, "3.4: 5 x 10^-6"),
    ("language.projector", "mlp", "3.4: both mappers are low-parameter MLP layers"),
    ("language.views", ("ego", "exo1"), "3.3: an ego-exo clip pair"),
    ("language.rig", "whole", "3.3: each video is such a pair"),
    ("language.video_share", 1.0, "3.3: each video is such a pair"),
    ("language.demonstration_dropout", 0.0, "3.3: F_t is given the corrected sequence"),
]


def setting(name: str, path: str):
    place = load_recipe(name)
    for key in path.split("."):
        place = place[key] if isinstance(place, dict) else getattr(place, key)
    return place


@pytest.mark.parametrize(("path", "printed", "where"), PROFVLM)
def test_profvlm(path: str, printed: object, where: str) -> None:
    assert setting("profvlm_smollm2", path) == printed, where


@pytest.mark.parametrize(("path", "printed", "where"), EXPERTAF)
def test_expertaf(path: str, printed: object, where: str) -> None:
    assert setting("expertaf_llama3", path) == printed, where


def test_profvlm_reads_one_ego_and_four_exocentric_views() -> None:
    assert len(VIEWS) == 5


def test_every_clip_of_expertaf_is_filmed_by_its_pair() -> None:
    language = load_recipe("expertaf_llama3").language
    filmed = drawn_views(50, language.video_share, language.rig, seed=0)
    seen = {tuple(view for view in views if view in language.views) for views in filmed}
    assert seen == {("ego", "exo1")}


def test_profvlm_has_a_plain_variant_of_the_width_of_its_language_model() -> None:
    overrides = ["language.projector=mlp", "language.projector_hidden=576"]
    language = load_recipe("profvlm_smollm2", overrides).language
    assert (language.projector, language.projector_hidden) == ("mlp", 576)


def test_expertaf_has_the_tokenizer_of_the_authors_of_pct() -> None:
    config = load_recipe("expertaf_llama3").pose_tokenizer["config"]
    assert PoseTokenizerConfig(**config) == PoseTokenizerConfig.paper()


def test_the_epochs_of_the_papers_become_steps() -> None:
    """ProfVLM's 4,238 pairs: 133 batches of 32 an epoch."""
    recipe = load_recipe("profvlm_smollm2")
    plan = plan_of(recipe, recipe.language, 4238, seed=0)
    assert (plan.steps, plan.warmup, plan.learning_rate) == (798, 133, 3e-4)
    recipe = load_recipe("expertaf_llama3")
    plan = plan_of(recipe, recipe.correction, 25505, seed=0)
    assert (plan.steps, plan.warmup, plan.learning_rate) == (5 * 798, 0, 5e-6)


def test_without_epochs_steps_count() -> None:
    recipe = load_recipe("mini", ["language.steps=7", "language.warmup_steps=3"])
    plan = plan_of(recipe, recipe.language, 1000, seed=0)
    assert (plan.steps, plan.warmup) == (7, 3)
    assert LanguageSettings().epochs == 0


def test_another_encoder_than_the_recipe_says_is_refused() -> None:
    wanted = build(PretrainedVideoEncoder, dict(load_recipe("profvlm_smollm2").video_encoder))

    def encoder(frames: int, size: int) -> VideoEncoder:
        config = TimesformerConfig(
            image_size=size, num_frames=frames, hidden_size=24, num_hidden_layers=1,
            num_attention_heads=2, intermediate_size=24, patch_size=size // 2,
        )  # fmt: skip
        return VideoEncoder("timesformer", TimesformerModel(config))

    check_input(encoder(8, 224), wanted)
    with pytest.raises(PoiseError, match="frames 16 instead of 8; size 64 instead of 224"):
        check_input(encoder(16, 64), wanted)


def test_a_sampling_rate_that_spans_another_window_is_a_fault() -> None:
    with pytest.raises(PoiseError, match=r"8 frames, every 16th at 30 fps; expected: 2\.0 s"):
        load_recipe("profvlm_smollm2", ["video_encoder.sampling_rate=16"])
