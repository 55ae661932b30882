"""How long looking inside a network takes, after loading, with the tuned allocator.

    python benchmarks/explain.py            # all measurements
    python benchmarks/explain.py fields     # one of them

The median and range of several repetitions, after one that does not count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

import processes
from striate.allocator import tune

if TYPE_CHECKING:
    from striate.explain import Subject

FOLDER = 200
BATCH = 16


def fields() -> str:
    """Theoretical receptive fields of all layers of ResNet-50 at 224 pixels."""
    import torchvision

    from striate.explain import receptive_fields

    network = torchvision.models.resnet50(weights=None)
    seconds = repeated(lambda: receptive_fields(network, (3, 224, 224)), 7)
    return f"receptive fields of ResNet-50: {processes.spread(seconds)} s"


def maps() -> str:
    """Grad-CAM with EfficientNet-Lite0: one decoded image, and a folder of them."""
    from striate.explain import class_maps

    subject, pixels = lite0(), folder()
    starts = range(0, FOLDER, BATCH)
    one = repeated(lambda: class_maps(subject, pixels[:1]), 10)
    many = repeated(lambda: [class_maps(subject, pixels[start : start + BATCH]) for start in starts], 3)
    rates = [FOLDER / seconds for seconds in many]
    return (
        f"Grad-CAM of one image: {processes.spread(one, 3)} s; "
        f"of {FOLDER}: {processes.spread(rates, 1)} images/s"
    )


def pictures() -> str:
    """The same from pictures to overlays, without trust cards."""
    from striate.explain import Request, explain_images

    subject = lite0()
    images = [image.transpose(1, 2, 0) for image in folder()]
    seconds = repeated(lambda: list(explain_images(subject, images, Request(trust=False))), 2)
    return f"explanations of {FOLDER} pictures: {processes.spread([FOLDER / s for s in seconds], 1)} images/s"


def card() -> str:
    """A map with its trust card."""
    from striate.explain import Request, explain_images

    subject = lite0()
    images = [folder()[0].transpose(1, 2, 0)]
    seconds = repeated(lambda: list(explain_images(subject, images, Request(trust=True))), 3)
    return f"map with trust card: {processes.spread(seconds)} s"


MEASUREMENTS: dict[str, Callable[[], str]] = {
    "fields": fields,
    "maps": maps,
    "pictures": pictures,
    "card": card,
}


def lite0() -> Subject:
    """Return the embedded network, ready to be explained."""
    from striate import backbones
    from striate.explain import Subject

    return Subject.of_backbone(backbones.load("lite0"))


def folder() -> np.ndarray:
    """Return uint8 (FOLDER, 3, 224, 224): noise, which costs as much as photos."""
    return np.random.default_rng(0).integers(0, 256, (FOLDER, 3, 224, 224), np.uint8)


def repeated(work: Callable[[], object], count: int) -> list[float]:
    """Return the seconds of `count` repetitions, after one that does not count."""
    work()
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Run the measurements named on the command line, or all."""
    tune()
    print(processes.hardware())
    for name in sys.argv[1:] or MEASUREMENTS:
        print(MEASUREMENTS[name](), flush=True)


if __name__ == "__main__":
    main()
