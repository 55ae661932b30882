"""A browser, and a small bundle whose network has a block and every part of a class map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_firefox import Firefox, find_firefox
from PIL import Image

from striate import bundle
from striate.architectures import Spec
from striate.architectures.weights import initial_weights
from striate.lesson import render_lesson
from striate.schemas import Preprocess
from striate.workflows.lesson import lesson

CLASSES = ("cat", "hen", "<b>owl</b>")
SIDE = 12


def conv(channels: int, **arguments: Any) -> dict[str, Any]:
    return {"conv2d": {"out_channels": channels, "kernel_size": 3, **arguments}}


SPEC = Spec.from_dict(
    {
        "name": "tiny <net>",
        "layers": [
            conv(4, padding=1),
            "batch_norm",
            "relu",
            {"residual": {"layers": [conv(4, padding=1, groups=2), "relu"]}},
            {
                "parallel": {
                    "branches": [
                        [conv(3, padding="same")],
                        [{"conv2d": {"out_channels": 2, "kernel_size": 1}}],
                    ]
                }
            },
            {"max_pool2d": {"kernel_size": 2}},
            conv(6, stride=2),
            "relu",
            "adaptive_avg_pool2d",
            "flatten",
            "dropout",
            {"linear": {"out_features": "num_classes"}},
        ],
    }
)


@pytest.fixture(scope="session")
def weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    drawn = initial_weights(SPEC, (1, SIDE, SIDE), len(CLASSES), seed=0)
    drawn["batch_norm1.running_mean"] = generator.normal(size=4).astype(np.float32)
    drawn["batch_norm1.running_var"] = generator.uniform(0.5, 2, 4).astype(np.float32)
    return {name: 2 * value if name.endswith("weight") else value for name, value in drawn.items()}


@pytest.fixture(scope="session")
def model(tmp_path_factory, weights) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    bundle.write(
        folder,
        weights,
        name="tiny <net>",
        spec=SPEC.to_dict(),
        class_names=CLASSES,
        preprocess=Preprocess(channels=1, height=SIDE, width=SIDE, mean=(0.3,), std=(0.4,)),
        data=bundle.TrainingData(name="stripes", fingerprint="0", samples=3),
        temperature=1.5,
    )
    return folder


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images") / "<i>stripes.png"
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="session")
def own_page(model, image, tmp_path_factory) -> Path:
    """The page of the bundle and the image."""
    return lesson(model, image, out=tmp_path_factory.mktemp("own") / "lesson.html")


@pytest.fixture(scope="session")
def plain_page(tmp_path_factory) -> Path:
    """The page without a network."""
    path = tmp_path_factory.mktemp("plain") / "lesson.html"
    path.write_text(render_lesson(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def firefox(tmp_path_factory) -> Iterator[Firefox]:
    """Firefox without a window."""
    path = find_firefox()
    if path is None:
        pytest.skip("needs Firefox: neither firefox-esr nor firefox is on the path")
    found = Firefox(path, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()
