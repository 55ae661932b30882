"""Studies: what they train, how they go on, and what they refuse."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest
from written_runs import write_run

import striate
from striate.errors import DataError, RunError, TrainingError, UserError
from striate.runs import Run
from striate.workflows import ablate as workflow
from striate.workflows.designs import parse_vary, recipes, written
from striate.workflows.study_folder import plain_name

VARY = {"batch_norm": ["off", "on"], "dropout": ["0", "0.5"]}


def names(vary, design="grid", **settings):
    return [recipe.name for recipe in recipes({"data": "x", "model": "stride-cnn"} | settings, vary, design)]


def test_a_grid_has_every_combination_and_begins_with_the_base():
    assert names(VARY) == ["base", "dropout=0.5", "batch_norm=on", "batch_norm=on, dropout=0.5"]


def test_one_at_a_time_has_the_base_each_change_alone_and_all_together():
    vary = VARY | {"augment": ["none", "shift", "flip-crop"]}
    expected = ["base", "batch_norm=on", "dropout=0.5", "augment=shift", "augment=flip-crop", "all together"]
    found = recipes({"data": "x", "model": "stride-cnn"}, vary, "one-at-a-time")
    assert [recipe.name for recipe in found] == expected
    assert found[-1].settings["augment"] == "flip-crop"
    assert found[-1].settings["model_options"] == {"batch_norm": "on", "dropout": "0.5"}
    assert names({"dropout": ["0", "0.5"]}, "one-at-a-time") == ["base", "dropout=0.5"]


def test_none_unsets_what_can_be_unset_and_is_a_choice_elsewhere():
    found = recipes({"data": "x"}, {"clip_grad": ["none", "1"], "augment": ["none", "shift"]}, "grid")
    assert [(recipe.config(0).clip_grad, recipe.config(0).augment) for recipe in found] == [
        (None, "none"),
        (None, "shift"),
        (1.0, "none"),
        (1.0, "shift"),
    ]
    (with_rate, without) = recipes({"data": "x", "optimizer": "sgd"}, {"bias_lr": ["13", "none"]}, "grid")
    assert (with_rate.config(0).bias_lr, without.config(0).bias_lr) == (13, None)


@pytest.mark.parametrize(
    ("vary", "settings", "text"),
    [
        ({"droput": ["0", "1"]}, {}, "did you mean 'dropout'"),
        ({"dropout": ["0", "0.5"]}, {"model": "vgg6"}, "unknown setting or option of vgg6 'dropout'"),
        ({"momentum": ["0.8", "0.9"]}, {}, "needs --optimizer sgd"),
        ({"patience": ["1", "2"]}, {"schedule": "step"}, "needs --schedule plateau"),
        ({"precision": ["auto", "32"]}, {"engine": "numpy"}, "needs --engine torch"),
        ({"device": ["auto", "cpu"]}, {"engine": "numpy"}, "needs --engine torch"),
        ({"goal": ["0.8", "0.9"]}, {}, "no effect on the result"),
        ({"test_views": ["one", "flip"]}, {}, "no effect on the result"),
        (
            {"optimizer": ["adamw", "sgd"], "momentum": ["0.9", "0.5"]},
            {},
            "are the same network and training",
        ),
        ({"dropout": ["0.5", "0.5"]}, {}, "a value twice"),
        ({"dropout": "05"}, {}, "expected values in a list"),
        ({"dropout": []}, {}, "expected values in a list"),
        ({"dropout": ["0", "0.0"]}, {}, "are the same network and training"),
        ({"batch_norm": ["off", "no"]}, {}, "are the same network and training"),
        ({"hard_share": ["1", "0.5"]}, {"epochs": 1}, "are the same network and training"),
        ({"dropout": ["0.5"]}, {}, "expected two or more"),
        ({"seed": ["1", "2"]}, {}, "--seeds"),
        ({"data": ["a", "b"]}, {}, "different test images"),
        ({"augment": ["none", "flipcrop"]}, {}, "did you mean 'flip-crop'"),
        ({}, {}, "nothing varies"),
    ],
)
def test_what_does_not_exist_or_has_no_effect_is_refused(vary, settings, text):
    with pytest.raises(UserError, match=text):
        names(vary, **settings)


def test_every_target_and_every_recipe_brings_its_own_settings():
    made = recipes({"data": "x", "recipe": "fast"}, {"target": ["0.5", "0.94"]}, "grid")
    configs = [recipe.config(0) for recipe in made]
    assert [(each.lr, each.batch_size, each.model_options["width"]) for each in configs] == [
        (0.12, 250, 24),
        (0.13, 500, 64),
    ]
    models = recipes({"data": "x", "recipe": "fast"}, {"model": ["speed-cnn", "gray-cnn"]}, "grid")
    assert [recipe.settings["model_options"] for recipe in models] == [{"width": 32}, {}]
    with_and_without = recipes({"data": "x"}, {"recipe": ["none", "fast"], "width": ["8", "16"]}, "grid")
    assert [recipe.config(0).optimizer for recipe in with_and_without] == ["adamw", "adamw", "muon", "muon"]


@pytest.mark.parametrize("text", ["dropout", "=1,2", "dropout="])
def test_text_that_varies_nothing_is_refused(text):
    with pytest.raises(UserError, match="expected KEY=V1,V2"):
        parse_vary([text])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sizes=none,[16,32],[8,16, 32]", ["none", "16,32", "8,16, 32"]),
        ("classes=[a,b],[b,c]", ["a,b", "b,c"]),
        ("exclude=a[1].csv,b[2].csv", ["a[1].csv", "b[2].csv"]),
        ("dropout=0, 0.5", ["0", "0.5"]),
    ],
)
def test_brackets_hold_a_value_with_commas_together(text, values):
    name = text.partition("=")[0]
    assert parse_vary([text]) == {name: values}
    assert parse_vary([f"{name}={written(values)}"]) == {name: values}


def test_sizes_and_classes_are_varied_as_they_are_written():
    sizes = recipes({"data": "x"}, parse_vary(["sizes=none,[16,32]"]), "grid")
    assert [each.config(0).sizes for each in sizes] == [None, "16,32"]
    classes = recipes({"data": "x"}, parse_vary(["classes=[a,b],[b,c]"]), "grid")
    assert [each.config(0).classes for each in classes] == [("a", "b"), ("b", "c")]


def as_photos(config):
    """Resolve `auto` as it is for photos."""
    if config.model != "auto":
        return config
    changes = {"model": "mynet"} if config.strategy == "scratch" else {"model": "efficientnet-lite0-levels"}
    changes |= {"strategy": "features"} if config.strategy == "auto" else {}
    return config.model_copy(update=changes)


@pytest.mark.parametrize(
    ("vary", "settings", "text"),
    [
        ({"lr": ["0.1", "0.01"]}, {}, "--vary lr has no effect where a head is computed on features"),
        ({"augment": ["none", "shift"]}, {}, "--vary augment has no effect where"),
        ({"epochs": ["1", "2"]}, {"model": "lite0", "strategy": "features"}, "--vary epochs has no effect"),
        ({"width": ["8", "16"]}, {}, "setting or option of efficientnet-lite0-levels 'width'"),
        (
            {"strategy": ["features", "full"], "lr": ["0.1", "0.01"]},
            {},
            "'lr=0.01' and 'base' are the same network and training",
        ),
    ],
)
def test_what_has_no_effect_on_photos_is_refused(vary, settings, text):
    with pytest.raises(UserError, match=text):
        recipes({"data": "x"} | settings, vary, "grid", as_photos)


@pytest.mark.parametrize(
    ("vary", "settings"),
    [
        ({"feature_views": ["one", "flip"]}, {}),
        ({"head_hidden": ["none", "16"]}, {}),
        ({"strategy": ["features", "full"]}, {}),
        ({"lr": ["0.1", "0.01"]}, {"strategy": "full"}),
        ({"width": ["8", "16"]}, {"strategy": "scratch"}),
    ],
)
def test_what_has_an_effect_on_photos_varies(vary, settings):
    assert len(recipes({"data": "x"} | settings, vary, "grid", as_photos)) == 2


def test_a_study_without_a_network_asks_the_images_which_it_is(trainings, write_stripes, tmp_path):
    write_stripes(tmp_path / "data", {"across": 6, "down": 6}, side=72)
    for vary, text in (
        ({"lr": [0.1, 0.2]}, "--vary lr has no effect"),
        ({"width": [8, 16]}, "unknown setting or option of efficientnet-lite0-levels"),
    ):
        with pytest.raises(UserError, match=text):
            striate.ablate("data", vary=vary, out="study")
    with pytest.raises(UserError, match="takes no options"):
        striate.ablate("data", vary={"head_hidden": [8, 16]}, model_options={"width": 8}, out="study")
    assert trainings.made == []
    assert (
        len(striate.ablate("data", vary={"strategy": ["features", "full"]}, seeds=1, out="study").runs) == 2
    )


@pytest.mark.parametrize(
    ("values", "more", "text"),
    [
        (["none", "16,24"], {}, "--sizes ends with 24, but the input has 32"),
        (["none", "16,24"], {"image_size": 32}, "--sizes ends with 24, but the input has 32"),
        (["none", "8,16,32"], {"epochs": 2}, "--sizes has 3 sizes, --epochs 2"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_trained(
    trainings, write_stripes, tmp_path, values, more, text
):
    write_stripes(tmp_path / "data", {"across": 6, "down": 6}, side=32)
    with pytest.raises(UserError, match=text):
        striate.ablate("data", vary={"sizes": values}, model="mynet", out="study", **more)
    assert trainings.made == []


def test_a_value_that_is_spelled_otherwise_is_not_trained_again(trainings, tmp_path):
    first = study(vary={"lr": ["0.1", "1e-2"], "dropout": ["0", "0.50"]})
    made = len(trainings.made)
    again = study(vary={"lr": [0.1, "0.01"], "dropout": ["0.0", 0.5]})
    assert len(trainings.made) == made
    assert sorted(again.runs.values()) == sorted(first.runs.values())
    assert (tmp_path / "study" / "runs" / "lr=1e-2").is_dir()
    study(vary={"lr": ["0.1", "0.02"], "dropout": ["0", "0.5"]})
    assert len(trainings.made) == made + 4


class Trainings:
    """Stands in for `train`: writes a run, and can be told to end in other ways.

    Attributes:
        made: (model options, seed) of each training that was begun or gone on with.
        ends: how the next ones end, by their number.
        fails: whether they are refused, before anything is written.
    """

    def __init__(self) -> None:
        self.made = []
        self.ends = {}
        self.fails = False

    def __call__(self, *, out=None, resume=None, listener=None, **settings):
        folder = resume or out
        if self.fails:
            raise UserError("batch size too large")
        if resume:
            settings = {"data": Run(folder).config().data, "model": Run(folder).config().model}
            settings |= {
                "model_options": Run(folder).config().model_options,
                "seed": Run(folder).config().seed,
            }
        self.made.append((str(settings.get("model_options")), settings["seed"]))
        end = self.ends.pop(len(self.made), "finished")
        if end == "killed":  # kill -9 before anything could be resumed
            folder.mkdir(parents=True)
            (folder / "config.yaml").write_text("half")
            raise KeyboardInterrupt
        if resume:
            run = Run(folder)
        else:
            run = write_run(folder, settings.pop("data"), skill=0.8, draw=len(self.made), **settings)
        run.write_facts(run.facts() | {"training": {"stopped": end, "seconds": 1.0}})
        if end in ("finished", "non-finite"):
            run.report.write_text("report")
            run.samples_file.write_text("path,label,split,note\na,across,train,\nb,down,test,\n")
        if end == "non-finite":
            raise TrainingError("the loss is NaN.")
        return run


@pytest.fixture
def trainings(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    stand_in = Trainings()
    monkeypatch.setattr(workflow, "train", stand_in)
    return stand_in


def study(**more):
    options = {"vary": {"dropout": ["0", "0.5"]}, "seeds": 2, "model": "stride-cnn", "out": "study"} | more
    return striate.ablate("data", **options)


def test_every_recipe_is_trained_with_every_seed_on_one_split(trainings):
    found = study()
    assert trainings.made == [
        ("{'dropout': '0'}", 0),
        ("{'dropout': '0.5'}", 0),
        ("{'dropout': '0'}", 1),
        ("{'dropout': '0.5'}", 1),
    ]
    assert {name: len(runs) for name, runs in found.runs.items()} == {"base": 2, "dropout=0.5": 2}
    assert {Run(run).config().split_seed for runs in found.runs.values() for run in runs} == {0}
    assert [entry["settings"] for entry in found.result["entries"]] == [{"dropout": "0"}, {"dropout": "0.5"}]
    assert "striate ablate" in found.page.read_text()


def test_the_page_says_for_how_many_epochs(trainings):
    assert "with 2 seeds for 1 epoch on" in study(epochs=1, out="one").page.read_text()
    varied = study(vary={"epochs": ["2", "5"], "best_by": ["last", "val_loss"]}, out="varied")
    assert "for 2 to 5 epochs on" in varied.page.read_text()
    assert "the weights of the best epoch or the last epoch" in varied.page.read_text()


def test_the_command_on_the_page_goes_on_with_the_study(trainings, capsys):
    from striate.cli import run

    found = study(nesterov=True, optimizer="sgd", classes=["across", "down"], epochs=3, seed=7)
    assert [seed for _, seed in trainings.made] == [7, 7, 8, 8]
    command = re.search(r"<code>(striate ablate .*)</code>", found.page.read_text())
    assert run([*shlex.split(html.unescape(command[1]))[1:], "-q"]) == 0
    assert "page: study/comparison.html" in capsys.readouterr().out
    assert len(trainings.made) == 4


@pytest.mark.parametrize("end", ["killed", "interrupted"])
def test_a_study_goes_on_where_it_stopped_and_counts_nothing_twice(trainings, end):
    trainings.ends = {3: end}
    with pytest.raises(KeyboardInterrupt):
        study()
    assert len(trainings.made) == 3
    found = study()
    assert len(trainings.made) == 5  # the third again, and the fourth
    assert all(len(entry["runs"]) == 2 for entry in found.result["entries"])
    again = study()
    assert len(trainings.made) == 5
    assert again.result == found.result


def test_more_seeds_and_values_are_added_to_what_is_there(trainings):
    study()
    found = study(seeds=3, vary={"dropout": ["0", "0.5", "0.2"]})
    assert len(trainings.made) == 4 + 5
    assert [len(entry["runs"]) for entry in found.result["entries"]] == [3, 3, 3]


def test_a_training_that_diverges_is_left_out_and_told(trainings):
    trainings.ends = {2: "non-finite"}
    found = study()
    assert [len(entry["runs"]) for entry in found.result["entries"]] == [2, 1]
    assert "1 of 2 runs diverged" in found.page.read_text()
    assert len(trainings.made) == 4
    study()
    assert len(trainings.made) == 4  # it would diverge again


def test_a_study_whose_base_diverges_cannot_be_compared(trainings):
    trainings.ends = {1: "non-finite", 3: "non-finite"}
    with pytest.raises(TrainingError, match="lower --lr"):
        study()


def test_a_folder_of_another_study_or_of_something_else_is_refused(trainings, tmp_path):
    study()
    with pytest.raises(RunError, match="begun with epochs None, not 3"):
        study(epochs=3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(RunError, match="something else"):
        study(out="full")
    (tmp_path / "study" / "study.json").write_text("{}")
    with pytest.raises(RunError, match="cannot read"):
        study()


def test_a_study_that_trained_nothing_leaves_nothing_and_binds_nobody(trainings, tmp_path):
    with pytest.raises(UserError, match="unknown model 'nosuch'"):
        study(vary={"model": ["mlp", "nosuch"]})
    with pytest.raises(UserError, match="muon needs PyTorch"):
        study(vary={"optimizer": ["sgd", "muon"]}, engine="numpy")
    assert trainings.made == []
    trainings.fails = True
    with pytest.raises(UserError, match="batch"):
        study(batch_size=10_000)
    assert not (tmp_path / "study").exists()
    trainings.fails = False
    assert len(study(batch_size=16).runs) == 2


def test_images_that_changed_between_two_seeds_are_refused(trainings):
    found = study(seeds=1)
    run = Run(found.runs["base"][0])
    facts = run.facts()
    run.write_facts(facts | {"data": facts.get("data", {}) | {"fingerprint": "another"}})
    with pytest.raises(
        DataError, match=r"images have changed between .*base/seed-0 and .*dropout=0.5/seed-0"
    ):
        study(seeds=2)


def test_names_that_a_folder_cannot_have_are_told_apart():
    names = ["exclude=m/x.csv", "exclude=m-x.csv", "a" * 130, "a" * 131, "dropout=0.5, augment=shift"]
    assert len({plain_name(name) for name in names}) == 5
    assert plain_name("dropout=0.5, augment=shift") == "dropout=0.5-augment=shift"
    assert plain_name("all together") == "all-together"


def test_a_second_process_in_the_same_study_is_refused(trainings, monkeypatch):
    monkeypatch.setattr("striate.workflows.study_folder._locked", lambda _: False)
    with pytest.raises(RunError, match="another process"):
        study()


def test_settings_that_move_the_test_images_are_refused_before_training(trainings, write_stripes, tmp_path):
    write_stripes(tmp_path / "data", {"across": 12, "down": 12})
    with pytest.raises(DataError, match="changes which images are tested"):
        study(vary={"val_fraction": ["0.1", "0.3"], "test_fraction": ["0.1", "0.4"]})
    assert trainings.made == []


def test_a_study_of_real_trainings_from_the_command_line(write_stripes, tmp_path, monkeypatch, capsys):
    from striate.cli import run

    monkeypatch.chdir(tmp_path)
    write_stripes(tmp_path / "photos", {"across": 16, "down": 16})
    words = "ablate photos --model mlp --vary hidden=2,16 --seeds 1 --epochs 1 --batch-size 8 --engine numpy"
    assert run([*words.split(), "--log", "json", "--out", "study"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [entry["name"] for entry in result["entries"]] == ["base", "hidden=16"]
    assert not list((tmp_path / "study" / "runs").rglob("figures"))
    runs = [entry["runs"][0] for entry in result["entries"]]
    assert run(["compare", *runs, "--out", "compared"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"sets? of answers (has|have) been scored on the test images so far", printed)
    assert "page: compared/comparison.html" in printed


@pytest.mark.slow
def test_the_choices_of_a_recipe_are_varied_from_what_it_says(write_stripes, tmp_path):
    data = write_stripes(tmp_path / "stripes", {"across": 24, "down": 24})
    common = {"recipe": "fast", "epochs": 1, "model_options": {"width": 4}, "out": tmp_path / "study"}
    study = striate.ablate(data, vary={"bias_lr": [13, None], "momentum": [0.6, 0.8]}, seeds=1, **common)
    configs = [striate.Run(runs[0]).config() for runs in study.runs.values()]
    varied = [(one.bias_lr, one.momentum) for one in configs]
    assert varied == [(13, 0.6), (13, 0.8), (None, 0.6), (None, 0.8)]
    assert {(one.model, one.optimizer) for one in configs} == {("speed-cnn", "muon")}
    with pytest.raises(UserError, match="did you mean 'width'"):
        striate.ablate(data, vary={"widht": [4, 8]}, **common | {"out": tmp_path / "other"})


@pytest.mark.slow
def test_a_study_that_is_killed_goes_on(write_stripes, tmp_path, own_cache):
    write_stripes(tmp_path / "photos", {"across": 16, "down": 16})
    words = "ablate photos --model mlp --vary hidden=2,16 --seeds 2 --epochs 2 --batch-size 8 --engine numpy"
    command = [sys.executable, "-m", "striate", *words.split(), "--out", "study", "-q"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    second = tmp_path / "study" / "runs" / "hidden=16" / "seed-0"
    deadline = time.monotonic() + 120
    while not second.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    result = json.loads((tmp_path / "study" / "comparison.json").read_text())
    assert [len(entry["runs"]) for entry in result["entries"]] == [2, 2]
    lines = [
        line for path in (own_cache / "state" / "looks").iterdir() for line in path.read_text().splitlines()
    ]
    assert len({json.loads(line)["run"] for line in lines}) == len(lines)
    assert os.path.getsize(tmp_path / "study" / "comparison.html") > 10_000
