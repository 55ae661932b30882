"""How fast EfficientNet-Lite0 is explained: one image, a folder, a trust card.

    python benchmarks/explain.py

After loading, with the tuned allocator; the best of several repetitions, since other work on the machine only
slows down.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from striate import backbones
from striate.allocator import tune
from striate.explain import Request, Subject, class_maps, explain_images

FOLDER = 200
BATCH = 16


def best(work: Callable[[], object], repetitions: int) -> float:
    """Return the seconds of the fastest repetition, after one that does not count."""
    work()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    tune()
    subject = Subject.of_backbone(backbones.load("lite0"))
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (FOLDER, *subject.preprocess.input_shape), np.uint8)
    images = [image.transpose(1, 2, 0) for image in pixels]
    one = best(lambda: class_maps(subject, pixels[:1]), 10)
    print(f"Grad-CAM of one image: {one:.3f} s")
    maps = best(
        lambda: [class_maps(subject, pixels[start : start + BATCH]) for start in range(0, FOLDER, BATCH)], 2
    )
    print(f"Grad-CAM of {FOLDER} decoded images: {FOLDER / maps:.1f} images/s")
    folder = best(lambda: list(explain_images(subject, images, Request(trust=False))), 2)
    print(f"the same from pictures: {FOLDER / folder:.1f} images/s")
    print(f"map with trust card: {best(lambda: list(explain_images(subject, images[:1])), 3):.2f} s")


if __name__ == "__main__":
    main()
