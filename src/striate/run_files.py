"""Where in a run folder everything lies; `docs/runs.md` says what the files hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from striate.report_file import ReportFile


class RunFiles:
    """The files and folders of a run.

    Attributes:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def config_file(self) -> Path:
        """Settings; `striate train --config` repeats the run from them."""
        return self.folder / "config.yaml"

    @property
    def facts_file(self) -> Path:
        """What data, network and training turned out to be (JSON)."""
        return self.folder / "run.json"

    @property
    def history_file(self) -> Path:
        """A row an epoch."""
        return self.folder / "history.csv"

    @property
    def timing_file(self) -> Path:
        """Seconds and images a second of each epoch."""
        return self.folder / "timing.csv"

    @property
    def kernels_file(self) -> Path:
        """Kernels of the first convolution after each epoch (safetensors)."""
        return self.folder / "kernels.safetensors"

    @property
    def samples_file(self) -> Path:
        """Every image with its label and split."""
        return self.folder / "samples.csv"

    @property
    def quarantine_file(self) -> Path:
        """The images that could not be used, with the reason."""
        return self.folder / "quarantine.csv"

    @property
    def metrics_file(self) -> Path:
        """Metrics by split."""
        return self.folder / "metrics.json"

    @property
    def audit_file(self) -> Path:
        """What an audit found among the images of the training (JSON)."""
        return self.folder / "audit.json"

    @property
    def ladder_file(self) -> Path:
        """What was tried within a budget, and what was kept (JSON)."""
        return self.folder / "ladder.json"

    @property
    def environment_file(self) -> Path:
        """Versions and hardware."""
        return self.folder / "environment.json"

    @property
    def report(self) -> ReportFile:
        """The report; in a notebook it shows itself."""
        return ReportFile(self.folder / "report.html")

    @property
    def figures(self) -> Path:
        """Folder of figures."""
        return self.folder / "figures"

    @property
    def model(self) -> Path:
        """Folder of the model bundle."""
        return self.folder / "model"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.folder / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard events."""
        return self.folder / "tensorboard"

    def predictions_table(self, split: str) -> Path:
        """Predictions of `split` for people (CSV)."""
        return self.folder / f"predictions-{split}.csv"

    def predictions_file(self, split: str) -> Path:
        """Predictions of `split` for machines (safetensors)."""
        return self.folder / f"predictions-{split}.safetensors"

    def per_class_file(self, split: str) -> Path:
        """Metrics of each class of `split` (CSV)."""
        return self.folder / f"per-class-{split}.csv"

    def curves_file(self, split: str) -> Path:
        """ROC and precision-recall curves of `split` (CSV)."""
        return self.folder / f"curves-{split}.csv"

    def maps_file(self, split: str) -> Path:
        """Class maps of the worst errors of `split` (safetensors)."""
        return self.folder / f"maps-{split}.safetensors"

    def calibration_file(self, split: str) -> Path:
        """Probabilities of `split` against the share that was right (CSV)."""
        return self.folder / f"calibration-{split}.csv"

    def confused_pairs_file(self, split: str) -> Path:
        """The most confused pairs of classes of `split` (CSV)."""
        return self.folder / f"confused-pairs-{split}.csv"

    def answers_file(self, split: str) -> Path:
        """How many images of `split` are answered, and rightly, from each probability on (CSV)."""
        return self.folder / f"answers-{split}.csv"

    def thresholds_file(self, split: str) -> Path:
        """What each threshold names rightly and wrongly, of two classes (CSV)."""
        return self.folder / f"thresholds-{split}.csv"

    def written(self, splits: Iterable[str]) -> list[Path]:
        """The files that a run of `splits` may write, folders left out."""
        return [
            self.config_file,
            self.facts_file,
            self.history_file,
            self.timing_file,
            self.kernels_file,
            self.samples_file,
            self.quarantine_file,
            self.metrics_file,
            self.audit_file,
            self.environment_file,
            self.ladder_file,
            self.report,
            *(name(split) for split in splits for name in self._of_a_split()),
        ]

    def _of_a_split(self) -> list[Callable[[str], Path]]:
        return [
            self.predictions_table,
            self.predictions_file,
            self.per_class_file,
            self.curves_file,
            self.maps_file,
            self.calibration_file,
            self.confused_pairs_file,
            self.answers_file,
            self.thresholds_file,
        ]
