import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from striate.data.draws import order
from striate.data.folders import FolderReader
from striate.data.images import FilePixels, ImageSet
from striate.data.loaders import Batches, normalize
from striate.data.streaming import AHEAD
from striate.errors import DataError, UserError
from striate.schemas import Preprocess

PREPROCESS = Preprocess(channels=3, height=12, width=10, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))


class FakePixels:
    """Rows of an array; as if decoded when `in_memory` is False."""

    def __init__(self, array, in_memory=True, fail=None):
        self.array = array
        self.in_memory = in_memory
        self.fail = fail

    def __len__(self):
        return len(self.array)

    def take(self, indices):
        if self.fail is not None and 5 in indices:
            self.fail()
        return self.array[indices]


@dataclass(frozen=True)
class FakeImages:
    paths: tuple[str, ...]
    labels: np.ndarray
    pixels: FakePixels


def broken_file():
    raise DataError("'leaf.jpg' could be decoded when the data was prepared, but not now")


def some_images(n=23, in_memory=True, fail=None):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (n, *PREPROCESS.input_shape), dtype=np.uint8)
    labels = rng.integers(0, 4, n)
    return FakeImages(tuple(f"{i}.png" for i in range(n)), labels, FakePixels(array, in_memory, fail))


def batches(images=None, batch_size=5, **settings):
    settings = {"shuffle": True, "num_classes": 4, **settings}
    return Batches(some_images() if images is None else images, PREPROCESS, batch_size, **settings)


def collect(loader, epoch=0):
    loader.set_epoch(epoch)
    return [tuple(field.clone() for field in batch) for batch in loader]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for field, expected in zip(one, other, strict=True):
            assert field.dtype == expected.dtype
            assert torch.equal(field, expected)


def test_batches_hold_the_images_normalised_as_inference_does():
    images = some_images()
    for batch in batches(images):
        raw = images.pixels.array[batch.indices.numpy()]
        np.testing.assert_array_equal(batch.inputs.numpy(), PREPROCESS.normalize(raw))
        np.testing.assert_array_equal(batch.labels.numpy(), images.labels[batch.indices.numpy()])
        assert torch.equal(batch.targets, batch.labels)
        assert batch.inputs.dtype == torch.float32
        assert batch.targets.dtype == torch.int64


def test_normalize_leaves_its_input_as_it_is():
    raw = torch.full((2, 3, 12, 10), 255, dtype=torch.uint8)
    assert normalize(raw, PREPROCESS).dtype == torch.float32
    assert (raw == 255).all()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n", [5, 6, 9, 10, 11, 21, 22])
def test_every_image_comes_once_an_epoch(n, shuffle):
    loader = batches(some_images(n), shuffle=shuffle)
    found = [batch.indices for batch in loader]
    assert len(found) == len(loader)
    np.testing.assert_array_equal(torch.cat(found).sort().values.numpy(), np.arange(n))


def test_shuffled_order_follows_seed_and_epoch():
    loader = batches(seed=3)
    for epoch in (0, 1, 7):
        seen = torch.cat([batch[3] for batch in collect(loader, epoch)]).numpy()
        np.testing.assert_array_equal(seen, order(3, epoch, 23))


def test_unshuffled_order_is_that_of_the_images():
    loader = batches(shuffle=False)
    for epoch in (0, 1):
        assert torch.equal(torch.cat([batch[3] for batch in collect(loader, epoch)]), torch.arange(23))


@pytest.mark.parametrize(
    ("n", "size", "shuffle", "sizes"),
    [
        (11, 5, True, [5, 6]),
        (12, 5, True, [5, 5, 2]),
        (11, 5, False, [5, 5, 1]),
        (5, 5, True, [5]),
        (3, 5, False, [3]),
        (3, 1, True, [1, 1, 1]),
        (1, 1, True, [1]),
    ],
)
def test_a_single_last_image_joins_the_batch_before_it_in_training(n, size, shuffle, sizes):
    loader = batches(some_images(n), size, shuffle=shuffle)
    assert [len(batch.labels) for batch in loader] == sizes


MIXES = [
    {},
    {"augment": "flip-crop"},
    {"augment": "flip-crop", "mixup": 0.4},
    {"cutmix": 1.0},
]


@pytest.mark.parametrize("settings", MIXES)
def test_an_epoch_can_be_repeated_and_resumed_without_state(settings):
    loader = batches(seed=2, **settings)
    third = collect(loader, 3)
    collect(loader, 4)
    assert_same(third, collect(loader, 3))
    assert_same(third, collect(batches(seed=2, **settings), 3))


@pytest.mark.parametrize("settings", MIXES)
@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_streamed_batches_equal_those_from_memory(settings, num_workers):
    expected = collect(batches(seed=2, **settings), 1)
    streamed = batches(some_images(in_memory=False), seed=2, num_workers=num_workers, **settings)
    assert_same(expected, collect(streamed, 1))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_chosen_images_alone_come_as_they_are_among_all(num_workers):
    images = some_images(in_memory=False)
    batches = Batches(
        images,
        PREPROCESS,
        4,
        shuffle=True,
        seed=3,
        augment="flip-crop",
        num_classes=4,
        num_workers=num_workers,
    )
    whole = {int(i): x for batch in batches for i, x in zip(batch.indices, batch.inputs, strict=True)}
    chosen = np.array([1, 2, 5, 7, 8, 12, 13, 20, 22])
    batches.choose(chosen)
    found = list(batches)
    assert [len(batch.labels) for batch in found] == [4, 5]  # a single last image joins the batch before
    assert len(batches) == 2
    assert sorted(int(i) for batch in found for i in batch.indices) == chosen.tolist()
    for batch in found:
        np.testing.assert_array_equal(batch.labels, images.labels[batch.indices])
        for index, image in zip(batch.indices, batch.inputs, strict=True):
            torch.testing.assert_close(image, whole[int(index)], rtol=0, atol=0)
    batches.choose(None)
    assert len(batches) == 6


def test_augmentation_of_an_image_does_not_depend_on_the_batch_size():
    found = []
    for size in (4, 23):
        rows = collect(batches(batch_size=size, augment="flip-crop"), 2)
        inputs = torch.cat([row[0] for row in rows])
        found.append(inputs[torch.cat([row[3] for row in rows]).argsort()])
    assert torch.equal(*found)


def test_augmentation_changes_from_epoch_to_epoch():
    loader = batches(shuffle=False, augment="flip-crop")
    assert not torch.equal(collect(loader, 0)[0][0], collect(loader, 1)[0][0])


def test_iterating_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    np_state = np.random.get_state()  # noqa: NPY002
    before = torch.get_rng_state()
    collect(batches(augment="flip-crop", mixup=0.4))
    collect(batches(some_images(in_memory=False), num_workers=1))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(np_state[1], np.random.get_state()[1])  # noqa: NPY002


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("striate-decode")]


def test_no_thread_outlives_its_iteration():
    loader = batches(some_images(in_memory=False), num_workers=2)
    collect(loader)
    assert not decoding_threads()
    iterator = iter(loader)
    next(iterator)
    assert decoding_threads()
    iterator.close()
    assert not decoding_threads()


def test_no_thread_outlives_an_interruption():
    loader = batches(some_images(in_memory=False), num_workers=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        for _ in loader:
            raise KeyboardInterrupt
    del caught
    assert not decoding_threads()


def test_few_batches_are_decoded_ahead(monkeypatch):
    images, taken = some_images(in_memory=False), []
    monkeypatch.setattr(images.pixels, "take", lambda rows: taken.extend(rows) or images.pixels.array[rows])
    for trained, _ in enumerate(batches(images, 1, num_workers=2), start=1):
        assert len(taken) <= trained + 2 * AHEAD
    assert sorted(taken) == list(range(23))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_file_that_breaks_later_is_reported_without_a_traceback(num_workers):
    loader = batches(some_images(in_memory=False, fail=broken_file), num_workers=num_workers)
    with pytest.raises(DataError) as caught:
        collect(loader)
    assert str(caught.value) == "'leaf.jpg' could be decoded when the data was prepared, but not now"
    assert not decoding_threads()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_files_stream_until_one_vanishes(num_workers, tmp_path):
    raw = some_images(9).pixels.array
    paths = tuple(f"{row}.png" for row in range(9))
    for path, image in zip(paths, raw, strict=True):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / path)
    pixels = FilePixels(FolderReader(str(tmp_path)), paths, PREPROCESS)
    loader = batches(ImageSet(paths, np.zeros(9, np.int64), pixels), 4, num_workers=num_workers)
    for batch in loader:
        np.testing.assert_array_equal(batch.inputs.numpy(), PREPROCESS.normalize(raw[batch.indices.numpy()]))
    (tmp_path / "5.png").unlink()
    with pytest.raises(DataError, match=r"'5\.png'"):
        collect(loader)


def test_mixed_targets_are_shares_and_labels_stay():
    images = some_images()
    for batch in batches(images, mixup=0.4):
        assert batch.targets.dtype == torch.float32
        assert batch.targets.shape == (len(batch.labels), 4)
        torch.testing.assert_close(batch.targets.sum(1), torch.ones(len(batch.labels)))
        np.testing.assert_array_equal(batch.labels.numpy(), images.labels[batch.indices.numpy()])


def test_unknown_labels_are_handed_on_in_evaluation():
    images = FakeImages(("a", "b"), np.asarray([-1, 2]), some_images(2).pixels)
    (batch,) = batches(images, shuffle=False)
    assert batch.labels.tolist() == [-1, 2]


def test_a_batch_larger_than_the_training_data_is_refused():
    with pytest.raises(UserError, match="batch size 24 is larger than the 23 training images"):
        batches(batch_size=24)
    assert len(batches(batch_size=24, shuffle=False)) == 1


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean 'flip-crop'"):
        batches(augment="flipcrop")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"num_classes": 3}, "num_classes = 3"),
        ({"mixup": 0.2, "cutmix": 0.2}, "exclude each other"),
        ({"mixup": -0.1}, "mixup is -0.1"),
        ({"cutmix": float("nan")}, "cutmix nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        batches(**settings)


def test_mixing_needs_labels():
    images = FakeImages(("a", "b"), np.asarray([-1, 2]), some_images(2).pixels)
    with pytest.raises(ValueError, match="need a label"):
        batches(images, 2, mixup=0.4)
