"""A browser, and a small bundle whose network has a block and every part of a class map."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f"needs a browser: none of {', '.join(names)} is on the path"
        if os.environ.get("STRIATE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path)
        yield found
        found.close()


@pytest.fixture
def open_page(browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a window of its own; afterwards nothing may have been logged or asked for."""
    complaints: list[str] = []
    contexts = []

    def open_one(path: Path, state: str = "", width: int = 1280, **settings: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: _refuse(request.url, path, complaints))
        page.goto(path.as_uri() + state)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _refuse(url: str, path: Path, complaints: list[str]) -> None:
    if not url.startswith((path.as_uri(), "data:", "blob:")):
        complaints.append(f"asked for {url}")
