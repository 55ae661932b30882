r"""What the head on frozen features gains from being the mean of two, on images that were held out.

    python benchmarks/heads.py ../shared/data/coffee-leaf.zip --images 1905 400 100
    python benchmarks/heads.py ../shared/data/cifar10.zip --images 2000 200 --rounds 5 \
        --option model=lite0 fraction=0.06 val_fraction=0.02

Training and validation images are dealt out anew in each of `--rounds`: so many are learned from, the others
answered. The test images are not looked at. Copies of an image may fall on both sides, for either head.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import processes
from striate import config as config_file
from striate.config import TrainConfig
from striate.features import train_head
from striate.features.axes import PrincipalAxes
from striate.features.logistic import cross_entropy, fit_head
from striate.workflows import on_features, transfer
from striate.workflows.listener import Listener
from striate.workflows.train import absolute


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, nargs="+", required=True, help="to learn from")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--option", nargs="*", default=[], help="settings of striate train, name=value")
    options = parser.parse_args()
    features, labels, levels = samples(options.data, dict(one.split("=", 1) for one in options.option))
    print(f"{processes.hardware()}\n{len(labels)} images, {features.shape[1]} features\n")
    print("| images | logistic regression | with discriminant analysis | difference | log loss | |")
    print("|---|---|---|---|---|---|")
    for images in options.images:
        results = [compare(features, labels, levels, images, seed) for seed in range(options.rounds)]
        print(row(images, np.array(results)), flush=True)


def samples(data: str, settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Return features (N, F) and labels of training and validation images, and how many each level has."""
    listener = Listener()
    given = {"data": data, "audit": False, "strategy": "features", **settings}
    config = absolute(config_file.make(TrainConfig, given))
    config, source = transfer.resolve_model(config, listener)
    choice = transfer.choose_network(config, listener)
    sets = transfer.prepare_images(config, choice, source, listener)
    shape, classes = sets.preprocess.input_shape, len(sets.class_names)
    network = on_features.open_network(choice, config, shape, classes)
    parts = {"train": sets.train} | ({"val": sets.val} if sets.val is not None else {})
    found = on_features.features_of(network.frozen, sets, parts, listener)
    features = np.concatenate([found[name].values for name in parts])
    return features, np.concatenate([part.labels for part in parts.values()]), network.levels


def compare(
    features: np.ndarray, labels: np.ndarray, levels: tuple[int, ...], images: int, seed: int
) -> list[list[float]]:
    """Return accuracy and log loss of either head on what is left out."""
    order = np.random.default_rng(seed).permutation(len(labels))
    learned, held_out = order[:images], order[images:]
    classes = int(labels.max()) + 1
    axes = PrincipalAxes(features[learned], levels)
    trained = train_head(features[learned], labels[learned], classes, axes=axes)
    choice = trained.choice
    logistic = fit_head(axes, labels[learned], classes, choice.strength, choice.solutions)
    answers = labels[held_out]
    logits = [head.logits(features[held_out]) for head in (logistic, trained.head)]
    return [[float((one.argmax(axis=1) == answers).mean()), cross_entropy(one, answers)] for one in logits]


def row(images: int, results: np.ndarray) -> str:
    """Return the Markdown row of results (rounds, 2 heads, 2 measures): means, and the difference's error."""
    (alone, loss), (both, loss_of_both) = results.mean(axis=0)
    gains = results[:, 1, 0] - results[:, 0, 0]
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return (
        f"| {images} | {alone:.2%} | {both:.2%} | {100 * gains.mean():+.2f} ± {100 * error:.2f} "
        f"| {loss:.4f} | {loss_of_both:.4f} |"
    )


if __name__ == "__main__":
    main()
