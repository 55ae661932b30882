"""Small networks that the tests look into: trained on shapes, on a planted border cue, and not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate import bundle
from striate.architectures import Spec
from striate.architectures.to_torch import read_weights, to_torch
from striate.architectures.weights import initial_weights
from striate.bundle import TrainingData
from striate.explain import Subject
from striate.schemas import Preprocess

SIDE = 24
SHAPES = ("cross", "ring", "stripes")
UNSAFE_NAMES = ("<b>cross</b>", "ring & co", "stripes")
PREPROCESS = Preprocess(channels=3, height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
SPEC = """
name: little
layers:
  - conv2d: {out_channels: 8, kernel_size: 3, padding: 1}
  - relu
  - max_pool2d: {kernel_size: 2}
  - conv2d: {out_channels: 16, kernel_size: 3, padding: 1}
  - relu
  - conv2d: {out_channels: 16, kernel_size: 3, padding: 1}
  - relu
  - adaptive_avg_pool2d
  - flatten
  - linear: {out_features: num_classes}
"""


def draw(count: int, seed: int, cue: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy images, uint8 (N, 3, 24, 24), with a shape of one of three classes somewhere inside.

    With `cue` the shape says nothing, and dashes at the upper border give the class away: their length alone.
    """
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(SHAPES), count)
    shown = generator.integers(0, len(SHAPES), count) if cue else labels
    images = generator.normal(110, 25, (count, 3, SIDE, SIDE))
    shape = [_cross(), _ring(), _stripes()]
    for image, what, label in zip(images, shown, labels, strict=True):
        top, left = generator.integers(3, SIDE - 12, 2)
        image[:, top : top + 9, left : left + 9][:, shape[what]] = 235
        if cue:
            image[:, :2] = np.where(np.arange(SIDE) // 2**label % 2, 250, 10)
    return np.clip(images, 0, 255).astype(np.uint8), labels


def _cross() -> np.ndarray:
    mask = np.zeros((9, 9), bool)
    mask[3:6] = mask[:, 3:6] = True
    return mask


def _ring() -> np.ndarray:
    mask = np.ones((9, 9), bool)
    mask[2:7, 2:7] = False
    return mask


def _stripes() -> np.ndarray:
    mask = np.zeros((9, 9), bool)
    mask[:, ::2] = True
    return mask


def untrained(seed: int = 0) -> Subject:
    """Return the network with random weights."""
    spec = Spec.from_yaml(SPEC)
    shape = PREPROCESS.input_shape
    network = to_torch(spec, shape, len(SHAPES), initial_weights(spec, shape, len(SHAPES), seed)).eval()
    return Subject("little", network, "logits", SHAPES, PREPROCESS)


def trained(cue: bool) -> Subject:
    """Return the network after some hundred steps."""
    subject = untrained()
    images, labels = draw(1200, 1, cue)
    inputs, targets = subject.tensor(images), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(subject.network.parameters(), lr=8e-3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little work is done sooner by one
    subject.network.train()
    order = np.random.default_rng(0)
    for _ in range(180):
        rows = torch.from_numpy(order.integers(0, len(labels), 32))
        loss = nn.functional.cross_entropy(subject.network(inputs[rows]), targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    subject.network.eval()
    subject.network.requires_grad_(False)
    return subject


@pytest.fixture(scope="session")
def shapes() -> Subject:
    """A network that tells shapes apart, wherever they are."""
    return trained(cue=False)


@pytest.fixture(scope="session")
def border() -> Subject:
    """A network that was trained on images whose border gives the class away."""
    return trained(cue=True)


@pytest.fixture
def model(shapes: Subject, tmp_path: Path) -> Path:
    """A bundle of it, with class names that hold markup."""
    folder = tmp_path / "model"
    bundle.write(
        folder,
        read_weights(shapes.network),
        name="little",
        spec=Spec.from_yaml(SPEC).to_dict(),
        class_names=UNSAFE_NAMES,
        preprocess=PREPROCESS,
        data=TrainingData(name="shapes", fingerprint="0", samples=1),
    )
    return folder
