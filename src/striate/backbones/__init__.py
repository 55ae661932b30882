"""Pretrained networks: their specs, their weights, and how pictures become their input.

::

    from striate import backbones

    lite0 = backbones.load("lite0")
    network = lite0.build("numpy")
    print(lite0.top(network.predict(lite0.preprocess(images))))

torch is imported once, where the weights are first read, and where a torch network is asked for.
"""

from striate.backbones.preprocessing import Preprocessing
from striate.backbones.registry import BACKBONES, Backbone, load, names

__all__ = ["BACKBONES", "Backbone", "Preprocessing", "load", "names"]
