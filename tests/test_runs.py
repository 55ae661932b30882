import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from striate.config import TrainConfig
from striate.errors import RunError, UserError
from striate.runs import Run
from striate.schemas import SAMPLE_COLUMNS, Predictions, write_table


@pytest.fixture
def run(tmp_path):
    """A run folder with two predictions."""
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.write_facts({})
    return run


@pytest.fixture
def predictions():
    logits = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
    return Predictions(("a.png", "b.png"), np.array([1, 0]), logits, ("NA", "001"))


def table_of(predictions):
    labels = [predictions.class_names[label] for label in predictions.labels]
    return pd.DataFrame({"image": predictions.images, "label": labels, "predicted": labels})


def test_a_taken_name_gets_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = []
    for _ in range(3):
        run = Run.choose(None, "leaves-mynet")
        run.folder.mkdir(parents=True)
        chosen.append(str(run.folder))
    assert chosen == ["runs/leaves-mynet", "runs/leaves-mynet-2", "runs/leaves-mynet-3"]


def test_a_name_stays_inside_the_runs_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.choose(None, "../../etc/pass wd")
    assert run.folder.parent.name == "runs"
    assert ".." not in run.folder.parts


def test_out_is_taken_as_it_is_but_never_over_a_run(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert Run.choose(tmp_path / "out", "x").folder == tmp_path / "out"
    (tmp_path / "out" / "config.yaml").write_text("")
    with pytest.raises(RunError, match="holds a run already"):
        Run.choose(tmp_path / "out", "x")


@pytest.mark.parametrize("out", [None, "photos", "photos/runs/x", "photos/../photos/x"])
def test_a_run_is_never_written_among_the_images(tmp_path, monkeypatch, out):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos" if out is None else tmp_path)
    with pytest.raises(UserError, match="counted among the images"):
        Run.choose(out, "x", [tmp_path / "photos"])


def test_a_run_may_lie_beside_the_images_or_an_archive(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos.zip").write_bytes(b"")
    Run.choose(tmp_path / "photos-2", "x", [tmp_path / "photos", tmp_path / "photos.zip", "digits"])


def test_an_empty_out_is_refused():
    with pytest.raises(RunError, match="--out is empty"):
        Run.choose("", "x")


def test_out_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="is a file"):
            Run.choose(out, "x")


def test_a_failure_before_the_first_checkpoint_leaves_nothing(tmp_path):
    run = Run(tmp_path / "new" / "run")
    with pytest.raises(KeyError), run.creating():
        run.write_config(TrainConfig(data="digits"))
        raise KeyError
    assert not run.folder.exists()


def test_a_failure_while_results_are_written_takes_them_away(tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(KeyError), run.creating():
        run.write_facts({"sets": {"field": {}}})
        for name in ("test", "field"):
            for path in (run.predictions_table(name), run.predictions_file(name), run.maps_file(name)):
                path.write_bytes(b"x")
        raise KeyError
    assert not run.folder.exists()


def test_a_failure_leaves_a_folder_that_was_there_with_what_was_in_it(tmp_path):
    mine = ["notes.txt", "predictions-field.csv"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    run = Run(tmp_path)
    with pytest.raises(KeyError), run.creating():
        run.write_facts({"sets": {"field": {}}})
        run.write_config(TrainConfig(data="digits"))
        raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == mine


def test_a_failure_after_a_checkpoint_keeps_the_run(tmp_path):
    run = Run(tmp_path / "run")
    with pytest.raises(KeyError), run.creating():
        run.write_config(TrainConfig(data="digits"))
        (run.checkpoints / "last.safetensors").write_bytes(b"x")
        raise KeyError
    assert run.config().data == "digits"


def test_predictions_survive_their_files(run, predictions):
    run.write_predictions("test", predictions, table_of(predictions))
    read = run.predictions("test")
    assert read.images == predictions.images
    assert read.class_names == ("NA", "001")
    np.testing.assert_array_equal(read.logits, predictions.logits)
    np.testing.assert_array_equal(read.labels, predictions.labels)
    assert run.splits() == ["test"]


def test_predictions_that_do_not_fit_each_other_are_refused(run, predictions):
    run.write_predictions("test", predictions, table_of(predictions).iloc[:1])
    with pytest.raises(RunError, match="does not fit"):
        run.predictions("test")


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_damaged_predictions_are_refused(run, predictions, damage):
    run.write_predictions("test", predictions, table_of(predictions))
    path = run.predictions_file("test")
    path.write_bytes(path.read_bytes()[:-3] if damage is None else damage)
    with pytest.raises(RunError, match="cannot read the predictions"):
        run.predictions("test")


def test_predictions_without_class_names_are_refused(run, predictions):
    run.write_predictions("test", predictions, table_of(predictions))
    tensors = {"logits": predictions.logits, "labels": predictions.labels}
    run.predictions_file("test").write_bytes(safetensors.numpy.save(tensors))
    with pytest.raises(RunError, match="cannot read the predictions"):
        run.predictions("test")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("labels", np.array([1.0, 0.0]), "labels are float64, expected whole numbers"),
        ("logits", np.array([[1, 2], [3, 1]]), "logits are int64, expected floating-point"),
        ("class_names", [0, 1], "class_names are not all texts"),
    ],
)
def test_predictions_of_another_kind_are_refused(run, predictions, field, value, message):
    run.write_predictions("test", predictions, table_of(predictions))
    written = {"logits": predictions.logits, "labels": predictions.labels, "class_names": ["NA", "001"]}
    written[field] = value
    metadata = {"class_names": json.dumps(written.pop("class_names"))}
    run.predictions_file("test").write_bytes(safetensors.numpy.save(written, metadata))
    with pytest.raises(RunError, match=f"cannot read the predictions.*{message}"):
        run.predictions("test")


def test_history_without_validation_reads_as_numbers(run):
    row = {"epoch": 1, "lr": 0.1, "train_loss": 2.5, "train_accuracy": 0.25}
    run.write_history([row | {"val_loss": None, "val_accuracy": None, "best": 1}], [])
    history = run.history()
    assert history["train_loss"].tolist() == [2.5]
    assert history["val_loss"].isna().all()
    assert history["epoch"].dtype == np.int64


def test_a_history_that_breaks_off_is_refused(run):
    row = dict.fromkeys(
        ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "best"), 1
    )
    run.write_history([row, row], [])
    text = run.history_file.read_text().rstrip()
    run.history_file.write_text(text[: text.rfind(",")])
    with pytest.raises(RunError, match=r"cannot read .*history\.csv"):
        run.history()


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="there is no such folder"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match="no run at"):
        Run.open(tmp_path)


def test_a_table_without_its_columns_is_refused(run):
    run.samples_file.write_text("path,label\na.png,x\n")
    with pytest.raises(RunError, match="column 'split' is missing"):
        run.samples()


def test_a_run_without_a_checkpoint_keeps_no_empty_folder_for_one(tmp_path):
    run = Run(tmp_path / "run")
    with run.creating():
        run.write_facts({})
    assert [path.name for path in run.folder.iterdir()] == ["run.json"]


def test_out_with_an_impossible_name_is_refused(tmp_path):
    run = Run.choose(tmp_path / "new" / ("x" * 300), "name")
    with pytest.raises(UserError, match="File name too long"), run.creating():
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["data", "network", "training"])
def test_facts_that_lack_a_part_are_refused(run, missing):
    facts = {"data": {}, "network": {}, "training": {}}
    del facts[missing]
    run.write_facts(facts)
    with pytest.raises(RunError, match=f"'{missing}' is missing"):
        run.facts()


def test_runs_begun_at_the_same_time_take_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [Run.choose(None, "leaves") for _ in range(3)]
    with runs[0].creating(), runs[1].creating(), runs[2].creating():
        (runs[0].checkpoints / "last").write_text("")
    assert [str(run.folder) for run in runs] == ["runs/leaves", "runs/leaves-2", "runs/leaves-3"]


def test_a_failure_takes_nothing_from_a_run_begun_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = Run.choose(None, "leaves"), Run.choose(None, "leaves")
    with second.creating():
        second.write_facts({"data": {}, "network": {}, "training": {}})
        with pytest.raises(ValueError, match="stop"), first.creating():
            raise ValueError("stop")
    assert second.facts_file.is_file()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["leaves"]


def test_two_runs_cannot_begin_in_one_folder(tmp_path):
    first, second = Run.choose(tmp_path / "out", "x"), Run.choose(tmp_path / "out", "x")
    with first.creating():
        first.write_facts({"data": {}, "network": {}, "training": {}})
        with pytest.raises(RunError, match="holds a run already"), second.creating():
            pass
    assert first.facts_file.is_file()


def write_full(run, predictions):
    run.write_facts({"data": {"class_names": ["NA", "001"]}, "network": {}, "training": {}})
    run.write_predictions("test", predictions, table_of(predictions))
    rows = [("a.png", "001", "test", ""), ("b.png", "NA", "test", ""), ("c.png", "NA", "train", "")]
    write_table(run.samples_file, pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS)))


def test_predictions_of_the_run_pass_its_check(run, predictions):
    write_full(run, predictions)
    run.check("test", run.predictions("test"))


def test_predictions_of_other_classes_or_images_fail_the_check(run, predictions):
    write_full(run, predictions)
    with pytest.raises(RunError, match=r"does not fit run\.json: its classes are 'NA', 'x'"):
        run.check("test", replace(predictions, class_names=("NA", "x")))
    with pytest.raises(RunError, match=r"does not fit samples\.csv: of the 2 images there, 1 are missing"):
        run.check("test", replace(predictions, images=("a.png", "z.png")))


def test_a_table_that_was_sorted_is_not_taken_for_the_logits(run, predictions):
    run.write_predictions("test", predictions, table_of(predictions)[::-1])
    with pytest.raises(RunError, match="Was the table sorted or edited"):
        run.predictions("test")


def test_sets_follow_the_splits_in_their_own_order(run, predictions):
    run.write_facts({"sets": {"orig": {"weight": 0.6}, "aug": {"weight": 0.4}, "gone": {}}})
    for name in ("aug", "orig", "test"):
        run.write_predictions(name, predictions, table_of(predictions))
    assert run.splits() == ["test", "orig", "aug"]
    assert run.sets()["orig"] == {"weight": 0.6}


@pytest.mark.parametrize("sets", [["orig"], {"orig": 3}, {"../orig": {}}, {"test": {}}, {"": {}}])
def test_sets_that_make_no_sense_are_refused(run, sets):
    run.write_facts({"sets": sets})
    with pytest.raises(RunError, match="cannot read"):
        run.splits()
