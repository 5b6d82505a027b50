"""What a fault is: the quantity that it moves, and by how much at which severity."""

from dataclasses import dataclass
from typing import Final

import numpy as np

BLEND: Final = 0.25  # below this severity a fault fades into the performer's own style


@dataclass(frozen=True)
class FaultSpec:
    """One fault: the quantity it moves and its size at three severities.

    Attributes:
        name: identifier used in data.
        region: body region that the remark belongs to.
        quantity: what is measured, at which instant.
        unit: "deg", "s" or "cm".
        normal: lowest and highest value of faultless performers.
        at_03, at_06, at_10: the quantity at severity 0.3, 0.6 and 1.0.
        source: where direction and magnitude come from.
    """

    name: str
    region: str
    quantity: str
    unit: str
    normal: tuple[float, float]
    at_03: float
    at_06: float
    at_10: float
    source: str

    def size(self, severity: float, style: float) -> float:
        """The quantity at a severity in 0..1; at 0 the performer's own `style` value."""
        absolute = float(
            np.interp(
                severity,
                [0.0, 0.3, 0.6, 1.0],
                [2 * self.at_03 - self.at_06, self.at_03, self.at_06, self.at_10],
            )
        )
        weight = min(1.0, severity / BLEND)
        return (1 - weight) * style + weight * absolute
