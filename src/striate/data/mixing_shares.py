"""How much of an image mixup and cutmix keep: drawn for each image, whatever library then mixes."""

from __future__ import annotations

import numpy as np

from striate.data.draws import beta, draws


def mixup_shares(seed: int, epoch: int, indices: np.ndarray, a: float) -> np.ndarray:
    """Return each image's own share under mixup, float32 (B,) from Beta(a, a) (Zhang et al. 2018, "mixup").

    Args:
        seed: of the run.
        epoch: counted from 0.
        indices: integers (B,), the images' positions in the data set.
        a: greater than 0.
    """
    return beta(draws(seed, epoch, indices, 1, "mixup")[:, 0], a).astype(np.float32)


def cutmix_boxes(
    seed: int, epoch: int, indices: np.ndarray, a: float, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the box that cutmix pastes into each image, and what share of the image stays.

    The box has the image's aspect and a share of it that is drawn from Beta(a, a); it is then clipped at the
    border, and the labels are shared as the pixels are after that (Yun et al. 2019, "CutMix").

    Args:
        seed: of the run.
        epoch: counted from 0.
        indices: integers (B,), the images' positions in the data set.
        a: greater than 0.
        size: (H, W).

    Returns:
        bool (B, H, W), True in the box; float32 (B,), the share outside it.
    """
    uniform = draws(seed, epoch, indices, 3, "cutmix")
    cut = np.sqrt(1 - beta(uniform[:, 0], a))
    rows, columns = _inside(uniform[:, 1], cut, size[0]), _inside(uniform[:, 2], cut, size[1])
    box: np.ndarray = rows[:, :, None] & columns[:, None, :]
    return box, (1 - box.mean(axis=(1, 2))).astype(np.float32)


def _inside(centre: np.ndarray, cut: np.ndarray, side: int) -> np.ndarray:
    """Return which positions along one side lie in the box, bool (B, side).

    As in the authors' code: integer centre and length, from `centre - length // 2` to `centre + length // 2`.
    """
    middle = np.floor(centre * side).astype(np.int64)[:, None]
    half = np.floor(cut * side).astype(np.int64)[:, None] // 2
    positions = np.arange(side)[None, :]
    inside: np.ndarray = (positions >= middle - half) & (positions < middle + half)
    return inside
