"""How long looking inside a network takes, after loading, with the tuned allocator.

    python benchmarks/explain.py            # all measurements, as a table (or: all)
    python benchmarks/explain.py fields     # one of them

The median and range of several repetitions, after one that does not count, beside what is asked.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import processes
from striate.allocator import tune

if TYPE_CHECKING:
    from striate.explain import Subject

FOLDER = 200
BATCH = 16
PHOTO = (1024, 768)
"""Width and height of a photo of the folder, a JPEG."""
FILTERS, SIDE = 64, 64
FILTER_NET = """
name: small
layers:
  - conv2d: {out_channels: 32, kernel_size: 3, padding: 1}
  - batch_norm
  - relu
  - max_pool2d: {kernel_size: 2}
  - conv2d: {out_channels: 64, kernel_size: 3, padding: 1}
  - batch_norm
  - relu
  - conv2d: {out_channels: 64, kernel_size: 3, padding: 1}
  - relu
  - adaptive_avg_pool2d
  - flatten
  - linear: {out_features: num_classes}
"""


class Row(NamedTuple):
    """A line of the table: what was measured, how much, in what unit, and what is asked."""

    what: str
    values: Sequence[float]
    unit: str
    digits: int
    asked: str


def fields() -> Row:
    """Theoretical receptive fields of all layers of ResNet-50 at 224 pixels."""
    import torchvision

    from striate.explain import receptive_fields

    network = torchvision.models.resnet50(weights=None)
    seconds = repeated(lambda: receptive_fields(network, (3, 224, 224)), 5)
    return Row("receptive fields of ResNet-50", seconds, "s", 2, "< 2")


def one() -> Row:
    """Grad-CAM of one decoded image."""
    from striate.explain import class_maps

    subject, pixels = lite0(), noise(1)
    seconds = repeated(lambda: class_maps(subject, pixels), 15)
    return Row("Grad-CAM of one 224 image, EfficientNet-Lite0", seconds, "s", 3, "< 0.1")


def maps() -> Row:
    """Grad-CAM of decoded images."""
    from striate.explain import class_maps

    subject, pixels = lite0(), noise(FOLDER)
    starts = range(0, FOLDER, BATCH)
    seconds = repeated(lambda: [class_maps(subject, pixels[start : start + BATCH]) for start in starts], 2)
    return Row(f"Grad-CAM of {FOLDER} decoded images", rates(seconds), "images/s", 1, "")


def files() -> Row:
    """From a folder of photos to a folder of PNGs and a page, without trust cards."""
    from striate.workflows.explain import explain

    with tempfile.TemporaryDirectory() as folder:
        photos, out = Path(folder) / "photos", Path(folder) / "out"
        write_photos(photos)
        seconds = repeated(lambda: explain("lite0", photos, trust=False, out=out), 1, warm=False)
    return Row(f"folder of {FOLDER} photos to PNGs and page", rates(seconds), "images/s", 1, "")


def pictures() -> Row:
    """The same from photos to maps and probabilities."""
    from striate.explain import Request, explain_images

    subject = lite0()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_photos(Path(folder) / "photos")
        seconds = repeated(lambda: list(explain_images(subject, paths, Request(trust=False))), 2)
    return Row(f"folder of {FOLDER} photos to maps", rates(seconds), "images/s", 1, ">= 20")


def card() -> Row:
    """A map with its trust card."""
    from striate.explain import Request, explain_images

    subject = lite0()
    images = [noise(1)[0].transpose(1, 2, 0)]
    seconds = repeated(lambda: list(explain_images(subject, images, Request(trust=True))), 3)
    return Row("map with trust card, EfficientNet-Lite0", seconds, "s", 2, "< 5")


def filters() -> Row:
    """Images of all filters of a small net's layer."""
    from striate.explain import visualise

    subject = small()
    seconds = repeated(lambda: visualise(subject, "conv3", range(FILTERS), size=SIDE), 1, warm=False)
    return Row(f"{FILTERS} filters at {SIDE} x {SIDE}, small net", seconds, "s", 1, "< 60")


MEASUREMENTS: dict[str, Callable[[], Row]] = {
    "fields": fields,
    "one": one,
    "maps": maps,
    "pictures": pictures,
    "files": files,
    "card": card,
    "filters": filters,
}


def lite0() -> Subject:
    """Return the embedded network, ready to be explained."""
    from striate import backbones
    from striate.explain import Subject

    return Subject.of_backbone(backbones.load("lite0"))


def small() -> Subject:
    """Return a net of three convolutions with random weights, which cost as much as learned ones."""
    from striate.architectures import Spec
    from striate.architectures.to_torch import to_torch
    from striate.architectures.weights import initial_weights
    from striate.explain import Subject
    from striate.schemas import Preprocess

    spec, shape = Spec.from_yaml(FILTER_NET), (3, 32, 32)
    network = to_torch(spec, shape, 10, initial_weights(spec, shape, 10, 0))
    preprocess = Preprocess(channels=3, height=32, width=32, mean=(0.5,) * 3, std=(0.25,) * 3)
    return Subject("small", network, "logits", tuple("0123456789"), preprocess)


def noise(count: int) -> np.ndarray:
    """Return uint8 (count, 3, 224, 224): noise, which costs as much as photos."""
    return np.random.default_rng(0).integers(0, 256, (count, 3, 224, 224), np.uint8)


def write_photos(folder: Path) -> list[Path]:
    """Write JPEG files with as much detail as photos have; return their paths."""
    from PIL import Image

    folder.mkdir()
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (PHOTO[1] // 8, PHOTO[0] // 8, 3), np.uint8))
    buffer = io.BytesIO()
    coarse.resize(PHOTO, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=88)
    paths = [folder / f"{number:03d}.jpg" for number in range(FOLDER)]
    for path in paths:
        path.write_bytes(buffer.getvalue())
    return paths


def rates(seconds: Sequence[float]) -> list[float]:
    """Return images a second, of the seconds that the folder took."""
    return [FOLDER / each for each in seconds]


def repeated(work: Callable[[], object], count: int, warm: bool = True) -> list[float]:
    """Return the seconds of `count` repetitions, after one that does not count."""
    if warm:
        work()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Run the measurements named on the command line, or all, and print a table."""
    tune()
    print(processes.hardware())
    named = [name for name in sys.argv[1:] if name != "all"]
    print(f"\n| {'measured':48} | {'median (range)':28} | asked |\n|{'-' * 50}|{'-' * 30}|-------|")
    for name in named or MEASUREMENTS:
        row = MEASUREMENTS[name]()
        found = f"{processes.spread(row.values, row.digits)} {row.unit}"
        print(f"| {row.what:48} | {found:28} | {row.asked:5} |", flush=True)


if __name__ == "__main__":
    main()
