"""Pictures to test with: small, seeded, written where a test asks for them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test sees the user's cache, or another test's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("STRIATE_CACHE", str(folder))
    monkeypatch.delenv("STRIATE_DATA_ROOT", raising=False)
    return folder


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """The bytes of a picture of noise: `picture(number, size=(width, height), format=..., mode=...)`."""

    def make(
        number: int = 0, size: tuple[int, int] = (8, 8), format: str = "PNG", mode: str = "RGB"
    ) -> bytes:
        noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(buffer, format)
        return buffer.getvalue()

    return make


@pytest.fixture
def write_pictures(picture) -> Callable[..., Path]:
    """Write `{folder: number of pictures}` below a root; every picture differs from every other."""

    def write(root: Path, counts: Mapping[str, int], **options: object) -> Path:
        number = 0
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                (root / folder / f"{index:03d}.png").write_bytes(picture(number, **options))
                number += 1
        return root

    return write


@pytest.fixture
def pack() -> Callable[..., Path]:
    """Pack a folder into a zip."""

    def write(folder: Path, archive: Path, extra: Iterable[tuple[str | zipfile.ZipInfo, bytes]] = ()) -> Path:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(folder.rglob("*")):
                file.write(path, path.relative_to(folder).as_posix())
            for name, content in extra:
                file.writestr(name, content)
        return archive

    return write
