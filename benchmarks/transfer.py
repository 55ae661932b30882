"""How fast and how well photos are learned from the features of a frozen network.

    python benchmarks/transfer.py coffee      # the default command, cold and again
    python benchmarks/transfer.py resplits    # five splits that divide no copies
    python benchmarks/transfer.py features    # images/s, against tuned torch
    python benchmarks/transfer.py memory --images 20000

Every training is a process of its own, timed from its start to its end. Photos for `features` and `memory`
are JPEG files of 500 x 375 pixels, quality 90, cut from scikit-image's sample photos. `coffee` and `resplits`
take another zip file of photos too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import processes
import striate
from striate.audit import find_duplicates, read
from striate.data import decode
from striate.data.lookup import find_source
from striate.schemas import Preprocess

SIDE = 224
PHOTO = (500, 375)
INPUT = Preprocess(
    channels=3, height=SIDE, width=SIDE, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3
)


def coffee(options: argparse.Namespace) -> None:
    """Time the default command on the published split: with an empty cache, and with features kept.

    With `--views flip` features are averaged over mirror images, in training and prediction.
    """
    for kind, runs in (("cold", options.runs), ("kept", options.runs)):
        seconds, reached, peaks = [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for number in range(runs + (kind == "kept")):
                cache = Path(folder) / ("cache" if kind == "kept" else f"cache{number}")
                out = Path(folder) / f"run{number}"
                command = ["-m", "striate", "train", options.data, "--out", str(out), "--quiet"]
                command += [] if options.views == "one" else ["--feature-views", options.views]
                finished = processes.run(command, {"STRIATE_CACHE": str(cache)})
                if kind == "cold" or number:
                    seconds.append(finished.seconds)
                    peaks.append(finished.peak_bytes)
                reached.append(striate.Run.open(out).metrics()["test"]["accuracy"]["value"])
        print(
            f"{kind}: {processes.spread(seconds)} s, {max(peaks) / 2**20:.0f} MB, test accuracy "
            f"{100 * min(reached):.2f} to {100 * max(reached):.2f} %",
            flush=True,
        )


def resplits(options: argparse.Namespace) -> None:
    """Train on five random splits in which copies of an image stay together."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with zipfile.ZipFile(options.data) as archive:
            archive.extractall(root)
        table = _without_splits(root)
        table.to_csv(root / "all.csv", index=False)
        reached = []
        for seed in range(5):
            out = root / f"run{seed}"
            command = ["-m", "striate", "train", str(root / "all.csv"), "--group-by", "copies"]
            command += ["--seed", str(seed), "--out", str(out), "--quiet"]
            command += [] if options.views == "one" else ["--feature-views", options.views]
            processes.run(command, {"STRIATE_CACHE": str(root / "cache")})
            metrics = striate.Run.open(out).metrics()["test"]
            reached.append(metrics["accuracy"]["value"])
            print(f"seed {seed}: {100 * reached[-1]:.2f} % of {metrics['samples']}", flush=True)
    print(f"{100 * statistics.mean(reached):.2f} +- {100 * statistics.stdev(reached):.2f} %")


def _without_splits(root: Path) -> pd.DataFrame:
    """Return image, label and the group of copies of each image below `root`."""
    images = read(find_source(str(root), None), None)
    group = {path: f"image {path}" for path in images.paths}
    for number, copies in enumerate(find_duplicates(images, None)):
        for member in copies.members:
            group[images.paths[member]] = f"copies {number}"
    labels = [Path(path).parent.name for path in group]
    return pd.DataFrame({"image": list(group), "label": labels, "copies": list(group.values())})


def features(options: argparse.Namespace) -> None:
    """Compare images/s of Striate's features with pipelines of tuned eager torch, in turns."""
    from striate.allocator import tune

    tune()
    with tempfile.TemporaryDirectory() as folder:
        files = write_photos(Path(folder), options.images)
        contents = [path.read_bytes() for path in files]
        ways = {"Striate": _striate(contents)} | _torch_ways(contents)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.runs):
            for name, work in ways.items():
                start = time.perf_counter()
                work()
                rates[name].append(len(contents) / (time.perf_counter() - start))
    for name, values in rates.items():
        print(f"{name}: {processes.spread(values, 1)} images/s")
    best = max((name for name in rates if name != "Striate"), key=lambda name: statistics.median(rates[name]))
    ratio = statistics.median(rates["Striate"]) / statistics.median(rates[best])
    print(f"Striate against the best of torch ({best}): {ratio:.2f} x")


class _Contents:
    """Files in memory, decoded as they are taken: what `striate.data.FilePixels` is for files."""

    in_memory = False

    def __init__(self, contents: Sequence[bytes]) -> None:
        self.contents = contents

    def __len__(self) -> int:
        return len(self.contents)

    def take(self, indices: np.ndarray) -> np.ndarray:
        return np.stack([decode.pixels(self.contents[int(index)], INPUT) for index in indices])

    def select(self, places: Sequence[int]) -> _Contents:
        return _Contents([self.contents[place] for place in places])


def _striate(contents: Sequence[bytes]) -> Callable[[], Any]:
    from striate import backbones
    from striate.architectures.to_onnx import to_onnx
    from striate.architectures.to_torch import read_weights
    from striate.backbones.spec_heads import head_layers
    from striate.features import onnx_file
    from striate.features.extraction import extract

    network = _network()
    module = backbones.split(network).extractor.eval()
    spec, weights = network.spec, read_weights(network)
    written = to_onnx(spec, network.input_shape, network.num_classes, weights, head_layers(spec)[0])
    pixels = _Contents(contents)
    images = INPUT.normalize(pixels.take(np.arange(8)))
    made = onnx_file.make("benchmark" * 5, module, images, written)
    if isinstance(made, str):
        raise SystemExit(made)
    numbers = range(len(contents))
    return lambda: list(extract(pixels, numbers, INPUT, made, None))


def _torch_ways(contents: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
    """Return pipelines of eager torch: decoded ahead by threads, channels last, folded, by batch and type."""
    import torch

    ways: dict[str, Callable[[], Any]] = {}
    plain = _extractor().to(memory_format=torch.channels_last)
    for batch in (8, 16, 32):
        for kind in (torch.float32, torch.bfloat16):

            def work(batch: int = batch, kind: torch.dtype = kind) -> None:
                with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, kind == torch.bfloat16):
                    for images in _batches(contents, batch):
                        plain(torch.from_numpy(images).contiguous(memory_format=torch.channels_last))

            ways[f"torch, batches of {batch}, {str(kind).removeprefix('torch.')}"] = work

    def one_by_one() -> None:
        """Each thread decodes and computes its own images, as Striate does."""

        def compute(content: bytes) -> None:
            with torch.inference_mode():
                images = torch.from_numpy(INPUT.normalize(decode.pixels(content, INPUT)[None]))
                plain(images.contiguous(memory_format=torch.channels_last))

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(compute, contents))
        torch.set_num_threads(threads)

    ways["torch, one image a thread, float32"] = one_by_one
    return ways


def _batches(contents: Sequence[bytes], size: int) -> Iterator[np.ndarray]:
    """Yield normalised batches, decoded by two threads, two batches ahead."""

    def make(start: int) -> np.ndarray:
        part = contents[start : start + size]
        return INPUT.normalize(np.stack([decode.pixels(content, INPUT) for content in part]))

    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(make, range(0, len(contents), size))


def _extractor() -> Any:
    from striate import backbones

    return backbones.split(_network()).extractor.eval()


def _network() -> Any:
    from striate import backbones

    return backbones.find("lite0-levels").start((3, SIDE, SIDE), 5, weights="pretrained").network


def memory(options: argparse.Namespace) -> None:
    """Measure the peak memory of the default command on many photos of two classes."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_photos(Path(folder) / "photos", options.images)
        print(f"{options.images} photos written in {time.perf_counter() - start:.0f} s", flush=True)
        command = ["-m", "striate", "train", str(Path(folder) / "photos"), "--no-audit", "--quiet"]
        command += ["--out", str(Path(folder) / "run")]
        finished = processes.run(command, {"STRIATE_CACHE": str(Path(folder) / "cache")})
        print(f"{finished.seconds:.0f} s, peak {finished.peak_bytes / 2**20:.0f} MB")


def write_photos(root: Path, count: int) -> list[Path]:
    """Write JPEG files of two classes below `root`: random cuts of sample photos, mirrored and brightened."""
    from skimage import data

    sample: Any = data
    photos = [Image.fromarray(photo()) for photo in (sample.coffee, sample.chelsea)]
    generator = np.random.Generator(np.random.PCG64(0))
    written = []
    for number in range(count):
        label = ("coffee", "cat")[number % 2]
        photo = photos[number % 2]
        share = generator.uniform(0.5, 1)
        width, height = photo.width * share, photo.height * share
        left, top = generator.uniform(0, photo.width - width), generator.uniform(0, photo.height - height)
        cut = photo.resize(PHOTO, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
        path = root / label / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cut.save(path, quality=90)
        written.append(path)
    return written


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    kinds = {"coffee": coffee, "resplits": resplits, "features": features, "memory": memory}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("data", nargs="?", default="../shared/data/coffee-leaf.zip")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--views", default="one", help="of coffee and resplits: one, flip, crops, flip-crops")
    parser.add_argument("--images", type=int, default=400)
    options = parser.parse_args()
    print(processes.hardware())
    kinds[options.kind](options)


if __name__ == "__main__":
    main()
