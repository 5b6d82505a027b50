"""Tokenizer training: it learns, it denoises, it is deterministic; augmentation keeps bodies."""

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.pose.normalise import REST_POSE
from assistant.pose.tokenizer import PoseTokenizerConfig
from assistant.skeleton import BONES, LEFT_HIP, MIRROR, RIGHT_HIP
from training import pose_augmentation as pa
from training.pose_tokenizer import (
    PoseTokenizerSettings,
    noise_profile,
    reconstruction_errors,
    train_pose_tokenizer,
)

CONFIG = PoseTokenizerConfig(
    tokens_per_frame=6,
    codebook_size=64,
    code_dim=8,
    encoder_width=96,
    encoder_channel_width=96,
    encoder_blocks=1,
    decoder_width=96,
    decoder_channel_width=96,
    decoder_blocks=1,
)


def random_bodies(count: int, bend: float = 25.0, seed: int = 0) -> np.ndarray:
    rest = torch.from_numpy(REST_POSE).float().repeat(count, 1, 1)
    generator = torch.Generator().manual_seed(seed)
    return pa.augment(rest, generator, bend_degrees=bend).numpy()


def settings(**changes: object) -> PoseTokenizerSettings:
    values = {"steps": 150, "batch_size": 128, "keep": 0.5, "learning_rate": 4e-3, **changes}
    return PoseTokenizerSettings(config=CONFIG, **values)


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in BONES], 1)


def test_training_beats_the_mean_body_and_repeats_itself() -> None:
    train, test = random_bodies(2000), random_bodies(300, seed=1)
    calls: list[tuple[int, int]] = []
    first = train_pose_tokenizer(
        train, settings(), seed=3, progress=lambda s, n, numbers: calls.append((s, n))
    )
    again = train_pose_tokenizer(train, settings(), seed=3)
    other = train_pose_tokenizer(train, settings(steps=20), seed=4)
    errors = reconstruction_errors(first, test, test)
    floor = np.linalg.norm(test - train.mean(0), axis=-1).mean() * 1000
    assert errors["mpjpe_mm"] < 0.75 * floor
    assert errors["pa_mpjpe_mm"] < errors["mpjpe_mm"]
    assert errors["codes_used"] > 20
    assert errors["input_mpjpe_mm"] == 0
    assert calls[-1] == (150, 150) and len(calls) == 50
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert a.equal(b)
    assert not other.codebook.vectors.equal(first.codebook.vectors)


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train_pose_tokenizer(random_bodies(50), settings(steps=2), seed=1)
    assert torch.rand(3).equal(expected)


def test_reconstruction_errors_by_hand() -> None:
    tokenizer = train_pose_tokenizer(random_bodies(50), settings(steps=2))
    clean = random_bodies(4)
    noisy = clean.copy()
    noisy[:, 9, 0] += 0.17  # one of 17 joints off by 170 mm: 10 mm in the mean
    errors = reconstruction_errors(tokenizer, noisy, clean)
    assert errors["input_mpjpe_mm"] == pytest.approx(10, abs=1e-3)
    shifted = reconstruction_errors(tokenizer, noisy, clean + 3.0)
    assert shifted["input_mpjpe_mm"] == pytest.approx(10, abs=1e-2)


def test_faults() -> None:
    with pytest.raises(PoiseError, match="cannot train"):
        train_pose_tokenizer(np.zeros((0, 17, 3), np.float32))
    with pytest.raises(PoiseError, match=r"steps 0.*ema_decay 2"):
        PoseTokenizerSettings(steps=0, ema_decay=2.0)


def test_noise_profile_has_mean_one_and_worst_wrists() -> None:
    profile = noise_profile()
    assert profile.mean() == pytest.approx(1) and profile.argmax() in (9, 10)
    np.testing.assert_array_equal(profile, profile[MIRROR])


def test_augmentation_without_strength_only_mirrors() -> None:
    joints = torch.from_numpy(random_bodies(40))
    out = pa.augment(joints, torch.Generator().manual_seed(0), keep=1.0)
    mirrored = joints[:, torch.from_numpy(MIRROR)] * torch.tensor([1.0, -1, 1])
    same = (out - joints).abs().amax((1, 2)) < 1e-5
    flipped = (out - mirrored).abs().amax((1, 2)) < 1e-5
    assert (same | flipped).all() and 5 < int(flipped.sum()) < 35


def test_bends_keep_bones_and_scales_scale_them() -> None:
    joints = torch.from_numpy(random_bodies(30))
    generator = torch.Generator().manual_seed(0)
    bent = pa.augment(joints, generator, bone_spread=0.0, bend_degrees=40.0)
    lengths = np.sort(bone_lengths(bent.numpy()), axis=1)
    np.testing.assert_allclose(lengths, np.sort(bone_lengths(joints.numpy()), axis=1), atol=1e-5)
    assert (bent - joints).abs().max() > 0.2
    eye = torch.eye(3).expand(30, len(pa.TREE), 3, 3)
    doubled = pa.rebuild(joints, torch.full((30, len(pa.TREE)), 2.0), eye)
    torch.testing.assert_close(doubled, joints * 2, atol=1e-5, rtol=1e-5)
    centre = (bent[:, LEFT_HIP] + bent[:, RIGHT_HIP]) / 2
    assert centre.abs().max() < 1e-6


def test_rotation_matrices_by_hand() -> None:
    turn = pa.rotation_matrices(torch.tensor([[0.0, 0, np.pi / 2], [0, 0, 0]]))
    expected = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(turn[0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(turn[1], torch.eye(3))
