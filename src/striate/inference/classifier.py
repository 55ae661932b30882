"""The classifier that users hold: images in, class names and probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from striate.architectures import to_logits
from striate.bundle import BundleRecord
from striate.data import ImageSet
from striate.data.parallel import ahead
from striate.data.views import VIEWS, show
from striate.errors import DataError, StriateError
from striate.inference import reading
from striate.inference.runtimes import Runtime
from striate.inference.views import averaged, check_views
from striate.schemas import Output, Predictions, Preprocess


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one image.

    Attributes:
        image: its path, or "image <n>", counted from 0, where it has none.
        label: name of the most probable class.
        probability: of that class, in 0..1.
        probabilities: class name -> probability, the most probable first.
    """

    image: str
    label: str
    probability: float
    probabilities: Mapping[str, float] = field(repr=False, hash=False)


class Classifier:
    """A trained network with what belongs to it.

    Args:
        record: the bundle's record.
        runtime: computes the network.
        output: what the network puts out.
    """

    def __init__(self, record: BundleRecord, runtime: Runtime, output: Output) -> None:
        self.record = record
        self.runtime = runtime
        self.output = output

    def __repr__(self) -> str:
        names = self.class_names
        shown = ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])}, ... {names[-1]}"
        shape = " x ".join(str(side) for side in self.preprocess.input_shape)
        return (
            f"Classifier({self.record.name}: {shape} -> {len(names)} classes ({shown}); {self.runtime.name})"
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """(K,), in the order of the columns of `predict_proba`."""
        return self.record.class_names

    @property
    def preprocess(self) -> Preprocess:
        """How an image becomes the network's input."""
        return self.record.preprocess

    def predict(self, images: Any) -> list[Prediction]:
        """Name what is on images.

        Args:
            images: one image or a sequence of them, each a path, a PIL image, an array (H, W) or (H, W, C),
                uint8 or float in 0..1, or a torch tensor (C, H, W) of the same; or an array (N, H, W, C) or a
                tensor (N, C, H, W).

        Returns:
            A prediction for each image, in their order.

        Raises:
            DataError: an image cannot be read; the text names it.
        """
        return self.describe(self._predictions(reading.as_items(images)))

    def predict_proba(self, images: Any) -> np.ndarray:
        """Return the probability of each class, float32 (N, K); rows sum to 1. `images` as in `predict`."""
        return self._predictions(reading.as_items(images)).probabilities.astype(np.float32)

    def predict_logits(self, images: Any) -> np.ndarray:
        """Return the logits, divided by the temperature, float32 (N, K). `images` as in `predict`."""
        return self._predictions(reading.as_items(images)).logits

    def predict_set(
        self,
        images: ImageSet,
        progress: Callable[[int, int], None] | None = None,
        *,
        batch_size: int | None = None,
        views: str = "one",
    ) -> Predictions:
        """Return the predictions for an image set that was prepared with this classifier's `preprocess`.

        The logits are as the network puts them out, for `Predictions.at_temperature`: what evaluation stores.
        Images are decoded and computed a batch at a time; the labels are passed on as they are.

        Args:
            images: N images of the network's input size.
            progress: called with the number of images done, and N.
            batch_size: images a step; by default, what fits their size.
            views: over which logits are averaged, one of `inference.views.TEST_VIEWS`.

        Raises:
            ValueError: the images have another size or number of channels than the network takes.
            UserError: no such views.
            DataError: a file cannot be read any more.
        """
        check_views(views)
        total = len(images.paths)
        logits = np.empty((total, len(self.class_names)), np.float32)
        done = 0
        for pixels in ahead(reading.decode_set(images.pixels, batch_size or self.preprocess.batch_size)):
            logits[done : done + len(pixels)] = averaged(self._logits, pixels, views)
            done += len(pixels)
            if progress is not None:
                progress(done, total)
        return Predictions(tuple(images.paths), images.labels, logits, self.class_names)

    def predict_files(
        self,
        paths: Iterable[str | Path],
        *,
        on_problem: Callable[[str, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        batch_size: int | None = None,
        views: str = "one",
    ) -> Predictions:
        """Return the predictions for the image files at `paths`, in their order.

        As `stream_files`, gathered; only logits are kept, so memory does not grow with the pixels.
        """
        return self._predictions(list(paths), on_problem, progress, batch_size, views)

    def stream_files(
        self,
        paths: Iterable[str | Path],
        *,
        on_problem: Callable[[str, str], None] | None = None,
        batch_size: int | None = None,
        views: str = "one",
    ) -> Iterator[Predictions]:
        """Yield the predictions for the image files at `paths`, a batch at a time, in their order.

        The next batch is decoded while one is computed; no more than two are held.

        Args:
            paths: image files, as `striate.data.list_images` finds them in folders.
            on_problem: called with the path and the reason for each file that cannot be read, which is then
                left out. Without it such a file is an error.
            batch_size: images a step; by default, what fits their size.
            views: over which logits are averaged, one of `inference.views.TEST_VIEWS`.

        Raises:
            UserError: no such views.
            DataError: a file cannot be read and `on_problem` is not given; the text names it.
        """
        check_views(views)
        return (part for _, part in self._stream(paths, on_problem, batch_size, views) if part.images)

    def describe(self, predictions: Predictions) -> list[Prediction]:
        """Return `predictions` image by image, with class names."""
        probabilities = predictions.probabilities
        order = np.argsort(-predictions.logits, axis=1, kind="stable")
        described = []
        for image, row, ranks in zip(predictions.images, probabilities, order, strict=True):
            ranked = {self.class_names[k]: float(row[k]) for k in ranks}
            label = self.class_names[ranks[0]]
            described.append(Prediction(image, label, ranked[label], ranked))
        return described

    def _predictions(
        self,
        items: Sequence[reading.Item],
        on_problem: Callable[[str, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        batch_size: int | None = None,
        views: str = "one",
    ) -> Predictions:
        """Gather what `_stream` yields."""
        check_views(views)
        names: list[str] = []
        logits = [np.empty((0, len(self.class_names)), np.float32)]
        done = 0
        for count, part in self._stream(items, on_problem, batch_size, views):
            names.extend(part.images)
            logits.append(part.logits)
            done += count
            if progress is not None:
                progress(done, len(items))
        return self._unlabelled(names, np.concatenate(logits))

    def _stream(
        self,
        items: Iterable[reading.Item],
        on_problem: Callable[[str, str], None] | None,
        batch_size: int | None,
        views: str,
    ) -> Iterator[tuple[int, Predictions]]:
        """Yield, for each batch, how many items it was made of and the predictions for the readable ones."""
        batches = reading.decode_items(items, self.preprocess, batch_size or self.preprocess.batch_size)
        for batch in ahead(batches):
            for name, reason in batch.problems:
                if on_problem is None:
                    raise DataError(f"{name} cannot be used: {reason}.")
                on_problem(name, reason)
            logits = averaged(self._logits, batch.pixels, views) / np.float32(self.record.temperature)
            yield len(batch), self._unlabelled(batch.names, self._checked(logits))

    def _logits(self, pixels: np.ndarray) -> np.ndarray:
        """float32 (B, K), before any temperature, for uint8 (B, C, H, W)."""
        if pixels.shape[1:] != self.preprocess.input_shape:
            raise ValueError(
                f"images are {pixels.shape[1:]} (channels, height, width); "
                f"the network takes {self.preprocess.input_shape}"
            )
        if not len(pixels):
            return np.empty((0, len(self.class_names)), np.float32)
        return self._checked(self._mean_of_views(pixels))

    def _checked(self, logits: np.ndarray) -> np.ndarray:
        """Return `logits`, of which every one is finite: else their probabilities would be no numbers."""
        if not np.isfinite(logits).all():
            raise StriateError(
                f"the network {self.record.name!r} puts out NaN or infinity: "
                "its weights do not fit its input."
            )
        return logits

    def _mean_of_views(self, pixels: np.ndarray) -> np.ndarray:
        """float32 (B, K): the mean of the logits for each view that `preprocess.views` asks for."""
        logits = [
            to_logits(self.runtime.forward(self.preprocess.normalize(show(pixels, view))), self.output)
            for view in VIEWS[self.preprocess.views]
        ]
        return logits[0] if len(logits) == 1 else np.asarray(np.mean(logits, axis=0, dtype=np.float32))

    def _unlabelled(self, names: Sequence[str], logits: np.ndarray) -> Predictions:
        return Predictions(tuple(names), np.full(len(names), -1, np.int64), logits, self.class_names)
