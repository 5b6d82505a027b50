"""The in-distribution test: how far a feature lies from the training footage.

Class-conditional Gaussians with one shared covariance and the Mahalanobis distance to the nearest
class mean (Lee et al., A Simple Unified Framework for Detecting Out-of-Distribution Samples,
2018). The covariance is shrunk towards its diagonal, the threshold is a percentile of held-out
footage.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

SHRINKAGE = 0.1
PERCENTILE = 99.0


@dataclass(frozen=True)
class Normality:
    """Gaussians of a feature.

    Attributes:
        means: [K, D], one a class.
        precision: [D, D] inverse of the shared covariance.
        threshold: the largest distance that is still accepted.
    """

    means: np.ndarray
    precision: np.ndarray
    threshold: float

    @classmethod
    def fit(cls, features: np.ndarray, classes: np.ndarray, held_out: np.ndarray) -> "Normality":
        """Fit on features [N, D] with class numbers [N]; threshold from features [M, D] of
        footage that neither the encoder nor this fit has seen."""
        features = np.asarray(features, np.float64)
        labels, index = np.unique(classes, return_inverse=True)
        means = np.stack([features[index == i].mean(axis=0) for i in range(len(labels))])
        centred = features - means[index]
        covariance = centred.T @ centred / max(len(features) - len(labels), 1)
        variances = np.diag(np.diag(covariance))
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * variances
        covariance += 1e-6 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        gaussians = cls(means, np.linalg.inv(covariance), np.inf)
        return cls(
            means,
            gaussians.precision,
            float(np.percentile(gaussians.distance(held_out), PERCENTILE)),
        )

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance to the nearest class mean, [V, D] -> [V]."""
        difference = np.asarray(features, np.float64)[:, None] - self.means  # [V, K, D]
        squared = np.einsum("vki,ij,vkj->vk", difference, self.precision, difference, optimize=True)
        return np.sqrt(np.maximum(squared.min(axis=1), 0))

    def accepts(self, features: np.ndarray) -> np.ndarray:
        """Which features [V, D] are near enough, bool [V]."""
        return self.distance(features) <= self.threshold

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        tensors = {
            "means": self.means.astype(np.float32),
            "precision": self.precision.astype(np.float32),
            "threshold": np.array([self.threshold], np.float32),
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> "Normality":
        """What `save` wrote."""
        tensors = load_file(path)
        return cls(tensors["means"], tensors["precision"], float(tensors["threshold"][0]))
