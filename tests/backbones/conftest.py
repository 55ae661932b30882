"""The pretrained network and sample photos, read once for all tests of this room."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from striate import backbones


@pytest.fixture(scope="session")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> backbones.Backbone:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("weights")))
        return backbones.load("lite0")


@pytest.fixture(scope="session")
def photos() -> list[np.ndarray]:
    return [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
