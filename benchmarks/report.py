"""Seconds, memory and size of a report made anew from saved predictions, and how soon its page answers.

    python benchmarks/report.py
    python benchmarks/report.py --classes 1000 --images 50000 --runs 3

Each run is `striate evaluate RUN` as a process of its own: metrics, bootstrap, tables, figures and page, from
its start to its end. Predictions, pictures (32 x 32 pixels) and history are drawn at random. With Chromium on
the path, the page is then opened and a cell is clicked, as often as there are runs.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import processes
from striate import schemas
from striate.config import TrainConfig
from striate.evaluation import predictions_table
from striate.files import write_json
from striate.runs import Run
from striate.schemas import Predictions
from striate.workflows import environment

SIZES = ((10, 10_000), (1_000, 50_000))
EPOCHS = 20
CLICK = """() => new Promise((done) => {
  const start = performance.now();
  document.querySelector("td[data-share]").click();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
"""Clicks a cell; milliseconds until the next picture of the page is drawn."""


def main() -> None:
    """Measure what the command line names."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument(
        "--classes", type=int, help="by default 10 with 10,000 images, then 1,000 with 50,000"
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print(processes.hardware())
    for classes, images in SIZES if arguments.classes is None else ((arguments.classes, arguments.images),):
        measure(classes, images, arguments.runs)


def measure(classes: int, images: int, runs: int) -> None:
    """Print what the report of so many classes and images takes."""
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), classes, images)
        finished = [
            processes.run(["-m", "striate", "evaluate", str(run.folder), "--quiet"]) for _ in range(runs)
        ]
        peak = max(process.peak_bytes for process in finished) / 1e6
        print(f"{classes:,} classes, {images:,} images, {runs} runs")
        print(
            f"  report: {processes.spread([process.seconds for process in finished], 2, 's')}, {peak:,.0f} MB"
        )
        print(f"  page: {Path(run.report).stat().st_size / 1e6:.2f} MB")
        answers = [answer(Path(run.report)) for _ in range(runs)] if shutil.which("chromium") else []
        for name, seconds in zip(("opened", "cell clicked"), zip(*answers, strict=True), strict=False):
            print(f"  {name}: {processes.spread(seconds, 3, 's')}")


def write_run(folder: Path, classes: int, images: int) -> Run:
    """Write pictures, and a run with predictions for them, and return it."""
    run = Run(folder / "run")
    run.folder.mkdir()
    names = tuple(f"class {index:04}" for index in range(classes))
    predictions = draw(images, names)
    run.write_config(TrainConfig(data=str(folder / "data"), epochs=EPOCHS))
    run.write_facts({"data": {"name": "drawn", "class_names": names}, "network": {}, "training": {}})
    run.write_predictions("test", predictions, predictions_table(predictions))
    samples = {
        "path": predictions.images,
        "label": [names[label] for label in predictions.labels],
        "split": "test",
        "note": "",
    }
    schemas.write_table(run.samples_file, pd.DataFrame(samples))
    schemas.write_table(run.quarantine_file, pd.DataFrame(columns=schemas.QUARANTINE_COLUMNS))
    run.write_history([epoch_of(number) for number in range(1, EPOCHS + 1)], [])
    write_json(run.environment_file, environment.describe())
    write_pictures(folder / "data", predictions)
    return run


def draw(images: int, names: tuple[str, ...]) -> Predictions:
    """Return predictions of which about four in five are right, neighbouring classes being confused."""
    generator = np.random.default_rng(0)
    labels = np.sort(generator.integers(0, len(names), images))
    logits = generator.normal(0, 1, (images, len(names))).astype(np.float32)
    rows = np.arange(images)
    logits[rows, labels] += 6
    logits[rows, labels ^ 1] += 4.8
    paths = tuple(f"{names[label]}/{index:05}.png" for index, label in enumerate(labels))
    return Predictions(paths, labels, logits, names)


def epoch_of(number: int) -> dict[str, float]:
    """Return a row of `history.csv`."""
    values = (number, 0.001, 2 / number, 1 - 0.5 / number, 2.1 / number, 1 - 0.6 / number, 1)
    return dict(zip(schemas.HISTORY_COLUMNS, values, strict=True))


def write_pictures(folder: Path, predictions: Predictions) -> None:
    """Write a picture of noise for each image."""
    generator = np.random.default_rng(1)
    for path in predictions.images:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8)).save(file)


def answer(report: Path) -> tuple[float, float]:
    """Return the seconds until the page is open, and those from a click on a cell to its images."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        page.goto(report.as_uri())
        opened = time.perf_counter() - start
        page.evaluate("document.querySelector('td[data-share]').scrollIntoView()")
        clicked = page.evaluate(CLICK) / 1000
        browser.close()
    return opened, clicked


if __name__ == "__main__":
    main()
