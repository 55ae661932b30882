"""Which images a report shows: the right ones, within the budget, in turns."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time

import numpy as np
import pytest

from striate.evaluation import gallery
from striate.evaluation.gallery import choose, missing_note
from striate.evaluation.report.images import card
from striate.offline_page import script_json
from striate.schemas import Predictions

JPEG = b"\xff\xd8\xff"


def thumbnails_of(size: int, gone: set[str] | None = None):
    """JPEG-like bytes that tell the path they were made for; None for what is gone."""

    def thumbnails(paths):
        return [
            None if path in (gone or ()) else JPEG + path.encode() + b"\0" * (size - 3 - len(path))
            for path in paths
        ]

    return thumbnails


def path_in(uri: str) -> str:
    return base64.b64decode(uri.partition(",")[2])[3:].rstrip(b"\0").decode()


def by_cell(predictions: Predictions) -> dict[str, set[str]]:
    """A naive confusion matrix of paths."""
    cells: dict[str, set[str]] = {}
    columns = (predictions.images, predictions.labels, predictions.predicted)
    for image, true, predicted in zip(*columns, strict=True):
        if true >= 0:
            cells.setdefault(f"{true},{predicted}", set()).add(image)
    return cells


@pytest.mark.parametrize("classes", [2, 3, 10, 40])
def test_every_cell_counts_its_images_and_shows_its_own(make_predictions, classes):
    predictions = make_predictions(classes, 700)
    chosen = choose(predictions)
    expected = by_cell(predictions)
    assert set(chosen["cells"]) == set(expected)
    for cell, images in expected.items():
        entry = chosen["cells"][cell]
        shown = [chosen["images"][position][0] for position in entry["images"]]
        assert entry["count"] == len(images)
        assert set(shown) <= images
        assert len(set(shown)) == len(shown)
        assert entry["complete"] == (set(shown) == images)
        assert len(shown) > 0


def test_every_mistake_is_shown_where_there_is_room(make_predictions):
    predictions = make_predictions(5, 900)
    chosen = choose(predictions)
    shown = {row[0] for row in chosen["images"]}
    wrong = np.flatnonzero(predictions.labels != predictions.predicted)
    assert {predictions.images[index] for index in wrong} <= shown
    assert all(entry["complete"] for cell, entry in chosen["cells"].items() if len(set(cell.split(","))) == 2)


def test_an_image_says_its_classes_and_the_three_most_probable(make_predictions):
    predictions = make_predictions(7, 80)
    numbers = {image: row for row, image in enumerate(predictions.images)}
    for name, true, predicted, top, thumbnail in choose(predictions)["images"]:
        row = numbers[name]
        probabilities = predictions.probabilities[row]
        assert (true, predicted, thumbnail) == (predictions.labels[row], predictions.predicted[row], -1)
        assert [pair[0] for pair in top] == np.argsort(-probabilities, kind="stable")[:3].tolist()
        np.testing.assert_allclose([pair[1] for pair in top], np.sort(probabilities)[::-1][:3], atol=5.1e-5)


def test_worst_are_the_most_confident_mistakes_and_uncertain_the_closest_calls(make_predictions):
    predictions = make_predictions(4, 600)
    chosen = choose(predictions)
    probabilities = np.sort(predictions.probabilities, axis=1)
    wrong = np.flatnonzero(predictions.labels != predictions.predicted)
    worst = sorted(wrong, key=lambda row: -probabilities[row, -1])[: gallery.HIGHLIGHTS]
    close = np.argsort(probabilities[:, -1] - probabilities[:, -2], kind="stable")[: gallery.HIGHLIGHTS]
    for key, rows in (("worst", worst), ("uncertain", close)):
        assert [chosen["images"][place][0] for place in chosen[key]] == [
            predictions.images[row] for row in rows
        ]


def test_images_named_correctly_reach_from_the_most_to_the_least_confident(make_predictions):
    predictions = make_predictions(3, 3000, strength=4)
    entry = choose(predictions)["cells"]["1,1"]
    assert gallery.RIGHT_PER_CLASS <= len(entry["images"]) < entry["count"]
    assert entry["complete"] is False
    images = choose(predictions)["images"]
    confidence = [images[place][3][0][1] for place in entry["images"]]
    assert confidence == sorted(confidence, reverse=True)
    rows = np.flatnonzero((predictions.labels == 1) & (predictions.predicted == 1))
    everyone = predictions.probabilities[rows].max(axis=1)
    assert confidence[-1] == pytest.approx(everyone.min(), abs=1e-4)
    assert confidence[0] > np.quantile(everyone, 0.9)


def test_thumbnails_stay_within_the_budget_and_belong_to_their_image(make_predictions):
    chosen = choose(make_predictions(10, 2000), thumbnails_of(2000), 500_000)
    assert len(script_json(chosen["thumbnails"])) <= 500_000
    assert len(chosen["thumbnails"]) > 150
    for name, *_, thumbnail in chosen["images"]:
        if thumbnail >= 0:
            assert path_in(chosen["thumbnails"][thumbnail]) == name
    used = [row[4] for row in chosen["images"] if row[4] >= 0]
    assert sorted(used) == list(range(len(chosen["thumbnails"])))


def test_no_cell_has_a_second_thumbnail_before_each_has_one(make_predictions):
    predictions = make_predictions(10, 4000)
    highlights = {
        place for key in ("worst", "uncertain") for place in choose(predictions)[key]
    }  # these come first, whatever their cell
    chosen = choose(predictions, thumbnails_of(1000), 400_000)
    pictured = {
        cell: [
            place for place in entry["images"] if chosen["images"][place][4] >= 0 and place not in highlights
        ]
        for cell, entry in chosen["cells"].items()
    }
    assert all(pictured[cell] or set(entry["images"]) & highlights for cell, entry in chosen["cells"].items())
    assert sum(map(len, pictured.values())) > len(pictured)
    wrong = [len(places) for cell, places in pictured.items() if len(set(cell.split(","))) == 2]
    assert max(wrong) - min(wrong) <= 3  # highlights and small cells make the difference


def test_the_worst_and_the_least_certain_have_thumbnails_first(make_predictions):
    chosen = choose(make_predictions(30, 3000), thumbnails_of(1000), 150_000)
    for key in ("worst", "uncertain"):
        assert all(chosen["images"][place][4] >= 0 for place in chosen[key])
    assert any(row[4] < 0 for row in chosen["images"])


def test_images_that_are_gone_are_counted_and_leave_room_for_others(make_predictions):
    predictions = make_predictions(3, 200)
    gone = set(predictions.images[::2])
    chosen = choose(predictions, thumbnails_of(500, gone))
    asked = {row[0] for row in chosen["images"]}
    assert chosen["missing"] == len(asked & gone)
    assert len(chosen["thumbnails"]) == len(asked - gone)
    assert all((row[4] < 0) == (row[0] in gone) for row in chosen["images"])
    assert missing_note(chosen).startswith(f"{chosen['missing']} images could not be read any more")
    assert missing_note(choose(predictions, thumbnails_of(500))) == ""


def test_the_choice_is_the_same_every_time(make_predictions):
    predictions = make_predictions(10, 3000)
    first, second = (choose(predictions, thumbnails_of(700), 200_000) for _ in range(2))
    assert script_json(first) == script_json(second)


def test_equal_images_are_taken_in_their_order():
    images = tuple(f"{number:03d}" for number in range(300))
    labels = np.zeros(300, np.int64)
    chosen = choose(Predictions(images, labels, np.zeros((300, 2), np.float32), ("a", "b")))
    assert chosen["worst"] == []
    assert [chosen["images"][place][0] for place in chosen["uncertain"]] == list(images[: gallery.HIGHLIGHTS])


def test_unlabelled_images_belong_to_no_cell(make_predictions):
    predictions = make_predictions(3, 60)
    labels = np.where(np.arange(60) % 2, predictions.labels, -1)
    predictions = Predictions(predictions.images, labels, predictions.logits, predictions.class_names)
    chosen = choose(predictions)
    assert sum(entry["count"] for entry in chosen["cells"].values()) == 30
    assert by_cell(predictions).keys() == chosen["cells"].keys()
    assert all(chosen["images"][place][1] >= 0 for place in chosen["worst"])
    assert {row[1] for row in chosen["images"]} >= {-1}


def test_no_images_make_an_empty_gallery():
    empty = Predictions((), np.zeros(0, np.int64), np.zeros((0, 3), np.float32), ("a", "b", "c"))
    chosen = choose(empty, thumbnails_of(10), split="val")
    assert (chosen["images"], chosen["cells"], chosen["worst"], chosen["split"]) == ([], {}, [], "val")


def test_a_perfect_network_has_right_images_alone(make_predictions):
    chosen = choose(make_predictions(3, 90, strength=50))
    assert chosen["worst"] == []
    assert set(chosen["cells"]) == {"0,0", "1,1", "2,2"}
    assert all(entry["images"] for entry in chosen["cells"].values())


def test_very_long_names_do_not_burst_the_page(make_predictions):
    predictions = make_predictions(5, 3000, strength=0)
    long = tuple(f"{image}/{'<' * 300}" for image in predictions.images)
    predictions = Predictions(long, predictions.labels, predictions.logits, predictions.class_names)
    chosen = choose(predictions)
    assert len(script_json(chosen["images"])) < 1.1 * gallery.IMAGE_TEXT_BYTES
    assert any(not entry["complete"] for entry in chosen["cells"].values())
    assert all(entry["images"] for entry in chosen["cells"].values())


def test_names_cannot_end_the_script_and_come_back_as_they_were(naughty_names):
    names = (
        *naughty_names,
        "</script><script>alert(1)</script>",
        "<!--",
        "]]>",
        "a\u2028b\u2029c",
        "\ud800x",
    )
    images = tuple(f"{name}/{number}" for number, name in enumerate(names))
    labels = np.arange(len(names))
    logits = np.random.default_rng(0).normal(size=(len(names),) * 2).astype(np.float32)
    chosen = choose(Predictions(images, labels, logits, names))
    text = script_json(chosen)
    assert not set("<>&\u2028\u2029") & set(text)
    text.encode("utf-8")
    assert json.loads(text) == chosen
    assert chosen["classes"] == list(names)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_know_are_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        script_json([value])


def test_a_thumbnail_that_is_no_picture_is_refused(make_predictions):
    with pytest.raises(ValueError, match="JPEG or PNG"):
        choose(make_predictions(), lambda paths: [b"GIF89a"] * len(paths))


def test_pngs_and_jpegs_are_called_what_they_are(make_predictions):
    kinds = [b"\x89PNG\r\n", JPEG]
    chosen = choose(make_predictions(n=2), lambda paths: kinds)
    assert [uri.partition(";")[0] for uri in chosen["thumbnails"]] == ["data:image/png", "data:image/jpeg"]


def test_importing_it_loads_neither_torch_nor_the_data_room():
    code = (
        "import sys, striate.evaluation.gallery; "
        "sys.exit(bool({'torch', 'PIL', 'striate.data'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_fifty_thousand_images_of_a_thousand_classes_take_seconds_and_fit_the_page():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((50_000, 1000), dtype=np.float32)
    labels = generator.integers(0, 1000, 50_000)
    logits[np.arange(50_000), labels] += 3.2
    images = tuple(f"test/class-{label:04d}/photo-{row:06d}.jpg" for row, label in enumerate(labels))
    names = tuple(f"a class called {number}" for number in range(1000))
    began = time.perf_counter()
    chosen = choose(Predictions(images, labels, logits, names), thumbnails_of(3000))
    seconds = time.perf_counter() - began
    assert seconds < 15
    assert len(script_json(chosen)) < gallery.BUDGET_BYTES + gallery.TEXT_BYTES + 10_000
    assert len(chosen["thumbnails"]) > 200


def test_only_the_worst_errors_are_asked_for_maps():
    logits = np.array([[1, 4], [0, 3], [2, 1]], np.float32)
    predictions = Predictions(("a", "b", "c"), np.array([0, 1, 1]), logits, ("x", "y"))
    asked = []

    def maps(paths):
        asked.extend(paths)
        return [JPEG if path == "a" else None for path in paths]

    chosen = choose(predictions, maps=maps)
    assert asked == ["a", "c"]
    (position,) = chosen["maps"]
    assert chosen["images"][int(position)][0] == "a"
    assert card(chosen, int(position)).map.startswith("data:image/jpeg")
