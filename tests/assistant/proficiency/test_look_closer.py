"""Look Closer section II-A: the network against loops written from the paper, and its masks."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from assistant.errors import PoiseError
from assistant.proficiency.aspects import (
    ASPECTS,
    EXPERT_LIKE,
    NOVICE_LIKE,
    PAPER_ASPECTS,
    UNKNOWN,
    activity_prior,
    aspect_labels,
    branch_table,
)
from assistant.proficiency.look_closer import (
    PAPER_PARAMETERS,
    PRIOR_EPSILON,
    AspectExpert,
    LookCloser,
    LookCloserConfig,
    LookCloserOutput,
    Streams,
)

SIZES = {"ego": 6, "exo": 5, "gaze": 2, "pose": 7}
SMALL = {"width": 8, "heads": 2, "feedforward": 16}


def network(**changes: object) -> LookCloser:
    torch.manual_seed(3)
    net = LookCloser(LookCloserConfig(SIZES, 2, **(SMALL | changes)))  # type: ignore[arg-type]
    nn.init.normal_(net.kind)
    return net.double().eval()


def streams(batch: int, frames: int = 4, seed: int = 0, **missing: list[int]) -> Streams:
    """All modalities; `ego=[1]` takes the ego stream from the second clip."""
    rng = np.random.default_rng(seed)
    found = {}
    for modality, size in SIZES.items():
        there = torch.ones(batch, frames, dtype=torch.bool)
        there[missing.get(modality, [])] = False
        found[modality] = (torch.from_numpy(rng.normal(size=(batch, frames, size))), there)
    return found


@torch.no_grad()
def run(net: LookCloser, given: Streams, activity: list[int]) -> LookCloserOutput:
    return net(given, torch.tensor(activity))


def linear(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    assert isinstance(layer, nn.Linear)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return np.array(
        [sum(weight[o, i] * x[i] for i in range(len(x))) + bias[o] for o in range(len(bias))]
    )


def norm(layer: nn.Module, x: np.ndarray) -> np.ndarray:
    assert isinstance(layer, nn.LayerNorm)
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    scaled = (x - mean) / math.sqrt(variance + layer.eps)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def gelu(x: np.ndarray) -> np.ndarray:
    return np.array([v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x])


def softmax(x: np.ndarray) -> np.ndarray:
    e = [math.exp(v - max(x)) for v in x]
    return np.array(e) / sum(e)


def expert_by_loops(expert: AspectExpert, tokens: np.ndarray) -> np.ndarray:
    """e_a of tokens [N, W], all of them there."""
    inner = [linear(expert.phi[4], gelu(linear(expert.phi[1], norm(expert.phi[0], t))))
             for t in tokens]  # fmt: skip
    weights = softmax(np.array([linear(expert.query, x)[0] for x in inner]))
    return sum(w * x for w, x in zip(weights, inner, strict=True))


def test_e_a_and_p_a_of_section_ii_a() -> None:
    torch.manual_seed(0)
    expert = AspectExpert(6, 0.1).double().eval()
    tokens = np.random.default_rng(0).normal(size=(2, 5, 6))
    valid = np.array([[True] * 5, [True, True, False, True, False]])
    with torch.no_grad():
        evidence, polarity = expert(torch.from_numpy(tokens), torch.from_numpy(valid))
    for row in range(2):
        e_a = expert_by_loops(expert, tokens[row][valid[row]])
        assert evidence[row].numpy() == pytest.approx(e_a, abs=1e-6)
        p_a = softmax(linear(expert.polarity, e_a))
        assert polarity[row].softmax(-1).numpy() == pytest.approx(p_a, abs=1e-6)


def test_w_with_log_prior_e_bar_and_p_base_of_section_ii_a() -> None:
    net = network()
    prior = np.array([[0.7, 0.1, 0.1, 0.1], [0.05, 0.05, 0.2, 0.7]])
    net.set_prior(prior)
    given, activity = streams(3), [0, 1, 1]
    out = run(net, given, activity)
    hidden = {}
    with torch.no_grad():
        for i, modality in enumerate(net.config.modalities):
            x, there = given[modality]
            hidden[modality] = (net.encoders[modality](x, there) + net.kind[i]).numpy()
    for row, a in enumerate(activity):
        e = {name: expert_by_loops(net.experts[name],  # type: ignore[arg-type]
                                   np.concatenate([hidden[m][row] for m in mine]))
             for name, mine in ASPECTS.items()}  # fmt: skip
        c = sum(sum(h[row]) / len(h[row]) for h in hidden.values()) / len(hidden)
        embedding = net.activity.weight.detach().numpy()[a]
        f_rtr = linear(net.gate[2], gelu(linear(net.gate[0], np.concatenate([embedding, c]))))
        w = softmax(f_rtr + np.log(prior[a] + PRIOR_EPSILON))
        e_bar = sum(w[i] * e[name] for i, name in enumerate(ASPECTS))
        p_base = softmax(linear(net.out, e_bar))
        assert out.router[row].numpy() == pytest.approx(w, abs=1e-6)
        assert out.evidence[row].numpy() == pytest.approx(e_bar, abs=1e-5)
        assert out.level[row].softmax(-1).numpy() == pytest.approx(p_base, abs=1e-5)
        assert out.prior[row].numpy() == pytest.approx(prior[a], abs=1e-6)


def test_the_prior_moves_the_router() -> None:
    net, given = network(), streams(1)
    before = run(net, given, [0]).router[0]
    net.set_prior(np.tile([0.97, 0.01, 0.01, 0.01], (2, 1)))
    assert run(net, given, [0]).router[0, 0] > before[0]
    with pytest.raises(PoiseError, match="router prior"):
        net.set_prior(np.ones((3, 4)))


def same(a: LookCloserOutput, b: LookCloserOutput, rows: slice = slice(None)) -> None:
    for name in ("level", "polarity", "router", "evidence", "prior"):
        one, two = getattr(a, name)[rows], getattr(b, name)
        assert torch.allclose(one.double(), two.double(), atol=1e-6), name


@pytest.mark.parametrize("given", [(), ("pose",)])
def test_junk_in_padding_changes_nothing(given: tuple[str, ...]) -> None:
    net = network(given=given)
    plain = streams(2)
    lengths = {"ego": [4, 2], "exo": [1, 4], "gaze": [4, 3], "pose": [2, 4]}
    results = []
    for junk in (0.0, 1e4):
        padded = {}
        for modality, (x, _) in plain.items():
            there = torch.arange(4)[None] < torch.tensor(lengths[modality])[:, None]
            padded[modality] = (x.masked_fill(~there.unsqueeze(-1), junk), there)
        results.append(run(net, padded, [0, 1]))
    same(*results)


def test_a_clip_alone_equals_its_row_in_a_batch() -> None:
    net = network()
    given = streams(5, ego=[2], gaze=[2, 4], exo=[0])
    whole = run(net, given, [0, 1, 0, 1, 0])
    for row, activity in enumerate([0, 1, 0, 1, 0]):
        alone = {m: (x[row : row + 1], there[row : row + 1]) for m, (x, there) in given.items()}
        same(whole, run(net, alone, [activity]), slice(row, row + 1))


@pytest.mark.parametrize("router", [True, False])
def test_an_absent_branch_has_no_weight_and_changes_nothing(router: bool) -> None:
    net = network(router=router)
    out = run(net, streams(2, ego=[0], gaze=[0]), [0, 0])
    names = list(net.config.branches)
    attention = names.index("attention")  # gaze and ego only
    assert out.router[0, attention] == 0 and not out.present[0, attention]
    assert out.prior[0, attention] == 0 and out.evidence[0].isfinite().all()
    assert (out.router[1] > 0).all()
    assert out.router.sum(dim=1).numpy() == pytest.approx([1, 1], abs=1e-6)
    assert out.prior.sum(dim=1).numpy() == pytest.approx([1, 1], abs=1e-6)
    # Another content of the absent streams is the same clip.
    same(out, run(net, streams(2, ego=[0], gaze=[0]), [0, 0]))
    empty = run(net, streams(1, ego=[0], exo=[0], gaze=[0], pose=[0]), [0])
    assert (empty.router == 0).all() and empty.level.isfinite().all()


def test_a_modality_that_no_clip_has_may_be_left_out() -> None:
    net = network()
    given = streams(2, gaze=[0, 1])
    same(run(net, given, [0, 1]), run(net, {m: s for m, s in given.items() if m != "gaze"}, [0, 1]))


def test_without_router_branches_weigh_the_same_and_without_aspects_they_are_modalities() -> None:
    plain = run(network(router=False), streams(1), [0])
    assert plain.router[0].numpy() == pytest.approx([0.25] * 4)
    config = network(aspects=False).config
    assert config.branches == {m: (m,) for m in SIZES}
    video = LookCloserConfig({"ego": 3, "exo": 3}, 1, **SMALL)  # type: ignore[arg-type]
    assert video.branches["attention"] == ("ego",) and video.branches["body"] == ("exo",)


def test_of_several_regions_a_fault_wins_over_praise_and_praise_over_silence() -> None:
    """ERRATA: 0 wins over 1, 1 over 2; attention, hands, body, timing."""
    labels = aspect_labels({"head": 1, "arms": 1, "hands": 0, "torso": 2, "legs": 2, "feet": 1})
    assert labels.tolist() == [EXPERT_LIKE, NOVICE_LIKE, EXPERT_LIKE, UNKNOWN]
    assert aspect_labels({}).tolist() == [UNKNOWN] * 4
    assert aspect_labels({}, timing=NOVICE_LIKE)[3] == NOVICE_LIKE
    assert aspect_labels({"torso": 0, "legs": 1, "feet": 2})[2] == NOVICE_LIKE


def test_prior_rows_are_smoothed_shares_that_sum_to_one() -> None:
    labels = np.array([[0, 1, 2, 1], [2, 1, 1, 1], [1, 1, 1, 0]])
    prior = activity_prior(labels, [0, 0, 1], 3)
    # Activity 0 speaks twice of attention and once of body; one is added to every count.
    assert prior[0] == pytest.approx(np.array([3, 1, 2, 1]) / 7)
    assert prior[1] == pytest.approx(np.array([1, 1, 1, 2]) / 5)
    assert prior[2] == pytest.approx([0.25] * 4)


def test_aspects_of_the_paper_have_no_pose() -> None:
    assert set(sum(PAPER_ASPECTS.values(), ())) == {"ego", "exo", "gaze"}
    table = branch_table(ASPECTS, ("ego", "exo", "gaze", "pose"))
    assert table.tolist() == [
        [True, False, True, False],
        [True, False, False, True],
        [False, True, False, True],
        [True, True, False, True],
    ]


def test_the_network_for_maws_features_has_nearly_the_papers_parameters() -> None:
    """5.58 M in the paper (section III-B); widths are not printed there."""
    sizes = {"ego": 2560, "exo": 2560, "gaze": 2}
    config = LookCloserConfig(sizes, 6, width=256, layers=2, heads=8, feedforward=1024)
    count = LookCloser(config).n_parameters
    assert count == sum(p.numel() for p in LookCloser(config).parameters())
    assert abs(count / PAPER_PARAMETERS - 1) < 0.03
    assert round(count / 1e6, 2) == 5.45


def test_a_wrong_configuration_names_all_faults() -> None:
    with pytest.raises(PoiseError) as caught:
        LookCloserConfig({"sound": 3}, 0, width=9)
    for part in ("'sound'", "width 9", "counts below 1"):
        assert part in str(caught.value)
