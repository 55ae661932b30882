"""Pictures as the bytes of their files."""

from __future__ import annotations

import io

from PIL import Image


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()
