"""Alignment against plain float64 loops; degenerate and mirrored bodies."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.pose import alignment as al
from assistant.pose.normalise import REST_POSE, rotate_yaw
from assistant.skeleton import MIRROR


def bodies(count: int, seed: int = 0) -> np.ndarray:
    return REST_POSE + np.random.default_rng(seed).normal(0, 0.15, (count, 17, 3))


def random_similarity(rng: np.random.Generator) -> tuple[np.ndarray, float, np.ndarray]:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return q, rng.uniform(0.5, 2), rng.normal(size=3)


def reference_pa_mpjpe(a: np.ndarray, b: np.ndarray) -> float:
    """Umeyama 1991, equations 34 to 42, one pair, column vectors."""
    n = len(a)
    mu_x, mu_y = a.sum(0) / n, b.sum(0) / n
    sigma_x = sum(float((p - mu_x) @ (p - mu_x)) for p in a) / n
    covariance = sum(np.outer(q - mu_y, p - mu_x) for p, q in zip(a, b, strict=True)) / n
    u, d, vt = np.linalg.svd(covariance)
    s = np.eye(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        s[2, 2] = -1
    r = u @ s @ vt
    c = np.trace(np.diag(d) @ s) / sigma_x
    t = mu_y - c * r @ mu_x
    errors = [np.linalg.norm(c * r @ p + t - q) for p, q in zip(a, b, strict=True)]
    return 1000 * float(np.mean(errors))


def test_umeyama_42_pa_mpjpe_equals_the_loop() -> None:
    a, b = bodies(40), bodies(40, 1)
    b[:10] = a[:10, MIRROR] * [1, -1, 1]
    expected = [reference_pa_mpjpe(p, q) for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(al.pa_mpjpe(a, b), expected, atol=1e-8)
    single = al.pa_mpjpe(a.astype(np.float32), b.astype(np.float32))
    np.testing.assert_allclose(single, expected, atol=0.01)
    far = al.pa_mpjpe(a.astype(np.float32) + 100, b.astype(np.float32) + 100)
    np.testing.assert_allclose(far, expected, atol=0.02)


def test_a_similarity_is_undone() -> None:
    rng = np.random.default_rng(2)
    a = bodies(20)
    for body in a:
        q, s, t = random_similarity(rng)
        moved = s * body @ q + t
        assert al.pa_mpjpe(body, moved) == pytest.approx(0, abs=1e-9)
        fit = al.procrustes(body, moved)
        np.testing.assert_allclose(fit.rotation, q, atol=1e-9)
        assert fit.scale == pytest.approx(s)
        np.testing.assert_allclose(fit.translation[0], t, atol=1e-9)


def test_invariant_under_similarities_of_the_first_body() -> None:
    a, b = bodies(5), bodies(5, 1)
    q, s, t = random_similarity(np.random.default_rng(3))
    np.testing.assert_allclose(al.pa_mpjpe(s * a @ q + t, b), al.pa_mpjpe(a, b), atol=1e-8)


def test_without_scale_the_size_stays() -> None:
    a = bodies(1)[0]
    fit = al.procrustes(a, 1.5 * a, scale=False)
    assert fit.scale == 1
    assert al.pa_mpjpe(a, 1.5 * a, scale=False) > 50 > al.pa_mpjpe(a, 1.5 * a)


def test_a_mirrored_body_does_not_align_to_zero() -> None:
    a = bodies(8)
    mirrored = a * [1, -1, 1]
    assert al.pa_mpjpe(a, mirrored).min() > 20
    fit = al.procrustes(a, mirrored)
    np.testing.assert_allclose(np.linalg.det(fit.rotation), 1, atol=1e-9)
    hidden = al.procrustes(a, mirrored, reflection=True)
    np.testing.assert_allclose(hidden.apply(a), mirrored, atol=1e-9)


@pytest.mark.parametrize("shape", ["point", "line", "plane"])
def test_degenerate_bodies_stay_finite(shape: str) -> None:
    flat = bodies(2)
    flat[..., {"point": [0, 1, 2], "line": [1, 2], "plane": [2]}[shape]] = 0.3
    whole = bodies(2, 1)
    for a, b in ((flat, whole), (whole, flat), (flat, flat)):
        assert np.isfinite(al.pa_mpjpe(a, b)).all()
    np.testing.assert_allclose(al.pa_mpjpe(flat, flat), 0, atol=1e-6)


def test_batches_broadcast() -> None:
    a, b = bodies(6), bodies(4, 1)
    pairs = al.pair_pa_mpjpe(a, b, rows=4)
    assert pairs.shape == (6, 4)
    assert pairs[5, 2] == pytest.approx(float(al.pa_mpjpe(a[5], b[2])))


def test_clip_alignment_counts_what_frames_hide() -> None:
    a = bodies(12)
    angle = np.linspace(0, 0.6, 12)
    turn = np.zeros((12, 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = -np.sin(angle), np.sin(angle), 1
    leaning = a @ turn
    assert al.pa_mpjpe(leaning, a).max() < 1e-6
    assert al.clip_aligned_mpjpe(leaning, a) > 30
    q, s, t = random_similarity(np.random.default_rng(4))
    assert al.clip_aligned_mpjpe(a, s * a @ q + t, scale=True) == pytest.approx(0, abs=1e-6)
    assert al.clip_aligned_mpjpe(a, s * a @ q + t) > 10


def test_bodies_of_other_joints_are_refused() -> None:
    with pytest.raises(PoiseError, match="cannot be aligned"):
        al.pa_mpjpe(bodies(2), bodies(2)[:, :5])


def test_best_yaw_turns_one_motion_to_another() -> None:
    rng = np.random.default_rng(7)
    a = rng.normal(size=(10, 17, 3))
    sure = rng.uniform(0.2, 1.0, (10, 17))
    for degrees in (-170.0, -40.0, 0.0, 40.0, 120.0):
        b = rotate_yaw(a, np.radians(degrees))
        assert np.degrees(al.best_yaw(a, b, sure)) == pytest.approx(degrees, abs=1e-9)

    # What is not seen does not count, and the rest by how sure it is: no other angle is nearer.
    b = rotate_yaw(a, 0.7) + rng.normal(0, 0.5, a.shape)
    b[:, 3] = rng.normal(0, 50, (10, 3))
    sure[:, 3] = 0.0
    grid = np.linspace(-np.pi, np.pi, 20_001)
    errors = [(sure[..., None] * (rotate_yaw(a, angle) - b) ** 2).sum() for angle in grid]
    assert al.best_yaw(a, b, sure) == pytest.approx(grid[int(np.argmin(errors))], abs=4e-4)
    assert al.best_yaw(a, b, 0 * sure) == 0.0
    with pytest.raises(PoiseError, match="cannot be aligned"):
        al.best_yaw(a, b[:, :5], sure)
