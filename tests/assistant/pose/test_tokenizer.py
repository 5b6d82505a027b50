"""The tokenizer: a hand-checkable codebook, shapes, soft decoding, saving, faults."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.pose.codebook import Codebook
from assistant.pose.tokenizer import PoseTokenizer, PoseTokenizerConfig

SMALL = {"tokens_per_frame": 3, "codebook_size": 7, "code_dim": 4, "encoder_width": 16}
SMALL |= {"encoder_channel_width": 16, "decoder_width": 16, "decoder_channel_width": 16}
# 4 codes of 5 numbers, small enough to check by eye.
CODES = torch.tensor(
    [[0.0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, -3]], dtype=torch.float32
)


def book() -> Codebook:
    codebook = Codebook(4, 5)
    codebook.vectors.copy_(CODES)
    codebook.total.copy_(CODES)
    codebook.count.fill_(1.0)
    return codebook


def small(kind: str) -> PoseTokenizer:
    torch.manual_seed(0)
    return PoseTokenizer(PoseTokenizerConfig(kind=kind, **SMALL)).eval()


def test_nearest_code_by_hand() -> None:
    embeddings = torch.tensor(
        [[0.4, 0, 0, 0, 0], [0.6, 0.1, 0, 0, 0], [0, 1.2, 0, 0, 0], [5, 0, 0, 0, -9.0]]
    )
    assert book().nearest(embeddings).tolist() == [0, 1, 2, 3]
    assert book().nearest(embeddings.reshape(2, 2, 5)).tolist() == [[0, 1], [2, 3]]
    np.testing.assert_array_equal(book().lookup(torch.tensor([3, 1])), CODES[[3, 1]])


def test_nearest_equals_the_loop() -> None:
    rng = np.random.default_rng(0)
    e, c = rng.normal(size=(50, 5)), rng.normal(size=(9, 5))
    codebook = Codebook(9, 5)
    codebook.vectors.copy_(torch.from_numpy(c))
    expected = [int(np.argmin([np.sum((x - y) ** 2) for y in c])) for x in e]
    assert codebook.nearest(torch.from_numpy(e).float()).tolist() == expected


def test_ema_update_by_hand() -> None:
    codebook = book()
    embeddings = torch.zeros(3, 5)
    embeddings[0, 0], embeddings[1, 0], embeddings[2, 4] = 3.0, 1.0, -5.0
    codebook.update(embeddings, torch.tensor([1, 1, 3]), decay=0.9)
    # code 1: N = 0.9 + 0.1 * 2, m = 0.9 * 1 + 0.1 * (3 + 1); code 3: m = -2.7 - 0.5, N = 1
    assert codebook.vectors[1, 0].item() == pytest.approx(1.3 / 1.1)
    assert codebook.vectors[3, 4].item() == pytest.approx(-3.2)
    assert codebook.vectors[2, 1].item() == pytest.approx(2.0)  # unused codes stay
    assert codebook.count.tolist() == pytest.approx([0.9, 1.1, 0.9, 1.0])


def test_dead_codes_restart_on_embeddings() -> None:
    codebook = book()
    codebook.count.copy_(torch.tensor([5.0, 0.2, 7.0, 0.1]))
    embeddings = torch.full((6, 5), 4.0)
    generator = torch.Generator().manual_seed(0)
    assert codebook.restart_dead(embeddings, generator) == 2
    np.testing.assert_array_equal(codebook.vectors[[1, 3]], 4.0)
    np.testing.assert_array_equal(codebook.vectors[[0, 2]], CODES[[0, 2]])
    assert codebook.restart_dead(embeddings, generator) == 0


@pytest.mark.parametrize("kind", ["mlp", "mixer"])
def test_shapes_and_soft_decoding(kind: str) -> None:
    tokenizer = small(kind)
    joints = torch.randn(6, 17, 3)
    with torch.no_grad():
        embeddings = tokenizer.encode(joints)
        codes, vectors = tokenizer.quantise(embeddings)
        assert embeddings.shape == vectors.shape == (6, 3, 4)
        assert codes.shape == (6, 3) and codes.dtype == torch.int64
        hard = tokenizer.decode_codes(codes)
        assert hard.shape == (6, 17, 3)
        one_hot = torch.nn.functional.one_hot(codes, 7).float()
        torch.testing.assert_close(tokenizer.decode_soft(one_hot), hard)
        torch.testing.assert_close(tokenizer.reconstruct(joints), hard)
        torch.testing.assert_close(tokenizer.tokenise(joints), codes)
        half = (one_hot + one_hot.roll(1, -1)) / 2
        mean = (vectors + tokenizer.codebook.vectors.roll(-1, 0)[codes]) / 2
        torch.testing.assert_close(tokenizer.decode_soft(half), tokenizer.decode(mean))


@pytest.mark.parametrize("kind", ["mlp", "mixer"])
def test_a_batch_of_one_equals_its_row(kind: str) -> None:
    tokenizer = small(kind)
    joints = torch.randn(8, 17, 3)
    with torch.no_grad():
        whole = tokenizer.encode(joints)
        one = tokenizer.encode(joints[5:6])
    torch.testing.assert_close(one, whole[5:6], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "mixer"])
def test_save_and_load_keep_codes_and_joints(kind: str, tmp_path: Path) -> None:
    tokenizer = small(kind)
    tokenizer.mean.normal_()
    tokenizer.spread.fill_(0.25)
    tokenizer.save_pretrained(tmp_path / "pct")
    loaded = PoseTokenizer.from_pretrained(tmp_path / "pct")
    joints = torch.randn(4, 17, 3)
    with torch.no_grad():
        assert loaded.tokenise(joints).equal(tokenizer.tokenise(joints))
        assert loaded.reconstruct(joints).equal(tokenizer.reconstruct(joints))
    assert loaded.config == tokenizer.config and not loaded.training


def test_loading_faults_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="no pose tokenizer"):
        PoseTokenizer.from_pretrained(tmp_path)
    small("mlp").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"code_dim": 5}))
    with pytest.raises(PoiseError, match="do not fit"):
        PoseTokenizer.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"colour": 5}))
    with pytest.raises(PoiseError, match=r"colour.*expected: kind"):
        PoseTokenizer.from_pretrained(tmp_path)


def test_wrong_settings_are_reported_at_once() -> None:
    with pytest.raises(PoiseError, match=r"'gru'.*code_dim 0"):
        PoseTokenizerConfig(kind="gru", code_dim=0)


def test_codes_outside_the_book_are_refused() -> None:
    tokenizer = small("mlp")
    with pytest.raises(PoiseError, match="outside the codebook"):
        tokenizer.decode_codes(torch.tensor([[0, 7, 1]]))
    with pytest.raises(PoiseError, match="wrong shape"):
        tokenizer.decode_codes(torch.tensor([[0, 1]]))


def test_paper_sizes() -> None:
    config = PoseTokenizerConfig.paper()
    assert config.kind == "mixer" and config.tokens_per_frame == 34
    assert (config.codebook_size, config.code_dim) == (2048, 512)
    assert (config.encoder_blocks, config.encoder_width) == (4, 512)
    assert (config.encoder_token_width, config.encoder_channel_width) == (64, 512)
    assert (config.decoder_blocks, config.decoder_width) == (1, 32)
    assert (config.decoder_token_width, config.decoder_channel_width) == (64, 64)
    tokenizer = PoseTokenizer(config)
    assert tokenizer.tokenise(torch.zeros(2, 17, 3)).shape == (2, 34)


def test_the_mini_stays_small() -> None:
    tokenizer = PoseTokenizer(PoseTokenizerConfig())
    assert sum(p.numel() for p in tokenizer.parameters()) < 1_500_000
