"""Run folders as a training leaves them, written without training anything."""

from __future__ import annotations

import numpy as np

from striate.config import TrainConfig
from striate.evaluation import predictions_table
from striate.runs import Run
from striate.schemas import Predictions

CLASSES = ("across", "down")
N = 40


def write_run(folder, data, *, skill=0.8, first=0, draw=0, **settings) -> Run:
    """Write what a training leaves of its test images, `first` being the number of the first of them."""
    run = Run(folder)
    run.folder.mkdir(parents=True)
    labels = np.arange(N) % 2
    generator = np.random.default_rng([draw, settings.get("seed", 0)])
    given = np.where(generator.random(N) < skill, labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[given] * 3
    images = tuple(f"down/{number:03d}.png" for number in range(first, first + N))
    predictions = Predictions(images, labels, logits, CLASSES)
    run.write_config(TrainConfig(data=str(data), **settings))
    run.write_facts(
        {"data": {"class_names": list(CLASSES)}, "network": {"name": "net"}, "training": {"seconds": 1.0}}
    )
    history = {
        "epoch": 1,
        "lr": 0.1,
        "train_loss": 1,
        "train_accuracy": 0.5,
        "val_loss": 1,
        "val_accuracy": 0.5,
    }
    run.write_history([history | {"best": 1}], [{"epoch": 1, "seconds": 1, "images_per_second": 1}])
    run.write_predictions("test", predictions, predictions_table(predictions))
    return run
