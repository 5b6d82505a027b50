"""Similarity alignment of bodies and motions: Procrustes and PA-MPJPE, by NumPy's batched SVD.

Searching many windows is `windows`, time warping `dtw`. Millimetres out for metres in. The best
rotation is a proper one (the determinant is corrected), so a mirrored body never aligns to zero.
`best_yaw` turns a whole motion about the vertical alone: two people then face alike.
"""

from typing import NamedTuple

import numpy as np

from assistant.errors import PoiseError


class Similarity(NamedTuple):
    """b ~ scale * a @ rotation + translation, batched.

    Attributes:
        rotation: [..., 3, 3] acting on row vectors from the right.
        scale: [...].
        translation: [..., 1, 3].
    """

    rotation: np.ndarray
    scale: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move [..., J, 3]."""
        return self.scale[..., None, None] * points @ self.rotation + self.translation


def procrustes(
    a: np.ndarray, b: np.ndarray, *, scale: bool = True, reflection: bool = False
) -> Similarity:
    """The similarity that brings `a` closest to `b` (Umeyama 1991, equations 39 to 42), float64.

    Args:
        a, b: [..., J, 3], finite; batch shapes broadcast.
        scale: fit a size too; else only rotation and translation.
        reflection: allow a mirrored fit (only to show what it would hide).

    Returns:
        A finite similarity, also for points that are all equal or on a line (then one of the
        equally good rotations; scale 1 where `a` has no extent).
    """
    a, b = _checked(a, b)
    mean_a, mean_b = a.mean(axis=-2, keepdims=True), b.mean(axis=-2, keepdims=True)
    centred_a, centred_b = a - mean_a, b - mean_b
    u, s, vt = np.linalg.svd(np.swapaxes(centred_a, -1, -2) @ centred_b)  # [..., 3, 3]
    signs = np.ones_like(s)
    if not reflection:
        signs[..., 2] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * signs[..., None, :]) @ vt
    extent = (centred_a**2).sum(axis=(-1, -2))
    size = np.ones_like(extent)
    if scale:
        flat = extent <= 1e-12
        size = np.where(flat, 1.0, (s * signs).sum(axis=-1) / np.where(flat, 1.0, extent))
    translation = mean_b - size[..., None, None] * (mean_a @ rotation)
    return Similarity(rotation, size, translation)


def pa_mpjpe(a: np.ndarray, b: np.ndarray, *, scale: bool = True) -> np.ndarray:
    """Mean joint distance after the best similarity of each frame (ExpertAF section 3.2).

    Args:
        a, b: [..., J, 3] metres; `a` is moved onto `b`.
        scale: fit the size too (the usual definition).

    Returns:
        [...] millimetres.
    """
    a, b = _checked(a, b)
    moved = procrustes(a, b, scale=scale).apply(a)
    return np.linalg.norm(moved - b, axis=-1).mean(axis=-1) * 1000


def best_yaw(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """The angle (radians) by which `rotate_yaw` brings `a` closest to `b`, least squares.

    With a' = R(t) a the sum of squares is least where sum w (a'x bx + a'y by) is largest, which is
    C cos t + S sin t with C = sum w (ax bx + ay by) and S = sum w (ax by - ay bx).

    Args:
        a, b: [..., 3], both centred on the pelvis, z up.
        weight: [...], 0 or more.

    Returns:
        In -pi..pi; 0 where no angle is better than another.
    """
    a, b = _checked(a, b)
    along = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]
    across = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return float(np.arctan2((weight * across).sum(), (weight * along).sum()))


def distances_to(windows: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """[N] PA-MPJPE, mean over frames, of windows [N, W, J, 3] moved onto motion [W, J, 3], mm."""
    return pa_mpjpe(windows, motion[None]).mean(axis=1)


def clip_aligned_mpjpe(a: np.ndarray, b: np.ndarray, *, scale: bool = False) -> float:
    """Mean joint distance after ONE alignment for the whole clip, millimetres.

    Trunk lean and heading, which an alignment per frame hides, count here. Without scale (the
    default) only a rotation and a translation are fitted; with scale one size too.

    Args:
        a, b: [F, J, 3] metres, frame by frame; `a` is moved onto `b`.
    """
    a, b = _checked(a, b)
    flat_a, flat_b = a.reshape(-1, 3), b.reshape(-1, 3)
    return float(pa_mpjpe(flat_a, flat_b, scale=scale))


def pair_pa_mpjpe(a: np.ndarray, b: np.ndarray, *, rows: int = 256) -> np.ndarray:
    """PA-MPJPE of every frame of a [F, J, 3] onto every frame of b [W, J, 3]: [F, W] mm."""
    parts = [pa_mpjpe(a[i : i + rows, None], b[None]) for i in range(0, len(a), rows)]
    return np.concatenate(parts)


def _checked(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-2:] != b.shape[-2:] or a.shape[-1] != 3:
        raise PoiseError(
            "bodies that cannot be aligned",
            got=f"shapes {a.shape} and {b.shape}",
            expected="the same [..., joints, 3]",
        )
    return a, b
