"""Whether the ladder climbs where it should, stays where it should, and keeps to its time.

    python benchmarks/ladder.py photos --data coffee-leaf.zip --budget 15m
    python benchmarks/ladder.py hidden --budget 6m    # spirals, left or right: frozen features hardly see it
    python benchmarks/ladder.py plain --budget 2m     # stripes that they separate

Every ladder is a process of its own, timed from its start to its end; it prints what was tried.

The two classes of `hidden` are mirror images of one another: the same smooth colours and noise, with spirals
that turn left or right. ImageNet was learned with mirrored photos, so that its features hardly differ.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import processes
import striate
from striate.workflows.ladder.budget import in_words, parse_budget

SIDE = 96
SPIRALS = 10
RADIUS = 18.0  # pixels
NOISE = 12.0
STRIPES = (6.0, 14.0)  # pixels of a period


def photos(options: argparse.Namespace) -> None:
    """Climb on a folder or zip file of photos."""
    _climb(options.data, options)


def hidden(options: argparse.Namespace) -> None:
    """Climb on textures that need fine-tuning."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "hidden", _hidden, options.images)
        _climb(str(Path(folder) / "hidden"), options)


def plain(options: argparse.Namespace) -> None:
    """Climb on textures that do not."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "plain", _plain, options.images)
        _climb(str(Path(folder) / "plain"), options)


def _climb(data: str, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out, cache = Path(folder) / "run", Path(folder) / "cache"
        command = ["-m", "striate", "train", data, "--budget", options.budget, "--out", str(out), "--quiet"]
        finished = processes.run(command, {"STRIATE_CACHE": str(cache)})
        run = striate.Run.open(out)
        for step in run.ladder()["steps"]:
            accuracy = "" if step["accuracy"] is None else f", val {100 * step['accuracy']['value']:.2f} %"
            print(
                f"{step['name']} ({step['strategy']}, {step['side']} pixels): {step['outcome']}{accuracy}, "
                f"{step['seconds']:.0f} s; {step['reason']}"
            )
        test = run.metrics()["test"]["accuracy"]
        print(
            f"stopped: {run.ladder()['stopped']}\ntest accuracy {100 * test['value']:.2f} % "
            f"({100 * test['low']:.2f} to {100 * test['high']:.2f}); {finished.seconds:.1f} s of "
            f"{in_words(parse_budget(options.budget))}, {finished.peak_bytes / 2**20:.0f} MB",
            flush=True,
        )


def _write(root: Path, draw: object, count: int) -> None:
    generator = np.random.default_rng(0)
    for split, images in (("train", count), ("val", count // 2), ("test", count // 2)):
        for label, name in enumerate(("one", "two")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(images):
                values = draw(generator, label)  # type: ignore[operator]
                Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(folder / f"{number:04d}.png")


def _background(generator: np.random.Generator) -> np.ndarray:
    """Return smooth colours, float64 (SIDE, SIDE, 3), around 128."""
    coarse = generator.normal(0, 1, (3, SIDE // 16 + 1, SIDE // 16 + 1)).astype(np.float32)
    planes = [Image.fromarray(plane).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for plane in coarse]
    return 128 + 30 * np.stack([np.asarray(plane, np.float64) for plane in planes], axis=-1)


def _hidden(generator: np.random.Generator, label: int) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    texture = np.zeros((SIDE, SIDE))
    for _ in range(SPIRALS):
        row, column = generator.uniform(0, SIDE, 2)
        distance, angle = np.hypot(y - row, x - column), np.arctan2(y - row, x - column)
        turn = (1 if label else -1) * distance / 4
        arms = np.cos(3 * angle + turn + generator.uniform(0, 2 * np.pi))
        texture += np.exp(-((distance / RADIUS) ** 2)) * arms
    noise = generator.normal(0, 1, (SIDE, SIDE, 3))
    return _background(generator) + 24 * texture[..., None] + NOISE * noise


def _plain(generator: np.random.Generator, label: int) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, phase = generator.uniform(0, 2 * np.pi, 2)
    wave = np.sin(2 * np.pi / STRIPES[label] * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    noise = generator.normal(0, 1, (SIDE, SIDE, 3))
    return np.asarray(_background(generator) + 30 * wave[..., None] + NOISE * noise)


def main() -> None:
    """Run the ladder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = {"photos": photos, "hidden": hidden, "plain": plain}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--data", default="coffee-leaf.zip", help="photos: folder or zip file")
    parser.add_argument("--budget", default="4m")
    parser.add_argument("--images", type=int, default=200, help="planted sets: training images of a class")
    options = parser.parse_args()
    kinds[options.kind](options)


if __name__ == "__main__":
    main()
