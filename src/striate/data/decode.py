"""One image file, which nobody vouches for, to uint8 pixels of a given size.

Files are judged by their content, not by their name. What comes out is upright (EXIF), 8 bits deep and grey
or RGB: 16-bit images are scaled to 8 bits, transparent ones laid on white, animations give their first frame.
"""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import Image, UnidentifiedImageError

from striate.schemas import Preprocess

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp")
"""Names of files that are looked at (in lower case); everything else is ignored and counted."""
MAX_PIXELS = 100_000_000
MAX_BYTES = 256 * 2**20
BACKGROUND = (255, 255, 255)
"""What transparent pixels are laid on."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image of each EXIF orientation upright; 5 to 8 lie on their side."""
_SIDEWAYS = (5, 6, 7, 8)
_DRAFT_SIDE = 128
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339
"""Numbers of TIFF tags (TIFF 6.0)."""
_MIN_IS_WHITE, _UNSIGNED = 0, 1
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers have been seen to raise on damaged files."""


class Undecodable(Exception):  # noqa: N818 (the image is at fault, not the program)
    """An image that cannot be used; the text is the reason, in words."""


@dataclass(frozen=True)
class Facts:
    """What is known of an image once it has been decoded.

    Attributes:
        width: upright, in pixels; likewise `height`.
        format: one of `FORMATS` (or MPO, a JPEG with several pictures).
        mode: Pillow's name of the pixel type in the file.
        grey: whether the file can hold no colour.
    """

    width: int
    height: int
    format: str
    mode: str
    grey: bool


class _Quiet:
    """Counts who wants quiet: Python's warning filters belong to the process, not to a thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.holders = 0
        self.filters = warnings.catch_warnings()

    def enter(self) -> None:
        with self.lock:
            if not self.holders:
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            self.holders += 1

    def leave(self) -> None:
        with self.lock:
            self.holders -= 1
            if not self.holders:
                self.filters.__exit__(None, None, None)


_quiet = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings about odd files away from the user, whichever threads decode meanwhile."""
    _quiet.enter()
    try:
        yield
    finally:
        _quiet.leave()


def pixels(content: bytes, preprocess: Preprocess) -> np.ndarray:
    """Return uint8 (C, H, W) for the bytes of an image file; not permuted.

    Raises:
        Undecodable: with the reason.
    """
    _, image = load(content, asked_size(preprocess))
    return fit(image, preprocess)


def asked_size(preprocess: Preprocess) -> tuple[int, int]:
    """Return (width, height) of what `fit` makes of an image, before it cuts the edges off."""
    share = preprocess.crop_share if preprocess.fit == "crop" else 1.0
    return ceil(preprocess.width / share), ceil(preprocess.height / share)


def load(content: bytes, target: tuple[int, int] | None = None) -> tuple[Facts, Image.Image]:
    """Decode an image file.

    Args:
        content: the file's bytes.
        target: (width, height) that will be asked of `fit`; a large JPEG may then be decoded at a half, a
            quarter or an eighth of its size, but neither below twice the target nor below 128 pixels.

    Returns:
        What is known of the image, and the image: upright, mode L or RGB.

    Raises:
        Undecodable: with the reason.
    """
    image = _open(content)
    try:
        return _load(image, target)
    except Undecodable:
        raise
    except _PILLOW_ERRORS as error:
        raise Undecodable(_reason(error)) from error
    except MemoryError as error:
        raise Undecodable("it needs more memory than there is") from error


def flatten(image: Image.Image) -> Image.Image:
    """Return an image that is open already as `load` would: upright, mode L or RGB.

    Raises:
        Undecodable: with the reason.
    """
    if image.width * image.height > MAX_PIXELS:
        raise Undecodable(_too_large(image))
    try:
        image.load()
        return _upright(image)
    except Undecodable:
        raise
    except _PILLOW_ERRORS as error:
        raise Undecodable(_reason(error)) from error


def fit(image: Image.Image, preprocess: Preprocess) -> np.ndarray:
    """Return uint8 (C, H, W): `image`, of mode L or RGB, brought to size as `preprocess.fit` says.

    With antialiasing. Grey is ITU-R 601 luma.
    """
    image = image.convert("L" if preprocess.channels == 1 else "RGB")
    size = (preprocess.width, preprocess.height)
    if image.size != size or (preprocess.fit == "crop" and preprocess.crop_share < 1):
        image = _FITS[preprocess.fit](image, size, preprocess)
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _open(content: bytes) -> Image.Image:
    if not content:
        raise Undecodable("the file is empty")
    if len(content) > MAX_BYTES:
        raise Undecodable(f"the file is larger than {MAX_BYTES // 2**20} MB")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Undecodable("not a JPEG, PNG, BMP, GIF, TIFF or WebP image, or damaged at its start") from error
    except Image.DecompressionBombError as error:
        raise Undecodable(f"more than {MAX_PIXELS // 10**6} million pixels") from error
    except _PILLOW_ERRORS as error:
        raise Undecodable(_reason(error)) from error
    if image.width * image.height > MAX_PIXELS:
        raise Undecodable(_too_large(image))
    return image


def _too_large(image: Image.Image) -> str:
    return f"{image.width} x {image.height} pixels; more than {MAX_PIXELS // 10**6} million are refused"


def _load(image: Image.Image, target: tuple[int, int] | None) -> tuple[Facts, Image.Image]:
    original, mode, kind = image.size, image.mode, image.format or ""
    if target is not None and kind in ("JPEG", "MPO"):
        side = max(2 * max(target), _DRAFT_SIDE)
        image.draft(None, (side, side))
    image.load()
    if kind == "TIFF":
        original = image.size  # Pillow turns a TIFF upright while it loads
    if _orientation(image) in _SIDEWAYS:
        original = original[::-1]
    return Facts(*original, kind, mode, _is_grey(image)), _upright(image)


def _upright(image: Image.Image) -> Image.Image:
    """Return `image` turned as its EXIF data says, in mode L or RGB."""
    flat = _flatten(image, _is_grey(image))
    turn = _TURNS.get(_orientation(image))
    return flat if turn is None else flat.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) to 8; 1 where there is none that can be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _PILLOW_ERRORS:
        return 1


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        palette = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        used = np.unique(np.asarray(image.getchannel(0)))
        colours = palette[used[used < len(palette)]]
        return bool((colours == colours[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def _flatten(image: Image.Image, grey: bool) -> Image.Image:
    """Return `image` with 8 opaque bits a channel: mode L if `grey`, else RGB."""
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_deep_grey(image))
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    elif image.mode in ("P", "PA"):
        image = image.convert("RGB")
    return image.convert("L" if grey else "RGB")


def _deep_grey(image: Image.Image) -> np.ndarray:
    """Return the uint8 brightness of an image with more than 8 bits of grey.

    Pillow hands such values out as they lie in the file: unsigned numbers of TIFF as signed ones, those of
    which 0 is white (MinIsWhite) not turned round, and the transparent value of PNG as any other.
    """
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if tags and values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED:
        values = values.view(np.uint32)
    grey = _eight_bits(values)
    if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
        grey = 255 - grey
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey = np.where(values == clear, np.uint8(BACKGROUND[0]), grey)
    return grey


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Scale deep grey values to uint8.

    16-bit integers are taken to fill 0..65535. For wider integers and floats the file does not say what white
    is: it is taken to be the smallest of 1 (floats only), 255, 65535 and 2**32 - 1 that no value exceeds.
    """
    if not np.isfinite(values).all():
        raise Undecodable("it holds values that are not finite numbers")
    low, high = float(values.min()), float(values.max())
    if low < 0:
        raise Undecodable(f"it holds negative values (down to {low:g}), which have no brightness")
    if values.dtype.itemsize == 2:
        white = 65535.0
    else:
        whites = (1.0, 255.0, 65535.0, 2.0**32 - 1)
        candidates = whites if values.dtype.kind == "f" else whites[1:]
        white = next((white for white in candidates if high <= white), high)
    return np.rint(values * (255.0 / white)).astype(np.uint8)


def _squash(image: Image.Image, size: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    return image.resize(size, _FILTERS[preprocess.interpolation])


def _crop(image: Image.Image, size: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    scale = min(image.width / size[0], image.height / size[1]) * preprocess.crop_share
    width, height = size[0] * scale, size[1] * scale
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return image.resize(size, _FILTERS[preprocess.interpolation], box=box)


def _pad(image: Image.Image, size: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    framed = Image.new(image.mode, size)
    place = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    framed.paste(_squash(image, inner, preprocess), place)
    return framed


_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_FITS: dict[str, Callable[[Image.Image, tuple[int, int], Preprocess], Image.Image]] = {
    "squash": _squash,
    "crop": _crop,
    "pad": _pad,
}


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if "truncated" in text.lower():
        return "the file is truncated"
    if "conversion from" in text:
        return f"its pixel type is not supported ({text})"
    return f"the file is damaged ({text})"
