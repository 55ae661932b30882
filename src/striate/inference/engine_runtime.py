"""Networks computed by the glass-box engine, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from striate.architectures import Spec, assemble
from striate.engine.backend import from_numpy, to_numpy


class EngineRuntime:
    """A network of the engine in evaluation mode.

    Args:
        spec: the network.
        input_shape: (C, H, W).
        num_classes: at least 2.
        weights: all of the network's weights and buffers by name; copied.
        engine: `numpy`, or `cupy` for a GPU.
    """

    def __init__(
        self,
        spec: Spec,
        input_shape: Sequence[int],
        num_classes: int,
        weights: Mapping[str, np.ndarray],
        engine: str = "numpy",
    ) -> None:
        self.network = assemble(spec, input_shape, num_classes, weights, engine)
        self.engine = engine

    @property
    def name(self) -> str:
        """Library and device."""
        return "NumPy on cpu" if self.engine == "numpy" else "CuPy on cuda"

    def forward(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 (B, K) or (B, 1) for float32 (B, C, H, W) `inputs`."""
        like = next((one.value for one in self.network.parameters().values()), inputs)
        images = inputs if self.engine == "numpy" else from_numpy(inputs, like)
        return to_numpy(self.network.predict(images))
