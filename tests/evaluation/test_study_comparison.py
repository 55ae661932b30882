"""Comparisons of entries from saved predictions: which images, which verdicts, which page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from striate.errors import DataError
from striate.evaluation.study import (
    Answers,
    Entry,
    compare_entries,
    disagreements,
    gather,
    page,
    tables,
    wording,
)
from striate.evaluation.wording import percent
from striate.schemas import Predictions

CLASSES = ("cat", "dog", "ox")
N = 400


def predictions(skill: float, seed: int, names: tuple[str, ...] = CLASSES) -> Predictions:
    """Predictions of a network that names this share of the images, more or less, correctly."""
    labels = np.arange(N) % len(names)
    hard = np.random.default_rng(99).random(N)  # the same for every network
    generator = np.random.default_rng(seed)
    right = hard + 0.3 * generator.random(N) < skill + 0.15
    given = np.where(right, labels, (labels + generator.integers(1, len(names), N)) % len(names))
    logits = generator.normal(0, 0.5, (N, len(names))).astype(np.float32)
    logits[np.arange(N), given] += 4
    return Predictions(tuple(f"test/{number}.png" for number in range(N)), labels, logits, names)


def compared(skills: dict[str, float], seeds: int, **options):
    runs = [
        (f"{name}-{seed}", predictions(skill, 100 + 10 * place + seed))
        for place, (name, skill) in enumerate(skills.items())
        for seed in range(seeds)
    ]
    answers = gather(runs, "test images")
    entries = [
        Entry(name, tuple(f"{name}-{seed}" for seed in range(seeds)), tuple(range(seeds))) for name in skills
    ]
    return compare_entries(entries, {"test": answers}, **options), entries, answers


def test_answers_follow_the_images_and_the_class_names_of_the_first_run():
    first, other = predictions(0.8, 0), predictions(0.6, 1)
    order = np.random.default_rng(2).permutation(N)
    turned = [2, 0, 1]  # another order of the classes
    shuffled = Predictions(
        tuple(other.images[place] for place in order),
        np.array([turned.index(label) for label in other.labels[order]]),
        other.logits[order][:, turned],
        tuple(CLASSES[place] for place in turned),
    )
    straight = gather([("a", first), ("b", other)], "test images")
    found = gather([("a", first), ("b", shuffled)], "test images")
    np.testing.assert_array_equal(found.predicted, straight.predicted)
    np.testing.assert_allclose(found.confidence, straight.confidence, rtol=1e-6)
    np.testing.assert_array_equal(found.correct[1], other.predicted == other.labels)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"images": tuple(f"test/{number}.png" for number in range(1, N + 1))}, "399 are the same"),
        ({"labels": (np.arange(N) + 1) % 3}, "for another class"),
        ({"class_names": ("cat", "dog", "cow")}, "'cow', 'ox'"),
    ],
)
def test_other_images_labels_or_classes_are_refused_with_the_way_out(change, text):
    first = predictions(0.8, 0)
    with pytest.raises(DataError, match=re.escape(text)) as caught:
        gather([("runs/a", first), ("runs/b", replace(first, **change))], "test images")
    assert "--set" in str(caught.value) or "--classes" in str(caught.value)


def test_a_better_recipe_is_called_better_and_an_equal_one_not_distinguishable():
    result, *_ = compared({"base": 0.6, "good": 0.8, "same": 0.6}, 3, with_first=True)
    verdicts = [row["accuracy"]["verdict"] for row in result["comparisons"]]
    assert verdicts == ["better", "not distinguishable"]
    assert wording.headline(result).startswith("'good' (+")
    assert "'same' is not distinguishable from it" in wording.headline(result)
    assert any("does not mean equal" in text for text in wording.remarks(result))


def test_scores_are_means_and_deviations_over_the_runs():
    result, _, answers = compared({"a": 0.6, "b": 0.8}, 3)
    for number, entry in enumerate(result["entries"]):
        runs = [np.mean(row == answers.labels) for row in answers.predicted[3 * number : 3 * number + 3]]
        score = entry["scores"]["test"]["accuracy"]
        assert score["value"] == pytest.approx(np.mean(runs))
        assert score["deviation"] == pytest.approx(np.std(runs, ddof=1))
        assert score["low"] < score["value"] < score["high"]
        assert np.sum(entry["scores"]["test"]["confusion"]) == 3 * N


def test_single_runs_are_compared_by_mcnemar_and_said_to_be_single():
    result, *_ = compared({"a": 0.6, "b": 0.8}, 1)
    (row,) = result["comparisons"]
    assert row["accuracy"]["test"] == "McNemar, exact"
    assert row["accuracy"]["p_value"] == row["mcnemar"][0]["p_value"]
    assert any("trained once" in text for text in wording.remarks(result))
    assert wording.headline(result).startswith("'b' is better than 'a'")


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("images", [1, 3])
def test_few_images_tell_no_recipe_apart(seeds, images):
    labels = np.arange(images)
    logits = {"right": np.eye(3)[labels], "wrong": np.eye(3)[(labels + 1) % 3]}
    runs = [
        (
            f"{name}-{seed}",
            Predictions(tuple(map(str, labels)), labels, each.astype(np.float32), tuple("abc")),
        )
        for name, each in logits.items()
        for seed in range(seeds)
    ]
    entries = [Entry(name, tuple(f"{name}-{seed}" for seed in range(seeds))) for name in logits]
    (row,) = compare_entries(entries, {"test": gather(runs, "test images")})["comparisons"]
    for metric in ("accuracy", "f1"):
        assert row[metric]["verdict"] == "not distinguishable"
        assert -1 <= row[metric]["low"] <= row[metric]["high"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "classes"), [(1, 9), (1, 30), (3, 9)])
def test_equal_recipes_with_one_image_a_class_are_seldom_told_apart(seeds, classes):
    labels = np.arange(classes)
    apart = {"accuracy": 0, "f1": 0}
    for study in range(200):
        generator = np.random.default_rng(study)
        right = generator.random((2 * seeds, classes)) < 0.7
        predicted = np.where(right, labels, generator.integers(0, classes, right.shape))
        answers = Answers(
            tuple(map(str, labels)),
            labels,
            tuple(map(str, labels)),
            predicted,
            np.ones_like(right, np.float32),
        )
        entries = [Entry(name, tuple(f"{name}{seed}" for seed in range(seeds))) for name in "ab"]
        (row,) = compare_entries(entries, {"test": answers})["comparisons"]
        for metric in apart:
            apart[metric] += row[metric]["verdict"] in ("better", "worse")
    assert max(apart.values()) <= 10  # 5 % of 200


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_few_images_in_each_of_two_sets_prove_no_total(seeds):
    result = few({"right": 0, "wrong": 1}, images=3, seeds=seeds, weights={"a": 0.6, "b": 0.4})
    total = result["comparisons"][-1]["accuracy"]
    assert result["comparisons"][-1]["set"] == "total"
    assert total["p_value"] >= 2 / 2**6  # six tosses of a coin, two sides
    assert total["low"] < 0
    for entry in result["entries"]:
        for name, score in entry["scores"].items():
            for metric in {"accuracy", "f1"} & set(score):
                assert score[metric]["low"] < score[metric]["high"], (name, metric)


@pytest.mark.parametrize("seeds", [1, 2])
def test_recipes_that_are_always_right_have_a_difference_with_a_width(seeds):
    result = few({"right": 0, "as right": 0}, images=18, seeds=seeds)
    for metric in ("accuracy", "f1"):
        row = result["comparisons"][0][metric]
        assert (row["difference"], row["p_value"]) == (0, 1)
        assert -0.3 < row["low"] < 0 < row["high"] < 0.3


def few(shifts, *, images, seeds, weights=None):
    """A comparison of networks that answer with the true class, shifted."""
    labels = np.arange(images) % 3
    runs = [
        (
            f"{name}-{seed}",
            Predictions(
                tuple(map(str, range(images))),
                labels,
                np.eye(3, dtype=np.float32)[(labels + shift) % 3],
                CLASSES,
            ),
        )
        for name, shift in shifts.items()
        for seed in range(seeds)
    ]
    entries = [Entry(name, tuple(f"{name}-{seed}" for seed in range(seeds))) for name in shifts]
    sets = {name: gather(runs, f"set {name}") for name in weights or ("test",)}
    return compare_entries(entries, sets, weights=weights)


def test_networks_that_answer_alike_are_called_identical():
    same = predictions(0.7, 0)
    answers = gather([("a", same), ("b", same)], "test images")
    result = compare_entries([Entry("a", ("a",)), Entry("b", ("b",))], {"test": answers})
    assert result["comparisons"][0]["accuracy"]["verdict"] == "identical"
    assert result["comparisons"][0]["accuracy"]["p_value"] == 1
    assert any("had no effect" in text for text in wording.remarks(result))


def test_runs_are_compared_seed_by_seed_whatever_their_order():
    of_seed = (
        [predictions(0.6, seed) for seed in range(3)],
        [predictions(0.8, 10 + seed) for seed in range(3)],
    )

    def tables(seeds):
        entries = [
            Entry("a", ("a0", "a1", "a2"), (0, 1, 2)),
            Entry("b", tuple(f"b{seed}" for seed in seeds), seeds),
        ]
        runs = [*of_seed[0], *(of_seed[1][seed] for seed in seeds)]
        answers = gather([(str(place), run) for place, run in enumerate(runs)], "test images")
        return compare_entries(entries, {"test": answers})["comparisons"][0]["mcnemar"]

    straight = tables((0, 1, 2))
    assert [row["seed"] for row in straight] == [0, 1, 2]
    assert len({row["only_first"] for row in straight}) > 1
    assert tables((2, 1, 0)) == straight
    assert tables((2, 0)) == [straight[0], straight[2]]


@pytest.mark.parametrize("seeds", [(), (None, None), (7, 8), (5, 5)])
def test_runs_of_unknown_or_other_seeds_are_compared_in_their_order(seeds):
    runs = [
        ("a0", predictions(0.6, 0)),
        ("a1", predictions(0.6, 1)),
        ("b0", predictions(0.8, 10)),
        ("b1", predictions(0.8, 11)),
    ]
    entries = [Entry("a", ("a0", "a1"), (5, 6)), Entry("b", ("b0", "b1"), seeds)]
    (row,) = compare_entries(entries, {"test": gather(runs, "test images")})["comparisons"]
    right = [found.predicted == found.labels for _, found in runs]
    for found, theirs, ours in zip(row["mcnemar"], right[:2], right[2:], strict=True):
        assert (found["seed"], found["only_first"]) == (None, np.count_nonzero(ours & ~theirs))


def test_networks_that_answer_alike_seed_by_seed_are_called_identical():
    runs = [(name, predictions(0.7, int(name[1]))) for name in ("a0", "a1", "b1", "b0")]
    entries = [Entry("a", ("a0", "a1"), (0, 1)), Entry("b", ("b1", "b0"), (1, 0))]
    (row,) = compare_entries(entries, {"test": gather(runs, "test images")})["comparisons"]
    assert row["identical"]


def test_p_values_of_several_comparisons_are_adjusted_by_holm():
    result, *_ = compared({"a": 0.6, "b": 0.66, "c": 0.7, "d": 0.72}, 3)
    raw = [row["accuracy"]["p_value"] for row in result["comparisons"]]
    adjusted = [row["accuracy"]["p_adjusted"] for row in result["comparisons"]]
    assert len(raw) == 6
    expected, highest = {}, 0.0
    for step, place in enumerate(np.argsort(raw)):
        highest = max(highest, min(1.0, raw[place] * (6 - step)))
        expected[place] = highest
    assert adjusted == pytest.approx([expected[place] for place in range(6)])


def test_the_total_weighs_the_sets_and_ranks_the_entries():
    good_then_bad = [("a", predictions(0.9, 0)), ("b", predictions(0.8, 1))]
    bad_then_good = [("a", predictions(0.3, 2)), ("b", predictions(0.8, 3))]
    sets = {"orig": gather(good_then_bad, "x"), "new": gather(bad_then_good, "x")}
    entries = [Entry("a", ("a",)), Entry("b", ("b",))]
    result = compare_entries(entries, sets, weights={"orig": 0.6, "new": 0.4})
    for number, entry in enumerate(result["entries"]):
        parts = [sets[name].correct[number].mean() for name in ("orig", "new")]
        assert entry["scores"]["total"]["accuracy"]["value"] == pytest.approx(0.6 * parts[0] + 0.4 * parts[1])
    assert [entry["rank"] for entry in result["entries"]] == [2, 1]
    assert {row["set"] for row in result["comparisons"]} == {"orig", "new", "total"}
    board = tables.leaderboard(result)
    assert board["name"].tolist() == ["b", "a"]
    assert board["total"].iloc[0] == pytest.approx(
        result["entries"][1]["scores"]["total"]["accuracy"]["value"]
    )


def test_disagreements_are_images_that_one_alone_names_correctly():
    result, _, answers = compared({"a": 0.6, "b": 0.64}, 3)
    chosen = disagreements.choose(result, answers, None)
    (pair,) = chosen["pairs"]
    right = answers.correct[3:].mean(axis=0) > 0.5, answers.correct[:3].mean(axis=0) > 0.5
    number = {image: place for place, image in enumerate(answers.images)}
    for kind, (ours, theirs) in (("only_first", right), ("only_second", right[::-1])):
        listed = [number[chosen["images"][place][0]] for place in pair[kind]]
        assert listed
        assert all(ours[place] and not theirs[place] for place in listed)
        assert len(listed) == min(disagreements.SHOWN, result["comparisons"][0]["counts"][kind])


def test_thumbnails_stop_where_the_room_ends():
    result, _, answers = compared({"a": 0.6, "b": 0.8}, 1)
    picture = b"\x89PNG" + bytes(90)
    chosen = disagreements.choose(result, answers, lambda paths: [picture] * len(paths), budget_bytes=1000)
    assert 0 < sum(len(uri) + 3 for uri in chosen["thumbnails"]) <= 1000
    assert [row[3] for row in chosen["images"]][: len(chosen["thumbnails"])] == [
        *range(len(chosen["thumbnails"]))
    ]


@pytest.mark.parametrize("with_first", [True, False])
def test_the_page_is_closed_in_itself_and_escapes_every_name(naughty_names, with_first):
    runs = [(str(number), predictions(0.5 + 0.1 * number, number, naughty_names)) for number in range(3)]
    answers = gather(runs, "test images")
    entries = [Entry(name, (str(number),)) for number, name in enumerate(naughty_names[:3])]
    result = compare_entries(entries, {"test": answers}, with_first=with_first)
    html = page.render(result, entries, disagreements.choose(result, answers, None), {})
    assert "<script>alert(1)" not in html
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)""", html)
    assert html.count("not distinguishable") + html.count("better") > 0
    json.dumps(result, allow_nan=False)


def history(val_loss: list[float], val_accuracy: list[float]) -> pd.DataFrame:
    """A training that keeps the epoch with the lowest validation loss."""
    epochs = np.arange(1, len(val_loss) + 1)
    best = np.minimum.accumulate(val_loss) == val_loss
    columns = {"epoch": epochs, "lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5}
    return pd.DataFrame(
        columns | {"val_loss": val_loss, "val_accuracy": val_accuracy, "best": best.astype(float)}
    )


def test_the_page_says_where_weights_of_an_early_epoch_were_kept():
    result, entries, answers = compared({"steady": 0.6, "overfitted": 0.6}, 2, with_first=True)
    steady = (history([3, 2, 1], [0.3, 0.4, 0.5]),) * 2
    early = (history([3, 1, 2], [0.3, 0.4, 0.5]), history([1, 2, 3], [0.4, 0.4, 0.5]))
    entries = [replace(entries[0], histories=steady), replace(entries[1], histories=early)]
    (told,) = wording.kept_early(entries)
    assert "'overfitted' was measured with the weights of epochs 1 to 2 of 3" in told
    assert f"named {percent(0.5)} of the validation images correctly, there {percent(0.4)}" in told
    html = page.render(result, entries, disagreements.choose(result, answers, None), {})
    assert "of epochs 1 to 2 and, grey, of epoch 3" in html
    assert len(re.findall(r'<circle[^>]*class="dot val"', html)) == 2 * 2  # runs, in loss and accuracy
    assert len(re.findall(r'<circle[^>]*class="dot train"', html)) == 2 * 2


@pytest.mark.parametrize("accuracies", [[0.4, 0.6, 0.5], [0.3, 0.49, 0.5], [np.nan] * 3])
def test_nothing_is_said_of_an_early_epoch_that_was_as_good(accuracies):
    losses = [3.0, 1.0, 2.0] if np.isfinite(accuracies[0]) else [np.nan] * 3
    assert wording.kept_early([Entry("a", ("0",), histories=(history(losses, accuracies),))]) == []
    assert wording.kept_early([Entry("a", ("0",))]) == []


def test_many_classes_have_no_maps_and_few_images_no_error():
    names = tuple(f"class {number}" for number in range(40))
    runs = [(str(number), predictions(0.5 + 0.2 * number, number, names)) for number in range(2)]
    answers = gather(runs, "test images")
    entries = [Entry("a", ("0",)), Entry("b", ("1",))]
    result = compare_entries(entries, {"test": answers})
    assert 'class="map"' not in page.render(result, entries, disagreements.choose(result, answers, None), {})
    one = Answers(("x",), np.array([0]), names, np.array([[0], [1]]), np.ones((2, 1), np.float32))
    json.dumps(compare_entries(entries, {"test": one}), allow_nan=False)
