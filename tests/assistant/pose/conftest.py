"""Synthetic cameras."""

from collections.abc import Callable

import numpy as np
import pytest

from assistant.pose.camera import Camera


@pytest.fixture
def ring() -> Callable[..., list[Camera]]:
    """A maker of cameras around the body of `standing`."""

    def make(count: int, *, distortion: bool = True, fisheye: bool = False) -> list[Camera]:
        """Cameras 4 m around (2, 3) at 1.5 m height, looking at the hips, z up."""
        found = []
        for i in range(count):
            angle = 0.4 + 2 * np.pi * i / count
            position = np.array([2 + 4 * np.cos(angle), 3 + 4 * np.sin(angle), 1.5])
            forward = np.array([2.0, 3.0, 0.9]) - position
            forward /= np.linalg.norm(forward)
            right = np.cross(forward, [0, 0, 1.0])
            right /= np.linalg.norm(right)
            rotation = np.stack([right, np.cross(forward, right), forward])
            bent = [0.05, -0.01, 0.002, 0.0] if fisheye else [-0.2, 0.05, 1e-3, -5e-4, 0.01]
            found.append(
                Camera(
                    name=f"cam{i + 1:02d}",
                    size=(1920.0, 1080.0),
                    matrix=np.array([[1200.0, 0, 940.0], [0, 1210.0, 550.0], [0, 0, 1]]),
                    distortion=np.array(bent) * distortion,
                    fisheye=fisheye,
                    rotation=rotation,
                    translation=-rotation @ position,
                )
            )
        return found

    return make
