"""How fast copies are found among 60,000 images, how many planted ones, and how many images wrongly.

    python benchmarks/audit.py ../shared/data/cifar10.zip
    python benchmarks/audit.py ../shared/data/cifar10.zip --planted 4500 --images 20000

Without `--planted`: seconds from DATA to the groups, and peak memory, in processes of their own. With it:
copies of some images are planted in each of nine ways; a group counts as wrong where it joins two different
originals that are not joined without the planted copies (a data set may have copies of its own). `--draw 1`
and so on take images and copies that the results do not count: thresholds are set on these.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

import processes
from striate.audit import find_duplicates, read
from striate.audit.reading import Images
from striate.data.lookup import find_source
from striate.data.sources import Sample, Source

Change = Callable[[Image.Image, np.random.Generator], bytes]


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data")
    parser.add_argument("--data-root")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--planted", type=int, default=0)
    parser.add_argument("--images", type=int, default=20_000, help="so many images to plant copies among")
    parser.add_argument("--draw", type=int, default=0, help="which images and copies; 0 for the results")
    parser.add_argument("--once", action="store_true", help="search once and print seconds and groups")
    arguments = parser.parse_args()
    if arguments.once:
        print(*search_once(arguments.data, arguments.data_root))
        return
    print(processes.hardware())
    if arguments.planted:
        plant(arguments.data, arguments.data_root, arguments.images, arguments.planted, arguments.draw)
        return
    root = ["--data-root", arguments.data_root] if arguments.data_root else []
    command = [__file__, arguments.data, "--once", *root]
    finished = [processes.run(command) for _ in range(arguments.runs)]
    reading, searching, groups, images = zip(*[done.output.split() for done in finished], strict=True)
    print(f"reading: {processes.spread([float(value) for value in reading], 1, 's')}")
    print(f"searching: {processes.spread([float(value) for value in searching], 1, 's')}")
    print(f"whole process: {processes.spread([done.seconds for done in finished], 1, 's')}")
    print(f"peak memory: {processes.spread([done.peak_bytes / 1e6 for done in finished], 0, 'MB')}")
    print(f"{groups[0]} groups of {images[0]} images")


def search_once(data: str, data_root: str | None) -> tuple[float, float, int, int]:
    """Return the seconds to read and to search, the groups, and the images in them."""
    start = time.perf_counter()
    images = read(find_source(data, data_root))
    middle = time.perf_counter()
    groups = find_duplicates(images)
    members = sum(len(group.members) for group in groups)
    return round(middle - start, 2), round(time.perf_counter() - middle, 2), len(groups), members


def plant(data: str, data_root: str | None, count: int, planted: int, draw: int) -> None:
    """Print the share of planted copies that are found, way by way, and of images wrongly flagged."""
    generator = np.random.default_rng(0)
    source = find_source(data, data_root)
    order = generator.permutation(len(source.samples))
    if draw:
        generator = np.random.default_rng(draw)
        order = generator.permutation(order[count:])
    rows = np.sort(order[:count])
    files = {f"a/{row:06d}": _file_of(source, int(row)) for row in rows}
    own = _joined(_gather(files))
    chosen = generator.permutation(list(files))[:planted]
    origin, way = {}, {}
    for number, original in enumerate(chosen):
        name = list(WAYS)[number % len(WAYS)]
        copy = f"b/{number:06d}"
        image = Image.open(io.BytesIO(files[original]))
        image.load()
        files[copy] = WAYS[name](image.convert("L" if image.mode == "L" else "RGB"), generator)
        origin[copy], way[copy] = str(original), name
    groups = _joined(_gather(files))
    group_of = {path: place for place, group in enumerate(groups) for path in group}
    found = Counter(way[copy] for copy in origin if group_of.get(copy, -1) == group_of.get(origin[copy], -2))
    for name, total in Counter(way.values()).items():
        print(f"{name}: {found[name] / total:.1%} of {total} found")
    print(f"all: {found.total() / len(origin):.2%} of {len(origin)} found")
    known = {path: place for place, group in enumerate(own) for path in group}
    wrong = [group for group in groups if _mixed(group, origin, known)]
    flagged = sum(map(len, wrong))
    print(f"wrongly flagged: {flagged} of {len(files)} images ({flagged / len(files):.3%})")
    print(f"copies that the data set has of its own: {sum(map(len, own))} images in {len(own)} groups")


def _mixed(group: Sequence[str], origin: dict[str, str], known: dict[str, int]) -> bool:
    """Return whether a group joins originals that are not joined without the planted copies."""
    originals = {origin.get(path, path) for path in group}
    return len(originals) > 1 and len({known.get(path, path) for path in originals}) > 1


def _joined(images: Images) -> list[list[str]]:
    return [[images.paths[number] for number in group.members] for group in find_duplicates(images)]


def _gather(files: dict[str, bytes]) -> Images:
    samples = tuple(Sample(path, path.split("/", 1)[0]) for path in sorted(files))
    return read(Source("planted", samples, _Files(files)))


@dataclass(frozen=True)
class _Files:
    """A reader of files in memory."""

    contents: dict[str, bytes]

    def read(self, path: str) -> bytes:
        return self.contents[path]

    def content(self) -> None:
        return None


def _file_of(source: Source, row: int) -> bytes:
    if source.reader is not None:
        return source.reader.read(source.samples[row].path)
    assert source.array is not None
    pixels = source.array[row]
    return _png(Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy()))


def _png(image: Image.Image) -> bytes:
    return _save(image, "PNG")


def _save(image: Image.Image, format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _resize(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    factor = float(np.exp(generator.uniform(np.log(0.5), np.log(2))))
    return _scaled(image, factor)


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _crop(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    left, top, right, bottom = generator.uniform(0, 0.05, 4)
    width, height = image.size
    return image.crop(
        (
            round(left * width),
            round(top * height),
            width - round(right * width),
            height - round(bottom * height),
        )
    )


def _brighten(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    factor = generator.uniform(0.9, 1.1)
    return image.point(lambda value: min(255, round(value * factor)))


def _quality(generator: np.random.Generator) -> int:
    return int(generator.integers(30, 96))


def _everything(image: Image.Image, generator: np.random.Generator) -> bytes:
    changed = _brighten(_crop(ImageOps.mirror(_resize(image, generator)), generator), generator)
    return _save(changed, "JPEG", quality=_quality(generator))


WAYS: dict[str, Change] = {
    "same pixels": lambda image, generator: _save(image, "BMP"),
    "resized to 50 to 200 %": lambda image, generator: _png(_resize(image, generator)),
    "resized to 50 %": lambda image, generator: _png(_scaled(image, 0.5)),
    "JPEG of quality 30 to 95": lambda image, generator: _save(image, "JPEG", quality=_quality(generator)),
    "JPEG of quality 30": lambda image, generator: _save(image, "JPEG", quality=30),
    "cropped by 0 to 5 % a side": lambda image, generator: _png(_crop(image, generator)),
    "mirrored": lambda image, generator: _png(ImageOps.mirror(image)),
    "brightness 90 to 110 %": lambda image, generator: _png(_brighten(image, generator)),
    "mirrored, resized, cropped, brightened, JPEG": _everything,
}


if __name__ == "__main__":
    main()
