"""Window errors against one SVD a pair of frames, written from Umeyama's equations in float64."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.pose.normalise import REST_POSE
from assistant.pose.windows import window_errors
from assistant.skeleton import MIRROR

TOLERANCE = 0.01  # millimetres


def bodies(*shape: int, seed: int = 0) -> np.ndarray:
    return REST_POSE + np.random.default_rng(seed).normal(0, 0.15, (*shape, 17, 3))


def reference_frame(a: np.ndarray, b: np.ndarray, shown: np.ndarray) -> float:
    """Umeyama 1991, equations 34 to 42: `a` onto `b` over the joints that both show, mm."""
    a, b = a[shown], b[shown]
    mu_a, mu_b = a.mean(0), b.mean(0)
    covariance = (b - mu_b).T @ (a - mu_a)
    u, d, vt = np.linalg.svd(covariance)
    s = np.eye(3)
    s[2, 2] = np.linalg.det(u) * np.linalg.det(vt)
    extent = ((a - mu_a) ** 2).sum()
    c = (d * np.diag(s)).sum() / extent if extent > 1e-12 else 1.0
    moved = c * (a - mu_a) @ (u @ s @ vt).T + mu_b
    return 1000 * float(np.linalg.norm(moved - b, axis=1).mean())


def reference_windows(learner, expert, learner_shown=None, expert_shown=None, least=9):
    """All positions, plain loops; frames with too few joints do not count."""
    window = len(learner)
    result = []
    for start in range(len(expert) - window + 1):
        errors = []
        for k in range(window):
            shown = np.ones(17, bool)
            if learner_shown is not None:
                shown &= learner_shown[k] > 0
            if expert_shown is not None:
                shown &= expert_shown[start + k] > 0
            if shown.sum() >= least:
                errors.append(reference_frame(expert[start + k], learner[k], shown))
        result.append(np.mean(errors) if len(errors) >= window / 2 else np.inf)
    return np.array(result)


def check(learner, expert, mine=None, theirs=None) -> np.ndarray:
    """The errors of one pair, after comparing them with the reference."""
    found = window_errors(
        learner[None],
        [expert],
        learner_confidence=None if mine is None else mine[None],
        expert_confidence=None if theirs is None else [theirs],
    )[0, 0]
    expected = reference_windows(learner, expert, mine, theirs)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    finite = np.isfinite(expected)
    np.testing.assert_allclose(found[finite], expected[finite], atol=TOLERANCE, rtol=0)
    return found


def test_umeyama_42_many_learners_and_ragged_experts() -> None:
    learners = bodies(3, 8)
    experts = [bodies(frames, seed=frames) for frames in (8, 30, 75, 5)]
    found = window_errors(learners, experts)
    assert found.shape == (3, 4, 68)
    for n, learner in enumerate(learners):
        for e, expert in enumerate(experts):
            positions = max(len(expert) - 7, 0)
            expected = reference_windows(learner, expert)
            np.testing.assert_allclose(found[n, e, :positions], expected, atol=1e-9, rtol=0)
            assert np.isinf(found[n, e, positions:]).all()


def test_single_precision_and_far_from_the_origin() -> None:
    learner, expert = bodies(6), bodies(20, seed=1)
    expected = reference_windows(learner, expert)
    found = window_errors(learner[None].astype(np.float32), [expert.astype(np.float32)])[0, 0]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    found = window_errors(learner[None] + 1000.0, [expert - 500.0])[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_window_cut_from_the_expert_is_found_under_a_similarity() -> None:
    expert = bodies(40)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turn[:, 0] *= np.linalg.det(turn)
    learner = 1.3 * expert[17:27] @ turn + [1.0, -2.0, 0.4]
    errors = window_errors(learner[None], [expert])[0, 0]
    assert errors.argmin() == 17
    assert errors.min() < 1e-6
    assert np.delete(errors, 17).min() > 20


def test_a_mirrored_body_does_not_align_to_zero() -> None:
    learner = bodies(4)
    for mirrored in (learner * [1, -1, 1], learner * [-1, -1, -1]):
        errors = check(learner, mirrored)
        assert errors.min() > 20
    swapped = learner[:, MIRROR] * [1, -1, 1]  # another body's movement: the same sides
    check(learner, swapped)


def squeezed(body: np.ndarray, spans: tuple[float, float, float]) -> np.ndarray:
    """The body with its three axes scaled: 1 keeps, 0 flattens, negative mirrors."""
    return (body - body.mean(axis=-2, keepdims=True)) * np.array(spans)


SHAPES = {
    "point": (0, 0, 0),
    "line": (0, 0, 1),
    "nearly a line": (1e-9, 1e-7, 1),
    "thin": (1e-4, 1e-3, 1),
    "plane": (0, 1, 1),
    "mirrored plane": (0, -1, 1),
    "nearly flat mirrored": (-1e-8, 1, 1),
    "tiny": (1e-5, 1e-5, 1e-5),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_degenerate_bodies(shape: str) -> None:
    whole = bodies(3)
    flat = squeezed(bodies(7, seed=1), SHAPES[shape])
    assert np.isfinite(check(whole, flat)).all()
    assert np.isfinite(check(flat[:3], bodies(5, seed=2))).all()
    np.testing.assert_allclose(window_errors(flat[None, :3], [flat[:3]]), 0, atol=1e-6)


def test_coincident_joints_and_a_point_for_a_body() -> None:
    expert = bodies(6)
    expert[:, 5:] = expert[:, 5:6]  # thirteen joints in one place
    check(bodies(3, seed=1), expert)
    check(expert[:3], bodies(6, seed=1))
    point = np.full((6, 17, 3), 0.7)
    learner = bodies(3, seed=2)
    spread = np.linalg.norm(learner - learner.mean(axis=1, keepdims=True), axis=-1).mean()
    np.testing.assert_allclose(window_errors(learner[None], [point]), 1000 * spread, atol=1e-6)
    np.testing.assert_allclose(window_errors(point[None, :3], [expert]), 0, atol=1e-6)


def test_nearly_equal_rotations_on_both_sides_of_the_second_solver() -> None:
    """H with singular values (1, g, -g'): the gap that decides the rotation shrinks to nothing."""
    rng = np.random.default_rng(4)
    worst = 0.0
    for gap in np.geomspace(1e-7, 1.0, 60):
        a = rng.normal(size=(17, 3))
        a = np.linalg.qr(a - a.mean(axis=0))[0]  # orthonormal axes, centred
        b = a @ np.diag([1.0, 0.3 + gap, -0.3])
        b = b + 0.02 * (np.eye(17) - a @ a.T) @ rng.normal(size=(17, 3))
        b -= b.mean(axis=0)
        found = window_errors(b[None, None], [a[None]])[0, 0, 0]
        worst = max(worst, abs(found - reference_frame(a, b, np.ones(17, bool))))
    assert worst < TOLERANCE


def test_joints_without_confidence_are_ignored() -> None:
    rng = np.random.default_rng(5)
    learner, expert = bodies(6), bodies(20, seed=1)
    mine = (rng.random((6, 17)) > 0.2).astype(np.float32)
    theirs = (rng.random((20, 17)) > 0.2) * 0.5
    found = check(learner, expert, mine, theirs)
    junk = expert.copy()
    junk[theirs == 0] = 1e6
    again = window_errors(
        learner[None], [junk], learner_confidence=mine[None], expert_confidence=[theirs]
    )[0, 0]
    np.testing.assert_array_equal(again, found)
    assert np.abs(found - window_errors(learner[None], [expert])[0, 0]).min() > 0.1


def test_frames_and_windows_that_show_too_little_do_not_count() -> None:
    learner, expert = bodies(4), bodies(10, seed=1)
    theirs = np.ones((10, 17))
    theirs[2:5, 8:] = 0  # eight joints are too few
    theirs[8:] = 0
    found = check(learner, expert, theirs=theirs)
    assert np.isfinite(found).tolist() == [True, False, False, True, True, True, True]
    assert np.isinf(window_errors(learner[None], [expert], expert_confidence=[theirs * 0])).all()


def test_the_result_does_not_depend_on_the_batch() -> None:
    learners = bodies(5, 6)
    experts = [bodies(frames, seed=frames) for frames in (40, 7, 90)]
    whole = window_errors(learners, experts, threads=2)
    for n in range(5):
        for e, expert in enumerate(experts):
            alone = window_errors(learners[n : n + 1], [expert], threads=1)[0, 0]
            np.testing.assert_array_equal(alone, whole[n, e, : len(alone)])
    late = window_errors(learners, [experts[2][33:]])[:, 0]
    np.testing.assert_array_equal(late, whole[:, 2, 33 : 33 + late.shape[1]])


def test_no_expert_and_experts_shorter_than_the_window() -> None:
    assert window_errors(bodies(2, 5), []).shape == (2, 0, 0)
    assert window_errors(bodies(2, 5), [bodies(4)]).shape == (2, 1, 0)


@pytest.mark.parametrize(
    ("learners", "expert"),
    [
        (bodies(2), bodies(4)),
        (bodies(1, 2), bodies(4)[:, :5]),
        (bodies(1, 2), bodies(4) * np.nan),
        (bodies(1, 2) * np.inf, bodies(4)),
    ],
)
def test_what_cannot_be_aligned_is_refused(learners: np.ndarray, expert: np.ndarray) -> None:
    with pytest.raises(PoiseError, match="cannot be aligned"):
        window_errors(learners, [expert])
