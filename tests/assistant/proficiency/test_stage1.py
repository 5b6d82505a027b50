"""Stage 1: padding, receptive field, attention, and where its moments come from."""

import math

import pytest
import torch

from assistant.errors import PoiseError
from assistant.proficiency.look_closer import LookCloserConfig
from assistant.proficiency.stage1 import (
    GLOBAL_POOL,
    N_POOLS,
    Stage1,
    Stage1Config,
    heaviest_windows,
)

LOOK = LookCloserConfig(
    sizes={"pose": 112, "ego": 5, "exo": 5, "gaze": 2}, activities=2, given=("pose",), width=16
)


@pytest.fixture(
    scope="module",
    params=[(False, None), (True, None), (True, LOOK), (False, LOOK)],
    ids=["plain", "fault_evidence", "aspects", "aspects alone"],
)
def net(request: pytest.FixtureRequest) -> Stage1:
    torch.manual_seed(0)
    config = Stage1Config(
        features=9,
        activities=("a", "b", "walk"),
        known=2,
        faults=("f", "g"),
        fault_evidence=request.param[0],
        look_closer=request.param[1],
    )
    return Stage1(config).eval()


def streams(clips: int) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Random ego, exo and gaze of every clip, all frames there."""
    rng = torch.Generator().manual_seed(4)
    return {
        name: (
            torch.randn(clips, frames, size, generator=rng),
            torch.ones(clips, frames, dtype=torch.bool),
        )
        for name, frames, size in (("ego", 12, 5), ("exo", 9, 5), ("gaze", 14, 2))
    }


def test_shapes(net: Stage1) -> None:
    out = net(torch.randn(2, 40, 9), torch.ones(2, 40, dtype=torch.bool))
    assert out.level.shape == (2, 4)
    assert out.activity.shape == (2, 3)
    assert out.polarity.shape == (2, 6, 3)
    assert out.features.shape == (2, N_POOLS, 64)
    assert out.frame_activity.shape == (2, 40, 3)
    assert out.attention.shape == (2, N_POOLS, 40)
    assert out.faults.shape == (2, 2)


def test_size_is_that_of_a_mini() -> None:
    names = tuple("abcdefghi")
    net = Stage1(Stage1Config(features=114, activities=names, known=2, faults=names))
    assert 250_000 < sum(p.numel() for p in net.parameters()) < 800_000


def test_junk_in_padding_changes_nothing(net: Stage1) -> None:
    clip = torch.randn(1, 30, 9)
    alone = net(clip, torch.ones(1, 30, dtype=torch.bool))
    padded = torch.randn(3, 55, 9) * 100
    padded[1, :30] = clip
    valid = torch.ones(3, 55, dtype=torch.bool)
    valid[1, 30:] = False
    row = net(padded, valid)
    for name in ("level", "activity", "polarity", "features", "faults", "severity"):
        torch.testing.assert_close(getattr(row, name)[1:2], getattr(alone, name))
    torch.testing.assert_close(row.action[1:2, :30], alone.action)
    torch.testing.assert_close(row.attention[1:2, :, :30], alone.attention)
    assert (row.attention[1, :, 30:] == 0).all()


def test_a_frame_sees_about_two_and_a_half_seconds(net: Stage1) -> None:
    x = torch.randn(1, 101, 9, requires_grad=True)
    net(x, torch.ones(1, 101, dtype=torch.bool)).action[0, 50].backward()
    touched = torch.nonzero(x.grad.abs().sum(-1)[0]).flatten()
    reach = sum(net.config.dilations)
    assert (touched.min(), touched.max()) == (50 - reach, 50 + reach)
    assert 2.0 <= (2 * reach + 1) / 15 <= 3.0


def test_attention_is_weaker_outside_repetitions(net: Stage1) -> None:
    h = torch.zeros(1, 4, net.config.width)
    action = torch.tensor([[9.0, 9.0, -9.0, -9.0]])
    attention = net._attend(h, action, torch.ones(1, 4, dtype=torch.bool)).detach()
    weights = attention[0, GLOBAL_POOL].tolist()
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] / weights[2] == pytest.approx(math.exp(5), rel=1e-2)


def test_heaviest_windows_are_two_seconds_and_do_not_overlap() -> None:
    weights = torch.full((90,), 0.1 / 90)
    weights[40:50] += 0.06
    weights[75:80] += 0.06
    first, second = heaviest_windows(weights, 15.0, count=2)
    assert first[1] - first[0] == pytest.approx(2.0)
    assert first[0] <= 40 / 15 and first[1] >= 50 / 15
    assert first[2] == pytest.approx(0.6 + 30 * 0.1 / 90)
    assert second[0] >= first[1] and second[2] < first[2]


def test_a_short_clip_is_one_window() -> None:
    assert heaviest_windows(torch.full((15,), 1 / 15), 15.0, count=3) == [
        (0.0, 1.0, pytest.approx(1.0))
    ]


def test_configuration_names_all_its_faults() -> None:
    with pytest.raises(PoiseError, match=r"known 3.*spread_values"):
        Stage1Config(features=9, activities=("a",), known=3, spread_values=99)


def test_the_level_reads_the_faults_only_with_that_evidence(net: Stage1) -> None:
    clip, valid = torch.randn(2, 30, 9), torch.ones(2, 30, dtype=torch.bool)
    before = net(clip, valid)
    with torch.no_grad():
        net.faults.bias += 3.0
        after = net(clip, valid)
        net.faults.bias -= 3.0
    assert not torch.allclose(before.faults, after.faults)
    assert torch.allclose(before.level, after.level) != net.config.fault_evidence
    assert bool(before.severity.any()) == net.config.fault_evidence


def test_streams_reach_the_level_and_nothing_else(net: Stage1) -> None:
    clip, valid = torch.randn(2, 30, 9), torch.ones(2, 30, dtype=torch.bool)
    alone, beside = net(clip, valid), net(clip, valid, streams(2))
    for name in ("activity", "polarity", "features", "faults"):
        assert torch.equal(getattr(alone, name), getattr(beside, name))
    reads = net.config.look_closer is not None
    assert torch.allclose(alone.level, beside.level) != reads


def test_a_stream_that_a_clip_lacks_is_as_if_no_clip_had_it(net: Stage1) -> None:
    clip, valid = torch.randn(2, 30, 9), torch.ones(2, 30, dtype=torch.bool)
    given = streams(2)
    for values, there in given.values():
        values[1] = 1e3  # junk
        there[1] = False
    mixed = net(clip, valid, given)
    torch.testing.assert_close(mixed.level[1:], net(clip, valid).level[1:])
    torch.testing.assert_close(
        mixed.level[:1], net(clip[:1], valid[:1], {k: (v[:1], t[:1]) for k, (v, t) in
                                                   streams(2).items()}).level,
    )  # fmt: skip


def test_the_named_activity_routes() -> None:
    torch.manual_seed(1)
    config = Stage1Config(features=9, activities=("a", "b"), known=2, look_closer=LOOK)
    net = Stage1(config).eval()
    clip, valid = torch.randn(1, 30, 9), torch.ones(1, 30, dtype=torch.bool)
    routed = [net(clip, valid, None, torch.tensor([i])) for i in range(2)]
    chosen = int(routed[0].activity[0, :2].argmax())
    assert torch.equal(net(clip, valid).level, routed[chosen].level)
    assert not torch.allclose(routed[0].level, routed[1].level)


def test_one_row_of_a_batch_keeps_its_router(net: Stage1) -> None:
    clip, valid = torch.randn(3, 30, 9), torch.ones(3, 30, dtype=torch.bool)
    out = net(clip, valid)
    row = out.row(1, 20)
    assert row.action.shape == (1, 20) and row.attention.shape == (1, N_POOLS, 20)
    assert torch.equal(row.level, out.level[1:2])
    if out.look_closer is not None:
        assert torch.equal(row.look_closer.router, out.look_closer.router[1:2])


def test_a_pose_sequence_of_another_width_is_refused() -> None:
    with pytest.raises(PoiseError, match="look_closer without this network's pose"):
        Stage1Config(features=9, activities=("a", "b"), known=2, width=16, look_closer=LOOK)
