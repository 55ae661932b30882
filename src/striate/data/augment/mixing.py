"""Mixup and cutmix: each image is mixed with the next one of its batch, and so are their labels."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from striate.data.mixing_shares import cutmix_boxes, mixup_shares


def mixup(
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    num_classes: int,
    a: float,
    seed: int,
    epoch: int,
    indices: np.ndarray,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend each image with the next of the batch, the last with the first (Zhang et al. 2018, "mixup").

    Args:
        inputs: float32 (B, C, H, W), normalised.
        labels: int64 (B,), in [0, num_classes).
        num_classes: K.
        a: an image's own share is drawn from Beta(a, a), for each image.
        seed: of the run.
        epoch: counted from 0.
        indices: integers (B,), the images' positions in the data set.

    Returns:
        float32 (B, C, H, W) `share * image + (1 - share) * next`, and float32 (B, K) targets, whose rows hold
        the shares of the two classes and add up to 1.
    """
    share = torch.from_numpy(mixup_shares(seed, epoch, indices, a)).to(inputs.device)
    mixed = torch.lerp(_partner(inputs), inputs, share.view(-1, 1, 1, 1))
    return mixed, mix_labels(labels, share, num_classes)


def cutmix(
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    num_classes: int,
    a: float,
    seed: int,
    epoch: int,
    indices: np.ndarray,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paste a box of the next image of the batch into each image (Yun et al. 2019, "CutMix").

    See `cutmix_boxes` for the boxes. Arguments and results as for `mixup`.
    """
    box, own = cutmix_boxes(seed, epoch, indices, a, (inputs.shape[2], inputs.shape[3]))
    share = torch.from_numpy(own).to(inputs.device)
    mask = torch.from_numpy(box[:, None]).to(inputs.device)
    return torch.where(mask, _partner(inputs), inputs), mix_labels(labels, share, num_classes)


def mix_labels(labels: torch.Tensor, share: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return targets, float32 (B, K): `share` (B,) of each image's own class, the rest of the next one's."""
    own = functional.one_hot(labels, num_classes).to(torch.float32)
    return torch.lerp(_partner(own), own, share[:, None])


def _partner(batch: torch.Tensor) -> torch.Tensor:
    return batch.roll(-1, 0)
