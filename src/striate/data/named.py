"""Data sets that have a name."""

from __future__ import annotations

import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from striate.cache import cache_folder
from striate.data.archives import read_archive
from striate.data.folders import read_folder
from striate.data.idx import read_idx
from striate.data.sources import Sample, Source
from striate.errors import DataError

CIFAR10_FOLDER = "cifar-10-batches-py"
IMAGENETTE_FOLDERS = ("imagenette2", "imagenette2-320", "imagenette2-160")
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DIGITS = tuple("0123456789")
IMAGENETTE = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
PROBE_SECONDS = 8.0
_SOURCES = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "imagenette": "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
}


def read_named(name: str, data_root: str | None = None) -> Source:
    """Return the data set called `name`, one of `NAMES`; it is downloaded if it is not in `data_root`.

    A zip file there that is called so, with class folders in it, comes first.

    Raises:
        DataError: it is not there and cannot be downloaded, or is damaged.
    """
    root = root_of(data_root)
    packed = root / f"{name}.zip"
    return replace(read_archive(packed), name=name) if packed.is_file() else _READERS[name](root)


def root_of(data_root: str | None) -> Path:
    """Return the folder in which named data sets lie: `data_root`, `$STRIATE_DATA_ROOT`, or in the cache."""
    chosen = data_root or os.environ.get("STRIATE_DATA_ROOT")
    return Path(chosen).expanduser() if chosen else cache_folder() / "datasets"


def _read_digits(root: Path) -> Source:
    """scikit-learn's 1,797 handwritten digits."""
    images, labels = digits()
    return _source("digits", {"": (images, [str(label) for label in labels])})


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits and labels: uint8 (1797, 1, 8, 8), values 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.rint(found.images * (255 / 16)).astype(np.uint8)[:, None], found.target


def _read_mnist(root: Path) -> Source:
    return _read_idx_set("mnist", "MNIST", DIGITS, root)


def _read_fashion_mnist(root: Path) -> Source:
    return _read_idx_set("fashion-mnist", "FashionMNIST", FASHION, root)


def _read_idx_set(name: str, folder: str, class_names: Sequence[str], root: Path) -> Source:
    raw = root / folder / "raw"
    if not _are_idx_files_there(raw):
        _download(name, root, folder, lambda place: _fetch(folder, place))
    return _read_idx_files(name, raw, class_names)


def read_idx_folder(folder: Path) -> Source | None:
    """Return the set whose four IDX files, named as MNIST's, lie in `folder` or its folder `raw`.

    Classes are called as in MNIST, or as in FashionMNIST where the folder is called so.

    Returns:
        The source; None where there are no such files.

    Raises:
        DataError: they cannot be read, or do not fit one another.
    """
    raw = find_idx_files(folder)
    if raw is None:
        return None
    home = raw.resolve()
    name = (home.parent if home.name == "raw" else home).name or "data"
    return _read_idx_files(name, raw, FASHION if name == "FashionMNIST" else None)


def find_idx_files(folder: Path) -> Path | None:
    """Return `folder`, or its folder `raw`, where four IDX files named as MNIST's lie in it; else None."""
    places = (folder, folder / "raw")
    return next((place for place in places if _are_idx_files_there(place)), None)


def _read_idx_files(name: str, raw: Path, class_names: Sequence[str] | None) -> Source:
    """Return the set in the IDX files of `raw`; without `class_names` classes are called by their numbers."""
    parts = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = read_idx(raw / f"{prefix}-images-idx3-ubyte")
        labels = read_idx(raw / f"{prefix}-labels-idx1-ubyte")
        names = class_names or [str(number) for number in range(256)]
        if images.ndim != 3 or labels.shape != images.shape[:1] or labels.max(initial=0) >= len(names):
            raise DataError(
                f"{raw} is damaged: images and labels do not fit. Delete it and download it again."
            )
        parts[split] = (images[:, None], [names[label] for label in labels])
    sizes = [images.shape[2:] for images, _ in parts.values()]
    if sizes[0] != sizes[1] or 0 in sizes[0]:
        shown = " and ".join(f"{height}x{width}" for height, width in sizes)
        raise DataError(
            f"{raw}: training and test images are {shown} pixels; expected one size, at least 1x1."
        )
    return _source(name, parts)


def _are_idx_files_there(raw: Path) -> bool:
    return all(_idx_there(raw / f"{prefix}-labels-idx1-ubyte") for prefix in ("train", "t10k"))


def _idx_there(path: Path) -> bool:
    images = path.parent / path.name.replace("labels-idx1", "images-idx3")
    return all(file.exists() or Path(f"{file}.gz").exists() for file in (path, images))


def _read_cifar10(root: Path) -> Source:
    if not (root / CIFAR10_FOLDER).is_dir():
        _download("cifar10", root, CIFAR10_FOLDER, lambda place: _fetch("CIFAR10", place))
    from torchvision.datasets import CIFAR10

    parts = {}
    for split in ("train", "test"):
        try:
            found = CIFAR10(str(root), train=split == "train", download=False)
        except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
            raise DataError(
                f"{root / CIFAR10_FOLDER} is damaged: {error} Delete it and download it again."
            ) from error
        labels = [found.classes[label] for label in found.targets]
        parts[split] = (np.ascontiguousarray(found.data.transpose(0, 3, 1, 2)), labels)
    return _source("cifar10", parts)


def _read_imagenette(root: Path) -> Source:
    """Ten classes of ImageNet by their common names; the version with 320 pixels is downloaded."""
    there = [root / folder for folder in IMAGENETTE_FOLDERS if (root / folder).is_dir()]
    if not there:
        folder = IMAGENETTE_FOLDERS[1]
        _download("imagenette", root, folder, lambda place: _fetch("Imagenette", place))
        there = [root / folder]
    found = read_folder(there[0])
    return replace(
        found,
        name="imagenette",
        samples=tuple(replace(item, label=IMAGENETTE.get(item.label, item.label)) for item in found.samples),
        classes={
            split: tuple(sorted(IMAGENETTE.get(label, label) for label in labels))
            for split, labels in found.classes.items()
        },
    )


def _source(name: str, parts: dict[str, tuple[np.ndarray, list[str]]]) -> Source:
    """Make a source of decoded images: for each split (`""`: none) uint8 (N, C, H, W) and N labels."""
    samples = tuple(
        Sample(f"{split or name}/{index:05d}", label, split)
        for split in sorted(parts)
        for index, label in enumerate(parts[split][1])
    )
    return Source(
        name=name,
        samples=samples,
        array=np.concatenate([parts[split][0] for split in sorted(parts)]),
        classes={split: tuple(sorted(set(labels))) for split, (_, labels) in parts.items()},
    )


def _fetch(kind: str, place: Path) -> None:
    """Let torchvision download and check a data set into the folder `place`."""
    import torchvision.datasets

    if kind == "Imagenette":
        torchvision.datasets.Imagenette(str(place), split="train", size="320px", download=True)
    else:
        getattr(torchvision.datasets, kind)(str(place), train=True, download=True)


def _download(name: str, root: Path, folder: str, fetch: Callable[[Path], None]) -> None:
    """Download into a temporary folder and move the result to `root`/`folder` once it is whole.

    Raises:
        DataError: it cannot be done; says what else can.
    """
    ways = (
        f"Put it on disk as {root / folder} (torchvision's layout), or with a folder for each class as "
        f"{root / name}.zip (--data-root names a place other than {root}), or go online once and start again."
    )
    if (root / folder).exists():
        raise DataError(
            f"{root / folder} is there but not complete. Complete it, or move it away and start again."
        )
    try:
        _probe(_SOURCES[name])
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".striate-", dir=root) as place:
            fetch(Path(place))
            os.replace(Path(place) / folder, root / folder)
    except (OSError, RuntimeError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"{name} is not in {root} and cannot be downloaded ({reason}). {ways}") from error


def _probe(url: str) -> None:
    """Ask once, briefly, whether the server can be reached: a download would wait far longer."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as answer:
        answer.close()


_READERS: dict[str, Callable[[Path], Source]] = {
    "digits": _read_digits,
    "mnist": _read_mnist,
    "fashion-mnist": _read_fashion_mnist,
    "cifar10": _read_cifar10,
    "imagenette": _read_imagenette,
}
NAMES = tuple(_READERS)
