"""Score-CAM of a network with one output explains the class that was asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.explain.cams import activation_maps
from striate.explain.subject import Subject
from striate.schemas import Preprocess

PREPROCESS = Preprocess(height=8, width=8, channels=1, mean=(0.0,), std=(1.0,))


def network(weights):  # type: ignore[no-untyped-def]
    """Two maps, one of the bright pixels and one of the dark; their averages weighed by `weights`, (K, 2)."""
    convolution, head = nn.Conv2d(1, 2, 1), nn.Linear(2, len(weights), bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        convolution.bias.copy_(torch.tensor([0.0, 1.0]))
        head.weight.copy_(torch.tensor(weights))
    return nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()


@pytest.mark.parametrize("wanted", [0, 1])
def test_one_output_is_explained_as_two_are(wanted: int) -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[..., :4] = 1.0
    maps = []
    for output, weights in (("logits", [[-4.0, 4.0], [4.0, -4.0]]), ("logit", [[4.0, -4.0]])):
        subject = Subject("net", network(weights), output, ("dark", "bright"), PREPROCESS)  # type: ignore[arg-type]
        found, _ = activation_maps(subject, image, torch.tensor([wanted]), "1", method="score-cam")
        maps.append(found)
    torch.testing.assert_close(maps[0], maps[1])
    left, right = maps[1][..., :4].mean(), maps[1][..., 4:].mean()
    assert (left > right) == (wanted == 1)
