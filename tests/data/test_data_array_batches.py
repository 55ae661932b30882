"""Batches without torch are those with it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from striate.data.array_batches import ArrayBatches
from striate.data.folders import FolderReader
from striate.data.images import ArrayPixels, FilePixels, ImageSet
from striate.data.loaders import Batches
from striate.errors import DataError, UserError
from striate.schemas import Preprocess

PREPROCESS = Preprocess(channels=3, height=12, width=10, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
CLOSE = 1e-6
"""float32: the same blend in another order of operations."""


def some_images(n: int = 23) -> ImageSet:
    generator = np.random.default_rng(0)
    array = generator.integers(0, 256, (n, *PREPROCESS.input_shape), dtype=np.uint8)
    return ImageSet(tuple(f"{i}.png" for i in range(n)), generator.integers(0, 4, n), ArrayPixels(array))


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"augment": "shift"},
        {"augment": "flip-crop"},
        {"mixup": 0.4},
        {"cutmix": 1.0, "augment": "flip-crop"},
    ],
    ids=str,
)
def test_every_batch_equals_that_of_the_torch_loader(settings: dict[str, object], epoch: int):
    common = {"shuffle": True, "seed": 5, "num_classes": 4, **settings}
    theirs = Batches(some_images(), PREPROCESS, 5, **common)
    ours = ArrayBatches(some_images(), PREPROCESS, 5, **common)
    theirs.set_epoch(epoch)
    found = list(ours.epoch(epoch))
    assert len(found) == len(ours) == len(theirs)
    for mine, reference in zip(found, theirs, strict=True):
        for field, expected in zip(mine, reference, strict=True):
            assert field.dtype == expected.numpy().dtype
            np.testing.assert_allclose(field, expected.numpy(), atol=CLOSE)


def test_without_shuffling_the_order_is_the_sets_own():
    ours = ArrayBatches(some_images(), PREPROCESS, 4, shuffle=False, num_classes=4)
    assert np.concatenate([batch.indices for batch in ours.epoch(2)]).tolist() == list(range(23))


def test_images_in_files_are_decoded_as_those_in_memory(tmp_path):
    images = some_images(9)
    for path, pixels in zip(images.paths, images.pixels.take(np.arange(9)), strict=True):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / path)
    files = ImageSet(
        images.paths, images.labels, FilePixels(FolderReader(tmp_path), images.paths, PREPROCESS)
    )
    settings = {"shuffle": True, "num_classes": 4, "augment": "shift"}
    one, other = (ArrayBatches(part, PREPROCESS, 4, **settings) for part in (images, files))
    for first, second in zip(one.epoch(1), other.epoch(1), strict=True):
        np.testing.assert_array_equal(first.inputs, second.inputs)
    (tmp_path / images.paths[3]).write_bytes(b"broken")
    with pytest.raises(DataError, match=images.paths[3]):
        list(other.epoch(1))


def test_augmentation_that_needs_torch_is_refused_with_the_way_out():
    with pytest.raises(UserError, match=r"'photo' needs PyTorch.*--engine torch"):
        ArrayBatches(some_images(), PREPROCESS, 4, shuffle=True, num_classes=4, augment="photo")


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match="batch size 24 is larger than the 23 training images"):
        ArrayBatches(some_images(), PREPROCESS, 24, shuffle=True, num_classes=4)


def test_torch_is_not_imported():
    code = "import sys; import striate.data.array_batches; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
