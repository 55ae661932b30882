"""The idx files of MNIST and its relatives."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from striate.errors import DataError


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array of an idx file, of the shape that it states; `path` or `path`.gz is read.

    The format (http://yann.lecun.com/exdb/mnist/): two zero bytes, the type (8: unsigned byte), the number
    of dimensions, the length of each as a big-endian 32-bit integer, the values.

    Raises:
        DataError: it cannot be read, or is not such a file.
    """
    try:
        content = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
        zeros, kind, dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
        if (zeros, kind) != (0, 8):
            raise ValueError("not an idx file of unsigned bytes")
        return values.reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete it and download it again.") from error
