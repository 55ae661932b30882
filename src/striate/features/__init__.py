"""Features of a frozen network, computed once for the content of each image, and linear heads on them.

::

    from striate.features import Frozen, cached_features, train_head

    found = cached_features(images.pixels, digests, preprocess, Frozen(key, build_module))
    trained = train_head(found.values, images.labels, num_classes=5)
    logits = trained.head.logits(found.values)

Features come from ONNX Runtime; torch is imported only to make a network's ONNX file, which is kept.
"""

from striate.features.axes import LinearHead, PrincipalAxes
from striate.features.extraction import Features, Frozen, cached_features, missing_features
from striate.features.extractors import Extractor, OnnxExtractor, TorchExtractor
from striate.features.folds import make_folds
from striate.features.heads import TrainedHead, train_head
from striate.features.logistic import Choice
from striate.features.store import FeatureStore

__all__ = [
    "Choice",
    "Extractor",
    "FeatureStore",
    "Features",
    "Frozen",
    "LinearHead",
    "OnnxExtractor",
    "PrincipalAxes",
    "TorchExtractor",
    "TrainedHead",
    "cached_features",
    "make_folds",
    "missing_features",
    "train_head",
]
