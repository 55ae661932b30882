"""Files to batches: finding, reading, splitting, quarantining, decoding and caching images.

What needs torch (`loaders`, `augment`) is left out here, and imported from its own module where it is used.
"""

from striate.cache import cache_folder
from striate.data.description import Description, describe
from striate.data.existing import (
    DecodedImages,
    LabelledImages,
    decode_images,
    list_images,
    open_image,
    prepare_for,
    read_images,
)
from striate.data.images import ArrayPixels, FilePixels, ImageSet, ImageSets, Pixels
from striate.data.kept import keep_pixels
from striate.data.named import NAMES
from striate.data.prepare import prepare
from striate.data.survey import Survey, survey

__all__ = [
    "NAMES",
    "ArrayPixels",
    "DecodedImages",
    "Description",
    "FilePixels",
    "ImageSet",
    "ImageSets",
    "LabelledImages",
    "Pixels",
    "Survey",
    "cache_folder",
    "decode_images",
    "describe",
    "keep_pixels",
    "list_images",
    "open_image",
    "prepare",
    "prepare_for",
    "read_images",
    "survey",
]
