"""The pixels of CIFAR-10's Python batches, without unpickling them."""

from __future__ import annotations

import pickletools
from pathlib import Path

import numpy as np

from striate.errors import DataError

SHAPE = (3, 32, 32)
_IMAGE_BYTES = 3 * 32 * 32


def read_pixels(path: Path) -> np.ndarray:
    """Return uint8 (N, 3, 32, 32): the images of a batch file, in its order.

    The file is a pickle, and nothing that comes from outside is unpickled here: its instructions are listed,
    none is carried out. The pixels are the longest text or byte string in it.

    Source: https://www.cs.toronto.edu/~kriz/cifar.html (the layout of a batch).

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    longest = b""
    try:
        with path.open("rb") as file:
            for _, argument, _ in pickletools.genops(file):
                if isinstance(argument, str | bytes) and len(argument) > len(longest):
                    longest = argument.encode("latin-1") if isinstance(argument, str) else argument
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Download it again.") from error
    if not longest or len(longest) % _IMAGE_BYTES:
        raise DataError(f"{path} holds no images of {_IMAGE_BYTES} bytes. Download it again.")
    return np.frombuffer(longest, np.uint8).reshape(-1, *SHAPE)
