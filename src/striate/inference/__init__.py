"""Turn a bundle into predictions: the one place where a stored model is used.

`load(path)` gives a `Classifier`; `Classifier.predict([...])` takes paths, PIL images and arrays. Importing
this room does not load torch; `load` does.
"""

from striate.inference.classifier import Classifier, Prediction
from striate.inference.loading import load
from striate.inference.runtimes import Runtime

__all__ = ["Classifier", "Prediction", "Runtime", "load"]
