"""The engine on a GPU through CuPy, where there is one; elsewhere one line says that there is none."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from engine_cases import CASES, Case
from engine_testing import Library, compare

import striate
from striate.architectures import build
from striate.engine import Adam, Samples, backend, fit
from striate.errors import UserError


def gpu() -> ModuleType | None:
    """CuPy, if it is installed and finds a GPU."""
    if importlib.util.find_spec("cupy") is None:
        return None
    try:
        return backend.library("cupy")
    except UserError:
        return None


CUPY = gpu()
needs_gpu = pytest.mark.skipif(CUPY is None, reason="needs CuPy and an NVIDIA GPU")


@needs_gpu
@pytest.mark.parametrize("case", CASES if CUPY else CASES[:1], ids=lambda case: case.name)
def test_value_and_gradient_equal_torchs_on_the_gpu(case: Case):
    library = Library("cupy", CUPY.asarray)
    compare(library, case.forward, case.backward, case.reference, case.arrays)


@needs_gpu
def test_a_network_trains_on_the_gpu_as_on_the_cpu():
    generator = np.random.default_rng(0)
    samples = Samples(generator.random((64, 1, 28, 28), dtype=np.float32), generator.integers(0, 10, 64), 16)
    histories = []
    for engine in ("numpy", "cupy"):
        network = build("gray-cnn", (1, 28, 28), 10, engine)
        histories.append(fit(network, samples, epochs=2, optimizer=Adam(network.parameters())))
    losses = [[row["train_loss"] for row in history.epochs] for history in histories]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_without_cupy_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UserError, match=r"^engine 'cupy' needs the package cupy-cuda12x.*--engine numpy"):
        build("mynet", (1, 28, 28), 10, "cupy")
    with pytest.raises(UserError, match="cupy-cuda12x"):
        striate.train("digits", engine="cupy", epochs=1)


def test_without_a_gpu_one_line_says_so(monkeypatch):
    class CUDARuntimeError(RuntimeError):
        pass

    def count() -> int:
        raise CUDARuntimeError

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    with pytest.raises(UserError, match=r"^engine 'cupy' needs an NVIDIA GPU, and there is none here"):
        backend.library("cupy")
