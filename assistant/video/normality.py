"""The in-distribution test: how far a feature lies from the training footage.

Class-conditional Gaussians with one shared covariance and the Mahalanobis distance to the nearest
class mean (Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples,
2018). The covariance is shrunk towards its diagonal. Where training has shown the encoder films
that are none of its world, the direction that tells them apart is tested beside it: distance alone
lets white noise pass. Thresholds are percentiles of held-out footage, 99% of which pass both.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

SHRINKAGE = 0.1
PASSING = 0.99  # share of held-out footage that passes both tests


@dataclass(frozen=True)
class Normality:
    """Gaussians of a feature.

    Attributes:
        means: [K, D], one a class.
        precision: [D, D] inverse of the shared covariance.
        threshold: the largest distance that is still accepted.
        direction: [D], grows with likeness to training footage; zeros where there is none.
        floor: the smallest product with the direction that is still accepted.
    """

    means: np.ndarray
    precision: np.ndarray
    threshold: float
    direction: np.ndarray
    floor: float

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        classes: np.ndarray,
        held_out: np.ndarray,
        direction: np.ndarray | None = None,
    ) -> "Normality":
        """Fit on features [N, D] with class numbers [N]; thresholds from features [M, D] of
        footage that neither the encoder nor this fit has seen. `direction` [D] is the weight of a
        linear head that was trained to tell training footage from other films."""
        features = np.asarray(features, np.float64)
        labels, index = np.unique(classes, return_inverse=True)
        means = np.stack([features[index == i].mean(axis=0) for i in range(len(labels))])
        centred = features - means[index]
        covariance = centred.T @ centred / max(len(features) - len(labels), 1)
        variances = np.diag(np.diag(covariance))
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * variances
        covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        zeros = np.zeros(features.shape[1])
        weight = zeros if direction is None else np.asarray(direction, np.float64)
        free = cls(means, np.linalg.inv(covariance), np.inf, weight, -np.inf)
        # Each of two tests may refuse half of what may be refused.
        spare = (1 - PASSING) / (1 if direction is None else 2)
        threshold = float(np.quantile(free.distance(held_out), 1 - spare))
        floor = float(np.quantile(held_out @ weight, spare)) if direction is not None else 0.0
        return replace(free, threshold=threshold, floor=floor)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance to the nearest class mean, [V, D] -> [V]."""
        difference = np.asarray(features, np.float64)[:, None] - self.means  # [V, K, D]
        squared = np.einsum("vki,ij,vkj->vk", difference, self.precision, difference, optimize=True)
        return np.sqrt(np.maximum(squared.min(axis=1), 0))

    def accepts(self, features: np.ndarray) -> np.ndarray:
        """Which features [V, D] pass, bool [V]."""
        near = self.distance(features) <= self.threshold
        return near & (np.asarray(features, np.float64) @ self.direction >= self.floor)

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        tensors = {
            "means": self.means.astype(np.float32),
            "precision": self.precision.astype(np.float32),
            "direction": self.direction.astype(np.float32),
            "thresholds": np.array([self.threshold, self.floor], np.float32),
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> "Normality":
        """What `save` wrote."""
        tensors = load_file(path)
        threshold, floor = (float(value) for value in tensors["thresholds"])
        return cls(tensors["means"], tensors["precision"], threshold, tensors["direction"], floor)
