"""The ladder: what is tried within a time, what is kept, and what stands in the run."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import striate
from striate.errors import RunError, UserError
from striate.schemas import Predictions
from striate.workflows.ladder import climbing, record, trials
from striate.workflows.ladder.budget import Clock, in_words, parse_budget, process_started
from striate.workflows.ladder.record import FEWEST_DECISIVE, judge, mirror_test
from striate.workflows.ladder.steps import Step, photo_steps, small_image_steps
from striate.workflows.listener import Listener

AMPLE = "30m"  # more than any test here takes: what is tried depends on the steps alone


def predictions(right):
    """Predictions of two classes that are right where `right` says so."""
    labels = np.zeros(len(right), np.int64)
    logits = np.where(np.asarray(right)[:, None], [[1.0, 0.0]], [[0.0, 1.0]]).astype(np.float32)
    return Predictions(tuple(f"{number}.png" for number in range(len(right))), labels, logits, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("2m", 120), ("1h", 3600), ("1h30m", 5400), ("1.5m", 90), (" 2 M ", 120)],
)
def test_budget_is_read_as_people_write_times(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "m", "2 hours", "-5s", "0s", "2m!", "nan s", 60])
def test_budget_that_is_no_time_is_refused_with_examples(text):
    with pytest.raises(UserError, match="90s"):
        parse_budget(text)


def test_times_are_written_in_the_unit_that_fits():
    assert [in_words(t) for t in (4.25, 90, 600, 9000)] == ["4.2 s", "90 s", "10.0 min", "2.5 h"]


def test_budget_counts_from_the_start_of_the_process():
    age = time.monotonic() - process_started()
    assert age >= time.process_time() * 0.5  # importing pytest alone took longer
    assert Clock(100.0, process_started()).left < 100


def test_a_step_is_kept_where_six_more_are_right_and_not_where_five_are():
    before = predictions([True] * 50 + [False] * 10)
    for more, kept in ((5, False), (FEWEST_DECISIVE, True)):
        new = predictions([True] * (50 + more) + [False] * (10 - more))
        assert judge(new, before).kept is kept


def test_a_step_that_is_worse_is_never_kept():
    verdict = judge(predictions([False] * 20), predictions([True] * 20))
    assert verdict.p_value < 0.001
    assert not verdict.kept


def test_the_p_value_is_that_of_the_exact_binomial_test():
    stats = pytest.importorskip("scipy.stats")
    new = predictions([True] * 9 + [False] * 3 + [True] * 30)
    before = predictions([False] * 9 + [True] * 3 + [True] * 30)
    assert judge(new, before).p_value == pytest.approx(stats.binomtest(9, 12, 0.5).pvalue)


@pytest.mark.parametrize(("lost", "turned"), [(0, ()), (9, ()), (12, ("a",))])
def test_a_class_is_turned_where_most_of_its_mirror_images_are_lost(lost, turned):
    upright = predictions([True] * 20)
    mirrored = predictions([False] * lost + [True] * (20 - lost))
    found = mirror_test(upright, mirrored)
    assert (found.right, found.images, found.turned) == (20 - lost, 20, turned)


def test_a_class_of_few_images_is_not_called_turned():
    assert mirror_test(predictions([True] * 4), predictions([False] * 4)).turned == ()


@pytest.mark.parametrize(
    "rungs", [photo_steps(), *(small_image_steps(side, kind) for side in (8, 28) for kind in (True, False))]
)
def test_every_step_names_settings_that_exist(rungs):
    for rung in rungs:
        for step in rung:
            striate.config.make(striate.config.TrainConfig, {"data": "x", **step.settings})


@pytest.mark.parametrize("side", [8, 28])
@pytest.mark.parametrize("mirrored", [True, False])
def test_each_step_on_small_images_is_wider_than_the_one_before(side, mirrored):
    steps = [step for rung in small_image_steps(side, mirrored) for step in rung]
    assert len(steps) == 3
    widths = [step.settings["model_options"]["width"] for step in steps]
    assert widths == sorted(set(widths))
    assert {step.settings["augment"] for step in steps} == (
        {"shift"} if not mirrored else {"alternate"} if side == 28 else {"flip-crop"}
    )


def test_photos_are_never_mirrored():
    tuned = [step for rung in photo_steps() for step in rung if step.settings["strategy"] != "features"]
    assert {step.settings["augment"] for step in tuned} == {"shift"}


@pytest.mark.parametrize(("named", "sides"), [(224, [224, 160, 128]), (160, [160, 128]), (96, [96])])
def test_full_is_tried_at_smaller_sides_than_the_one_that_is_named(named, sides):
    steps = photo_steps(named)[-1]
    assert [step.settings["image_size"] for step in steps] == sides
    assert [step.least_epochs for step in steps] == [6] * (len(sides) - 1) + [2]


def test_few_images_get_more_epochs_and_many_the_usual_ones():
    step = Step("some", least_epochs=6, most_epochs=20, least_updates=200, most_updates=1000)
    assert step.epochs(images=400, batch_size=32) == (16, 77)  # of 13 batches each
    assert step.epochs(images=3200, batch_size=32) == (6, 20)


def test_without_updates_the_epochs_of_a_step_count():
    assert Step("some", least_epochs=2, most_epochs=10).epochs(images=40, batch_size=8) == (2, 10)


def test_most_epochs_are_no_fewer_than_the_least():
    assert Step("some", least_epochs=1, most_epochs=1, least_updates=9).epochs(8, 8) == (9, 9)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A training is not ended because the machine got busy, but where a test asks for it."""
    monkeypatch.setattr(climbing, "OVERTIME", 1000.0)


@pytest.fixture
def stripes(write_stripes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = {"train": 40, "val": 24, "test": 12}
    counts = {f"{split}/{name}": size for split, size in sizes.items() for name in "ab"}
    return write_stripes(tmp_path / "stripes", counts)


def tiny(name, width, epochs, **settings):
    network = {"model": "mynet", "model_options": {"width": width}, "batch_size": 8}
    return (Step(name, network | settings, least_epochs=epochs, most_epochs=epochs),)


def guessing(name):
    """A random linear layer, which knows nothing of stripes of any phase."""
    settings = {"model": "fc-net", "batch_size": 8, "lr": 1e-9}
    return (Step(name, settings, least_epochs=1, most_epochs=1),)


@pytest.fixture
def two_steps(monkeypatch):
    """A step that does not learn, and one that does."""
    rungs = (guessing("first"), tiny("second", 12, 4, lr=0.01))
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: rungs)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"budget": "soon"}, "90s"),
        ({"model": "mynet"}, "model auto"),
        ({"epochs": 3}, "--epochs"),
        ({"strategy": "full"}, "--strategy"),
        ({"val_fraction": 0}, "validation"),
        ({"config": "config.yaml"}, "--config"),
    ],
)
def test_what_makes_no_sense_with_a_budget_is_refused(stripes, settings, hint):
    with pytest.raises(UserError, match=hint):
        striate.train(stripes, **{"budget": AMPLE} | settings)


def test_a_budget_shorter_than_one_step_says_what_would_fit_and_leaves_nothing(stripes, two_steps, tmp_path):
    with pytest.raises(UserError, match=r"first would take .* Give --budget \d+s or more"):
        striate.train(stripes, budget="10.5s", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_budget_below_what_the_report_takes_is_refused_before_the_images_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr("striate.data.survey", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(UserError, match=r"the report alone is given 10 s. Give --budget (19|20)s at least"):
        striate.train("photos", budget="9s", out=tmp_path / "run")


def test_two_images_a_class_are_too_few_to_validate_and_that_is_said(write_stripes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_stripes(tmp_path / "pairs", dict.fromkeys("abcd", 2))
    with pytest.raises(UserError, match="each class needs three images") as refused:
        striate.train("pairs", budget=AMPLE, out=tmp_path / "run")
    assert "--val-fraction" not in str(refused.value)


def test_a_trial_leaves_the_generators_of_torch_as_they_were(stripes):
    import torch

    from striate.workflows import transfer
    from striate.workflows.train import Training

    config = striate.config.TrainConfig(data=str(stripes), model="stride-cnn", model_options={"dropout": 0.5})
    choice = transfer.choose_network(config, Listener())
    sets = transfer.prepare_images(config, choice, None, Listener())
    training = Training.prepare(config, choice, sets, Listener())
    before = torch.get_rng_state()
    trials.time_training(training, 100.0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("lacking", [{"test": 50}, {"val": 50}, {"train": 5, "test": 50}, {"train": 60}])
def test_features_are_timed_on_the_split_that_lacks_them(lacking, monkeypatch):
    class Part(list):
        def __init__(self, name):
            super().__init__(range(60))
            self.name = name

        def select(self, rows):
            return self.name, rows

    parts = {name: Part(name) for name in ("train", "val", "test")}
    sets = SimpleNamespace(**parts, digests=lambda part: part.name, preprocess=None)
    computed = []
    monkeypatch.setattr(
        "striate.features.missing_features", lambda name, *_: list(range(lacking.get(name, 0)))
    )
    monkeypatch.setattr(
        trials.on_features,
        "features_of",
        lambda frozen, sets, found, listener: computed.append((found["trial"], time.sleep(0.01))),
    )
    cost = trials.time_features(SimpleNamespace(frozen=None), sets, Listener())
    name = max(lacking, key=lacking.get)
    assert [found[0] for found, _ in computed] == [name, name]
    assert cost.an_image > 0
    here = sum(lacking.get(one, 0) for one in ("train", "val")) - 32 * (name != "test")
    assert cost.here == pytest.approx(cost.an_image * here + trials.HEAD_SECONDS_AN_IMAGE * 60)
    assert cost.test == pytest.approx(cost.an_image * (lacking.get("test", 0) - 32 * (name == "test")))


@pytest.mark.parametrize(("room", "times"), [(100.0, 2), (0.0, 1)])
def test_what_takes_long_is_timed_once(room, times):
    done = []
    assert trials._seconds(lambda: done.append(time.sleep(0.01)), room) >= 0.01
    assert len(done) == times


def test_a_step_trains_on_few_images_until_its_updates_are_made(stripes, monkeypatch, tmp_path):
    settings = {"model": "mynet", "model_options": {"width": 4}, "batch_size": 40}
    step = Step("first", settings, least_epochs=1, most_epochs=2, most_updates=6)
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: ((step,),))
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run")
    (first,) = run.ladder()["steps"]
    assert first["epochs"] == first["epochs_run"] == 3  # of two batches


def test_small_images_take_the_size_that_the_user_names(stripes, monkeypatch, tmp_path):
    sides = []
    chosen = climbing.small_image_steps

    def steps(side, mirrored):
        sides.append(side)
        chosen(side, mirrored)
        return (guessing("first"),)

    monkeypatch.setattr(climbing, "small_image_steps", steps)
    run = striate.train(stripes, budget=AMPLE, image_size=12, out=tmp_path / "run")
    assert set(sides) == {12}
    assert run.ladder()["steps"][0]["side"] == run.config().image_size == 12


@pytest.mark.parametrize(
    ("names", "turned"),
    [
        (("flat", "upright"), []),
        (("deg000", "deg045", "deg090", "deg135"), ["deg045", "deg135"]),
    ],
)
def test_images_are_mirrored_where_the_first_step_knows_them_in_a_mirror(
    names, turned, write_stripes, monkeypatch, tmp_path
):
    sizes = {"train": 60, "val": 30, "test": 4}
    counts = {f"{split}/{name}": size for split, size in sizes.items() for name in names}
    write_stripes(tmp_path / "stripes", counts)

    def steps(side, mirrored):
        augment = "flip-crop" if mirrored else "shift"
        return tuple(tiny(name, 12, 5, lr=0.01, augment=augment) for name in ("first", "second"))

    monkeypatch.setattr(climbing, "small_image_steps", steps)
    monkeypatch.setattr(climbing._Ladder, "_nothing_to_gain", lambda self, kept: "")
    monkeypatch.setattr(record, "judge", lambda new, before: record.Verdict(9, 0, 0.004, True))
    run = striate.train(tmp_path / "stripes", budget=AMPLE, out=tmp_path / "run")
    first, second = run.ladder()["steps"]
    assert first["mirroring"]["turned"] == turned
    assert first["mirroring"]["images"] == 30 * len(names)
    assert second["mirroring"] is None
    assert run.config().augment == ("shift" if turned else "flip-crop")
    assert ("so no step mirrors" if turned else "so later steps mirror") in run.report.read_text()


def test_nobody_asks_of_characters_whether_they_may_be_mirrored(stripes, two_steps, tmp_path):
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run")
    assert [step["mirroring"] for step in run.ladder()["steps"]] == [None, None]


def test_a_short_budget_is_spent_on_the_first_step(stripes, monkeypatch, tmp_path):
    (step,) = tiny("first", 4, 1)
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: ((replace(step, share=1e-9),),))
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run")
    assert run.ladder()["steps"][0]["epochs_run"] == 1


def test_the_better_step_is_kept_and_everything_is_told(stripes, two_steps, tmp_path):
    run = striate.train(stripes, budget=AMPLE, model="auto", out=tmp_path / "run")
    ladder = json.loads(run.ladder_file.read_text())
    assert [step["outcome"] for step in ladder["steps"]] == ["kept", "kept"], ladder["stopped"]
    assert ladder["kept"] == "second"
    assert ladder["stopped"] == "every step was tried"
    assert ladder["total_seconds"] < ladder["budget_seconds"]
    _, second = ladder["steps"]
    assert second["verdict"]["p_value"] < 0.05
    assert second["verdict"]["before"] == "first"
    assert second["estimated_seconds"] > 0
    assert second["seconds"] >= second["trial_seconds"] > 0
    assert run.config().model_options == {"width": 12}
    assert run.metrics()["val"]["accuracy"]["value"] == second["accuracy"]["value"]
    assert len(run.history()) == second["epochs_run"] == 4
    assert striate.load(run.model).class_names == ("a", "b")
    page = run.report.read_text()
    assert "What was tried" in page
    assert second["reason"] in page
    assert not list(run.folder.glob("trying-*"))
    with pytest.raises(RunError, match="--budget"):
        striate.train(resume=run.folder)


def test_a_step_that_is_not_better_is_not_kept(stripes, monkeypatch, tmp_path):
    rungs = (tiny("first", 12, 4, lr=0.01), guessing("second"))
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: rungs)
    monkeypatch.setattr(climbing._Ladder, "_nothing_to_gain", lambda self, kept: "")
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run")
    assert [step["outcome"] for step in run.ladder()["steps"]] == ["kept", "not kept"]
    assert run.config().model_options == {"width": 12}


def test_it_stops_where_no_gain_could_be_more_than_chance(stripes, monkeypatch, tmp_path):
    rungs = (tiny("first", 12, 6, lr=0.01), tiny("second", 12, 6, lr=0.01))
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: rungs)
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run")
    assert [step["name"] for step in run.ladder()["steps"]] == ["first"]
    assert "more than chance" in run.ladder()["stopped"]


@pytest.mark.slow
def test_a_step_that_diverges_is_told_and_passed_over(stripes, monkeypatch, tmp_path):
    rungs = (guessing("first"), tiny("wild", 4, 2, lr=1e30), tiny("third", 12, 4, lr=0.01))
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: rungs)
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run")
    outcomes = {step["name"]: step for step in run.ladder()["steps"]}
    assert outcomes["wild"]["outcome"] == "cut short"
    assert "finite" in outcomes["wild"]["reason"]
    assert run.ladder()["kept"] == "third"


class Interrupting(Listener):
    """Presses Ctrl-C in the first epoch of the second training."""

    def __init__(self):
        self.trainings = 0

    def epoch(self, record, epochs):
        if record.epoch == 1:
            self.trainings += 1
        if self.trainings == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_keeps_the_best_so_far(stripes, monkeypatch, tmp_path):
    rungs = (tiny("first", 12, 3, lr=0.003), tiny("second", 4, 3, lr=1e-6), tiny("third", 12, 3))
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: rungs)
    monkeypatch.setattr(climbing._Ladder, "_nothing_to_gain", lambda self, kept: "")
    run = striate.train(stripes, budget=AMPLE, out=tmp_path / "run", listener=Interrupting())
    assert run.ladder()["kept"] == "first"
    assert [step["name"] for step in run.ladder()["steps"]] == ["first", "second"]
    assert run.ladder()["stopped"].startswith("Ctrl-C")
    assert run.facts()["training"]["stopped"] == "interrupted"
    assert run.report.is_file()


def test_a_training_that_takes_longer_than_estimated_is_ended(stripes, two_steps, monkeypatch, tmp_path):
    monkeypatch.setattr(climbing, "OVERTIME", 0.0)
    monkeypatch.setattr(climbing, "STARTING_SECONDS", 0.0)
    monkeypatch.setattr(climbing, "small_image_steps", lambda *_, **__: (tiny("first", 4, 3),))
    with pytest.raises(UserError, match="first epoch was not completed"):
        striate.train(stripes, budget=AMPLE, out=tmp_path / "run")


@pytest.fixture
def easy_photos(tmp_path):
    """Fine and coarse checks in random colours, which the features of the embedded network separate."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 8), ("test", 4)):
        for name, cell in (("coarse", 12), ("fine", 3)):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                y, x = np.mgrid[:72, :72] // cell
                colours = generator.integers(0, 255, (2, 3))
                image = colours[(x + y) % 2] + generator.normal(0, 8, (72, 72, 3))
                Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "photos"


def test_photos_take_the_size_that_the_user_names(easy_photos, tmp_path):
    run = striate.train(easy_photos, budget=AMPLE, image_size=72, out=tmp_path / "run")
    assert run.ladder()["steps"][0]["side"] == run.config().image_size == 72


def test_photos_whose_features_suffice_are_not_fine_tuned(easy_photos, tmp_path):
    run = striate.train(easy_photos, budget=AMPLE, out=tmp_path / "run")
    (step,) = run.ladder()["steps"]
    assert step["name"] == run.ladder()["kept"] == "features"
    assert step["strategy"] == run.config().strategy == "features"
    assert run.metrics()["test"]["accuracy"]["value"] == 1


@pytest.mark.slow
def test_fine_tuning_begins_with_the_head_of_the_features_step(easy_photos, tmp_path):
    common = {"image_size": 64, "audit": False}
    features = striate.train(easy_photos, strategy="features", out=tmp_path / "features", **common)
    tuned = striate.train(
        easy_photos,
        model="efficientnet-lite0-levels",
        strategy="head",
        first_head="features",
        keep_pixels=True,
        epochs=1,
        lr=1e-12,
        batch_size=8,
        precision="32",
        out=tmp_path / "tuned",
        **common,
    )
    expected = features.predictions("val").logits
    scale = np.abs(expected).max()
    assert (
        np.abs(tuned.predictions("val").logits - expected).max() < 2e-3 * scale
    )  # ONNX Runtime and torch round differently


def test_the_head_of_features_needs_a_pretrained_network(easy_photos, tmp_path):
    with pytest.raises(UserError, match="--first-head"):
        striate.train(
            easy_photos,
            model="lite0",
            strategy="full",
            weights="random",
            first_head="features",
            image_size=32,
            out=tmp_path / "run",
        )
