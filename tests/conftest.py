"""What every test may use: a cache of its own, and small data sets that a network can learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the user's cache, or another test's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    monkeypatch.setenv("STRIATE_STATE", str(folder / "state"))
    monkeypatch.delenv("STRIATE_DATA_ROOT", raising=False)
    return folder


@pytest.fixture
def write_stripes() -> Callable[..., Path]:
    """Write class folders of noisy stripes, each class with its own direction, and return the root."""

    def write(root: Path, counts: dict[str, int], side: int = 12, seed: int = 0) -> Path:
        generator = np.random.default_rng(seed)
        names = sorted({Path(folder).name for folder in counts})
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            angle = np.pi * names.index(Path(folder).name) / len(names)
            for number in range(count):
                image = _stripes(generator, side, angle)
                Image.fromarray(image).save(root / folder / f"{number:03d}.png")
        return root

    return write


def _stripes(generator: np.random.Generator, side: int, angle: float) -> np.ndarray:
    """uint8 (side, side, 3)."""
    y, x = np.mgrid[:side, :side]
    phase = generator.uniform(0, 2 * np.pi)
    wave = np.sin(1.6 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    noisy = 128 + 90 * wave[:, :, None] + generator.normal(0, 20, (side, side, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)
