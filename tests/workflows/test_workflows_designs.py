"""What a study refuses before it trains anything."""

from __future__ import annotations

import pytest

from striate.errors import RunError, UserError
from striate.workflows import study_folder
from striate.workflows.designs import recipes

SETTINGS = {"data": "digits", "model": "mlp"}


@pytest.mark.parametrize("values", [[3, 5], [2, "none"], ["none", 2]])
def test_early_stopping_that_can_leave_out_no_epoch_does_not_vary(values) -> None:
    with pytest.raises(UserError, match="has no effect"):
        recipes({**SETTINGS, "epochs": 3}, {"early_stopping": values}, "grid")


@pytest.mark.parametrize(
    "settings",
    [{"epochs": 5}, {"recipe": "fast"}, {}],
    ids=["enough epochs", "unknown epochs", "usual epochs"],
)
def test_early_stopping_that_can_leave_out_an_epoch_varies(settings) -> None:
    settings = {**SETTINGS, "best_by": "val_loss", **settings}
    assert len(recipes(settings, {"early_stopping": [3, 4]}, "grid")) == 2


def test_a_study_with_another_seed_says_how_to_keep_its_split(tmp_path) -> None:
    (run := tmp_path / "runs" / "base" / "seed-0").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    study_folder.record(tmp_path, {**SETTINGS, "split_seed": 0}, [])
    with pytest.raises(RunError, match=r"begun with --seed or --split-seed 0, not 3; --split-seed 0 keeps"):
        study_folder.record(tmp_path, {**SETTINGS, "split_seed": 3}, [])
