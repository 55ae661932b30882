"""Pretrained networks: finding them, their weights and preprocessing, new heads, and what of them learns.

Networks of our own, of torchvision and of timm, with a head for one's own classes::

    from striate import backbones

    model = backbones.find("resnet18")
    network, source = model.start((3, 224, 224), 5, weights="resnet18.safetensors")
    print(backbones.tabulate(model.layout((3, 224, 224), 5), "head"))
    extractor, head = backbones.split(network)  # (N, 3, 224, 224) to (N, 512), and (N, 512) to (N, 5)

`split` is for features: in evaluation mode `head(extractor(images))` is `network(images)`, and the weights
are shared. `assemble` builds a network from description and weights of a bundle and asks for nothing else.

The embedded network with its ImageNet classes::

    lite0 = backbones.load("lite0")
    network = lite0.build("numpy")
    print(lite0.top(network.predict(lite0.preprocess(images))))

torch is imported where a torch network is built, where a library is looked into, and once where the embedded
weights are first read.
"""

from striate.backbones.choosing import Choice, choose, head_of, options_of
from striate.backbones.description import BackboneSpec, Head
from striate.backbones.layout import Layout, layout_of
from striate.backbones.models import Model, assemble, find, summarize
from striate.backbones.preprocessing import Preprocessing
from striate.backbones.registry import BACKBONES, Backbone, load, names
from striate.backbones.splitting import Split, split
from striate.backbones.strategies import STRATEGIES, Options, Plan, make_plan
from striate.backbones.table import ParameterTable, tabulate

__all__ = [
    "BACKBONES",
    "STRATEGIES",
    "Backbone",
    "BackboneSpec",
    "Choice",
    "Head",
    "Layout",
    "Model",
    "Options",
    "ParameterTable",
    "Plan",
    "Preprocessing",
    "Split",
    "assemble",
    "choose",
    "find",
    "head_of",
    "layout_of",
    "load",
    "make_plan",
    "names",
    "options_of",
    "split",
    "summarize",
    "tabulate",
]
