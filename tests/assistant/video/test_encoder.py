"""Encoders by name: official formats load, preprocessing is as printed, saving keeps features."""

import numpy as np
import pytest
import torch
from transformers import TimesformerConfig, TimesformerForVideoClassification

from assistant.errors import PoiseError
from assistant.video.encoder import FAMILIES, VideoEncoder
from assistant.video.normality import Normality

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY = {
    "timesformer": {**SMALL, "intermediate_size": 32, "image_size": 16, "patch_size": 8},
    "videomae": {**SMALL, "intermediate_size": 32, "image_size": 16, "patch_size": 8},
    "vjepa2": {
        **SMALL, "crop_size": 16, "patch_size": 8, "frames_per_clip": 8, "pred_hidden_size": 12,
        "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1,
    },
}  # fmt: skip


def tiny(name: str) -> VideoEncoder:
    torch.manual_seed(0)
    settings = dict(TINY[name])
    if name != "vjepa2":
        settings["num_frames"] = 8
    return VideoEncoder.from_config(name, **settings).freeze()


def films(count: int, side: int = 20, frames: int = 8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, frames, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_every_family_encodes_views_independently(name: str) -> None:
    encoder = tiny(name)
    views = films(3)
    features = encoder.encode(views)
    assert features.shape == (3, 16) and features.dtype == np.float32
    assert np.isfinite(features).all()
    assert encoder.encode(views[1:2]) == pytest.approx(features[1:2], abs=1e-5)
    assert not np.allclose(features[0], features[1], atol=1e-4)
    assert encoder.encode(views, batch_size=1) == pytest.approx(features, abs=1e-5)


def test_no_views_give_no_rows() -> None:
    assert tiny("timesformer").encode([]).shape == (0, 16)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_saving_keeps_features(name: str, tmp_path) -> None:
    encoder = tiny(name)
    rng = np.random.default_rng(1)
    reference = rng.normal(size=(50, 16))
    encoder.normality = Normality.fit(reference, np.zeros(50), reference)
    encoder.save_pretrained(tmp_path)
    again = VideoEncoder.from_pretrained(tmp_path)
    views = films(2)
    assert np.array_equal(again.encode(views), encoder.encode(views))
    far = np.full((1, 16), 50.0)
    assert again.in_distribution(np.concatenate([reference[:1] * 0, far])).tolist() == [True, False]
    assert not any(p.requires_grad for p in again.parameters())
    assert not list(tmp_path.rglob("*.bin")) and not list(tmp_path.rglob("*.pt"))


def test_the_official_checkpoint_format_loads_by_path(tmp_path) -> None:
    """As facebook/timesformer-base-finetuned-k600: a classifier whose body is `timesformer.*`."""
    torch.manual_seed(0)
    config = TimesformerConfig(**TINY["timesformer"], num_frames=8, num_labels=600)
    official = TimesformerForVideoClassification(config)
    official.save_pretrained(tmp_path)
    encoder = VideoEncoder.from_backbone("timesformer", tmp_path)
    assert (encoder.frames, encoder.size, encoder.width) == (8, 16, 16)
    pixels = torch.randn(1, 8, 3, 16, 16)
    states = official.eval().timesformer(pixels).last_hidden_state
    assert torch.allclose(encoder(pixels), states[:, 1:].mean(dim=1), atol=1e-5)


def test_full_size_defaults_are_the_paper_s() -> None:
    """ProfVLM 3.2 and 4.2: 8 frames of 224 x 224, width 768."""
    config = TimesformerConfig()
    assert (config.num_frames, config.image_size, config.hidden_size) == (8, 224, 768)
    family = FAMILIES["timesformer"]
    assert family.mean == (0.45,) * 3 and family.std == (0.225,) * 3 and family.shortest == 1


def test_tokens_are_ordered_by_frame_then_patch() -> None:
    """Changing only one frame's pixels must change that frame's embedding tokens: an encoder with
    no layers shows the order of the tokens."""
    encoder = VideoEncoder.from_config(
        "timesformer", **{**TINY["timesformer"], "num_hidden_layers": 0}, num_frames=8
    ).freeze()
    pixels = torch.randn(1, 8, 3, 16, 16)
    changed = pixels.clone()
    changed[:, 5] += 1
    difference = (encoder.tokens(changed) - encoder.tokens(pixels)).abs().amax(dim=(0, 2, 3))
    assert (difference > 1e-3).nonzero().flatten().tolist() == [5]


def test_preprocessing_resizes_the_shortest_edge_and_crops_the_middle() -> None:
    encoder = tiny("timesformer")
    frames = np.zeros((8, 32, 64, 3), np.uint8)
    frames[:, :, 16:48] = 255
    pixels = encoder.preprocess(frames)
    assert pixels.shape == (8, 3, 16, 16)
    # The middle square is white; bilinear edges reach two pixels at most.
    assert pixels[..., 2:-2].numpy() == pytest.approx((1 - 0.45) / 0.225)
    still = encoder.preprocess(np.full((8, 16, 16, 3), 51, np.uint8))
    assert still.numpy() == pytest.approx((0.2 - 0.45) / 0.225, abs=1e-5)


def test_wrong_input_is_refused() -> None:
    encoder = tiny("timesformer")
    with pytest.raises(ValueError, match="7 frames, the encoder takes 8"):
        encoder.encode(films(1, frames=7))
    with pytest.raises(ValueError, match="expected uint8"):
        encoder.encode(films(1).astype(np.float32))


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(PoiseError, match=r"'slowfast'.*timesformer, videomae, vjepa2, precomputed"):
        VideoEncoder.from_config("slowfast")


def test_a_folder_without_weights_is_one_clear_error(tmp_path) -> None:
    with pytest.raises(PoiseError, match="no video encoder"):
        VideoEncoder.from_pretrained(tmp_path)
    with pytest.raises(PoiseError, match=r"cannot load video encoder.*remedy"):
        VideoEncoder.from_backbone("timesformer", tmp_path)


def test_weights_of_another_family_are_refused(tmp_path) -> None:
    tiny("videomae").backbone.save_pretrained(tmp_path)
    with pytest.raises(PoiseError, match=r"no checkpoint of 'timesformer'.*a videomae model"):
        VideoEncoder.from_backbone("timesformer", tmp_path)


def test_without_a_test_all_films_are_welcome() -> None:
    assert tiny("timesformer").in_distribution(np.full((2, 16), 1e6)).tolist() == [True, True]


def test_dense_features_are_those_of_every_second_frame() -> None:
    torch.manual_seed(0)
    small = {"num_frames": 4, "image_size": 32, "patch_size": 16, "hidden_size": 8}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    encoder = VideoEncoder.from_config("timesformer", **small, **layers).freeze()
    film = np.random.default_rng(0).integers(0, 255, (19, 32, 32, 3)).astype(np.uint8)
    dense = encoder.encode_dense(film)
    assert dense.shape == (19, 8)
    first = encoder.encode_frames([film[0:8:2], film[1:8:2]])
    assert np.allclose(dense[0:8:2], first[0], atol=1e-5)
    assert np.allclose(dense[1:8:2], first[1], atol=1e-5)
    last = encoder.encode_frames([film[11::2], film[12::2]])  # the last input ends with the film
    assert np.allclose(dense[11::2], last[0], atol=1e-5)
    assert np.allclose(dense[12::2], last[1], atol=1e-5)
    short = encoder.encode_dense(film[:3])
    assert short.shape == (3, 8) and np.isfinite(short).all()
