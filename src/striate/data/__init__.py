"""Files to batches: finding, reading, splitting, quarantining, decoding and caching images.

What needs torch (`loaders`, `augment`) is left out here, and imported from its own module where it is used.
"""

from striate.data.images import ArrayPixels, FilePixels, ImageSet, ImageSets, Pixels
from striate.data.prepare import prepare

__all__ = ["ArrayPixels", "FilePixels", "ImageSet", "ImageSets", "Pixels", "prepare"]
