"""Photos to plant copies among: tiles of scikit-image's sample photos, no two of which overlap."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import skimage.data
from encoded import encode
from PIL import Image

from striate.audit import Images, read
from striate.data.decode import Undecodable
from striate.data.sources import Sample, Source

SIDE = 130


class Files:
    """A reader of files in memory."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents = contents

    def read(self, path: str) -> bytes:
        if path not in self.contents:
            raise Undecodable("it is not there")
        return self.contents[path]

    def content(self) -> None:
        return None


@pytest.fixture(scope="session")
def tiles() -> list[Image.Image]:
    found = []
    for photo in (skimage.data.astronaut, skimage.data.coffee, skimage.data.chelsea, skimage.data.rocket):
        image = Image.fromarray(photo())
        for left in range(0, image.width - SIDE, SIDE):
            for top in range(0, image.height - SIDE, SIDE):
                tile = image.crop((left, top, left + SIDE, top + SIDE))
                if np.asarray(tile.convert("L")).std() > 12:  # not a piece of empty sky
                    found.append(tile)
    return found


@pytest.fixture
def gather() -> Callable[..., Images]:
    """Look at files or pictures by their paths, `split/class/name`, as a data set."""

    def make(contents: Mapping[str, bytes | Image.Image]) -> Images:
        files = {
            path: content if isinstance(content, bytes) else encode(content)
            for path, content in contents.items()
        }
        samples = tuple(Sample(path, path.split("/")[1], path.split("/")[0]) for path in sorted(files))
        return read(Source("set", samples, Files(files)))

    return make
