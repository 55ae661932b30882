"""What every test may use: a cache of its own, small data sets that a network can learn, and a browser."""

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

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What fixtures of a module or of the session keep: never in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        _keep_in(tmp_path_factory.mktemp("cache"), patch)
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the user's cache, or another test's."""
    folder = tmp_path_factory.mktemp("cache")
    _keep_in(folder, monkeypatch)
    return folder


def _keep_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("STRIATE_CACHE", str(folder))
    patch.setenv("STRIATE_STATE", str(folder / "state"))
    patch.delenv("STRIATE_DATA_ROOT", raising=False)


@pytest.fixture(scope="session", autouse=True)
def without_figures() -> Iterator[None]:
    """Figures at print size take longer than the trainings of most tests; `with_figures` brings them back."""
    import matplotlib  # noqa: F401 - once it is there, no second process gets ready to draw

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("striate.workflows.results.write_figures", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def with_figures() -> Iterator[None]:
    """Runs of this module have their figures."""
    from striate.workflows import exports

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("striate.workflows.results.write_figures", exports.write_figures)
        yield


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser without a window. One process can hold one at a time, so it is closed after each module."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        reason = f"needs a browser: none of {', '.join(BROWSERS)} is on the path"
        if os.environ.get("STRIATE_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open a file, or HTML, in a window of its own; afterwards nothing may have been logged or asked for."""
    complaints: list[str] = []
    contexts = []

    def open_one(page: Path | str, state: str = "", *, width: int = 1280, **settings: Any) -> Page:
        path = _written(page, tmp_path / "page.html") if isinstance(page, str) else page
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        contexts.append(context)
        opened = context.new_page()
        opened.set_default_timeout(5000)
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("request", lambda request: _refuse(request.url, path.as_uri(), complaints))
        opened.goto(path.as_uri() + state)
        return opened

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _written(html: str, path: Path) -> Path:
    path.write_text(html, encoding="utf-8")
    return path


def _refuse(url: str, own: str, complaints: list[str]) -> None:
    if not url.startswith((own, "data:", "blob:")):
        complaints.append(f"asked for {url}")
