"""The benchmark of training: what it counts, and that both sides run."""

import pytest
import torch

from assistant.model.processing_poise import ModelInputs
from training import bench
from training.language_samples import TokenSample


def test_flops_of_smollm2_by_hand(make_model) -> None:
    """Two layers of width 32 with 48 inside and a head of V rows: the weights that multiply."""
    model = make_model()
    vocabulary = model.config.text_config.vocab_size
    linears = 2 * (4 * 32 * 32 + 3 * 32 * 48)
    norms = 2 * 2 * 32
    expected = 6 * (linears + norms + vocabulary * 32) + 6 * 2 * 32 * 100
    assert bench.flops_per_token(model, 100.0) == expected


def test_utilisation_is_the_share_of_the_peak(make_model, monkeypatch) -> None:
    samples = [TokenSample([1] * n, [1] * n, [1.0] * n, ModelInputs()) for n in (10, 30)]
    assert bench.utilisation(make_model(), samples, 1000.0) == {"mfu": None}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    found = bench.utilisation(make_model(), samples, 1000.0)
    # The average token stands in a conversation of (10 * 10 + 30 * 30) / 40 = 25 tokens.
    assert found["mfu"] == pytest.approx(1000 * bench.flops_per_token(make_model(), 25.0) / 989e12)


def test_both_train_on_the_same_tokens(make_model, samples, processor, monkeypatch) -> None:
    monkeypatch.setattr(bench, "bench_model", lambda: (make_model(), processor))
    monkeypatch.setattr(bench, "bench_samples", lambda *given: samples)
    monkeypatch.setattr(bench, "ROUNDS", 1)
    result = bench.run()
    assert result["tokens"] == sum(len(s.ids) for s in samples)
    assert result["ratio"] == pytest.approx(result["ours"] / result["baseline"], rel=1e-2)
    assert result["unit"] == "tokens/s" and result["conversations"] == 6
