"""What computes the features of images: an ONNX file, or a torch module where that has to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


class Extractor(Protocol):
    """A frozen network without its head; several threads may call it at once.

    Attributes:
        name: the library that computes, for people.
    """

    name: str

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 (B, F) for float32 (B, C, H, W), C-contiguous."""
        ...


class OnnxExtractor:
    """An ONNX file in ONNX Runtime, one thread a call: whoever calls it from several threads uses all cores.

    Args:
        model: path of the file, or its bytes.
    """

    name = "ONNX Runtime"

    def __init__(self, model: Path | bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        source = model if isinstance(model, bytes) else str(model)
        self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 (B, F)."""
        (features,) = self.session.run(None, {self.input_name: inputs})
        result: np.ndarray = features
        return result


class TorchExtractor:
    """A torch module in evaluation mode on the CPU.

    Args:
        module: images (B, C, H, W) to features (B, F).
    """

    name = "PyTorch"

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module.eval()

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 (B, F)."""
        import torch

        with torch.inference_mode():
            features: torch.Tensor = self.module(torch.from_numpy(inputs))
            return features.float().numpy()
