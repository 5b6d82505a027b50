"""A calibrated camera: from metres in the world to pixels and back to rays.

The camera frame is that of OpenCV (x right, y down, z into the picture). Lenses are either the
pinhole with radial and tangential distortion (Brown 1966; k1, k2, p1, p2, k3) or the fisheye of
Kannala and Brandt 2006 (k1 to k4 on the angle from the axis), which suits action cameras.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from assistant.errors import PoiseError

# Codecs store whole blocks of 16 pixels; players cut the rest at the right and the bottom.
_CODEC_BLOCK: Final = 16
_NEAR: Final = 1e-6
_NEWTON_STEPS: Final = 25
_STRAIGHT: Final = 1e-9


@dataclass(frozen=True)
class Camera:
    """One camera of a calibration.

    Attributes:
        name: as in the file.
        size: width and height in pixels of the pictures that were calibrated.
        matrix: [3, 3] intrinsics in pixels.
        distortion: [5] (k1, k2, p1, p2, k3), or [4] (k1 to k4) of a fisheye.
        fisheye: which of the two models.
        rotation: [3, 3] and translation: [3] metres; a point X of the world lies at
            rotation @ X + translation in the camera.
    """

    name: str
    size: tuple[float, float]
    matrix: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    rotation: np.ndarray
    translation: np.ndarray

    @property
    def focal(self) -> float:
        """Mean focal length, pixels."""
        return float(self.matrix[0, 0] + self.matrix[1, 1]) / 2

    @property
    def pose(self) -> np.ndarray:
        """[3, 4]: rotation beside translation."""
        return np.concatenate([self.rotation, self.translation[:, None]], axis=1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] of world points [..., 3] metres; finite also behind the camera."""
        inside = points @ self.rotation.T + self.translation
        depth = np.maximum(inside[..., 2:], _NEAR)
        flat = inside[..., :2] / depth
        bend = _bend_fisheye if self.fisheye else _bend
        bent = bend(flat, self.distortion)
        return bent @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Undistorted picture coordinates [..., 2] (x/z, y/z in the camera) of pixels [..., 2]."""
        inverse = np.linalg.inv(self.matrix[:2, :2])
        bent = (np.asarray(pixels, dtype=np.float64) - self.matrix[:2, 2]) @ inverse.T
        straighten = _straighten_fisheye if self.fisheye else _straighten
        return straighten(bent, self.distortion)

    def fitted(self, width: int, height: int) -> "Camera":
        """The same camera for a film of another resolution, or cut at a codec's block.

        Raises:
            PoiseError: the film has another shape than the calibrated pictures.
        """
        wide, high = self.size
        scale = max(width / wide, height / high)
        spare = max(wide * scale - width, high * scale - height)
        if spare > _CODEC_BLOCK * scale + 1:
            raise PoiseError(
                f"camera {self.name} does not fit its film",
                got=f"a film of {width} x {height} pixels",
                expected=f"the shape of the calibrated pictures, {wide:g} x {high:g}",
                remedy="give the views in the order of the cameras, and this take's calibration",
            )
        matrix = self.matrix * np.array([[scale], [scale], [1.0]])
        return replace(self, size=(float(width), float(height)), matrix=matrix)


def _bend(flat: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Radial and tangential distortion of picture coordinates [..., 2]."""
    k1, k2, p1, p2, k3 = coefficients
    x, y = flat[..., 0], flat[..., 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )


def _straighten(bent: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Invert `_bend` by Newton's method."""
    k1, k2, p1, p2, k3 = coefficients
    flat = bent.copy()
    for _ in range(_NEWTON_STEPS):
        x, y = flat[..., 0], flat[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2 * (k1 + r2 * (2 * k2 + 3 * k3 * r2))  # d radial / d r2, times 2
        xx = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        yy = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        xy = slope * x * y + 2 * p1 * x + 2 * p2 * y
        gap = _bend(flat, coefficients) - bent
        determinant = xx * yy - xy * xy
        determinant = np.where(np.abs(determinant) < _STRAIGHT, 1.0, determinant)
        step_x = (yy * gap[..., 0] - xy * gap[..., 1]) / determinant
        step_y = (xx * gap[..., 1] - xy * gap[..., 0]) / determinant
        flat = flat - np.stack([step_x, step_y], axis=-1)
    return flat


def _bend_fisheye(flat: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Kannala and Brandt: the angle from the axis becomes a polynomial of itself."""
    radius = np.linalg.norm(flat, axis=-1, keepdims=True)
    angle = np.arctan(radius)
    ratio = _bent_angle(angle, coefficients) / np.maximum(radius, _STRAIGHT)
    return flat * np.where(radius < _STRAIGHT, 1.0, ratio)


def _straighten_fisheye(bent: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Invert `_bend_fisheye`; angles stay below 89 degrees."""
    radius = np.linalg.norm(bent, axis=-1, keepdims=True)
    angle = radius.copy()
    limit = np.radians(89.0)
    k1, k2, k3, k4 = coefficients
    for _ in range(_NEWTON_STEPS):
        a2 = angle * angle
        slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
        slope = np.where(np.abs(slope) < _STRAIGHT, 1.0, slope)
        angle = np.clip(angle - (_bent_angle(angle, coefficients) - radius) / slope, 0.0, limit)
    ratio = np.tan(angle) / np.maximum(radius, _STRAIGHT)
    return bent * np.where(radius < _STRAIGHT, 1.0, ratio)


def _bent_angle(angle: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    k1, k2, k3, k4 = coefficients
    a2 = angle * angle
    return angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
