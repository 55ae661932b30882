"""What figures show, and that any class name can stand in them."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from striate import figure_style
from striate.errors import DataError
from striate.evaluation import compute_metrics, confusion_matrix, figures
from striate.evaluation.curves import curves_table
from striate.evaluation.history import chosen_epoch, numbers
from striate.evaluation.thresholds import choose_threshold
from striate.schemas import Predictions


def _texts(figure: Figure) -> set[str]:
    return set(ElementTree.fromstring(figures.svg(figure)).itertext())


def _lines(axes) -> dict:
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_curves_hold_the_history(make_history) -> None:
    history = make_history(5)
    loss, accuracy = figures.learning_curves(history).axes
    table = numbers(history)
    np.testing.assert_array_equal(_lines(loss)["training"].get_ydata(), table["train_loss"])
    np.testing.assert_array_equal(_lines(loss)["validation"].get_ydata(), table["val_loss"])
    np.testing.assert_array_equal(_lines(accuracy)["validation"].get_ydata(), table["val_accuracy"])


def test_curves_mark_the_chosen_epoch_and_the_goal(make_history) -> None:
    figure = figures.learning_curves(make_history(5), goal=0.75)
    assert {"epoch 3 kept", "goal 75 %"} <= _texts(figure)
    assert any(list(line.get_ydata()) == [0.75, 0.75] for line in figure.axes[1].get_lines())
    assert not any(text.startswith("goal") for text in _texts(figures.learning_curves(make_history(5))))


def test_goal_above_every_accuracy_stays_in_view(make_history) -> None:
    low, high = figures.learning_curves(make_history(2), goal=1.0).axes[1].get_ylim()
    assert low < 1.0 < high


def test_curves_without_validation_keep_the_last_epoch(make_history) -> None:
    figure = figures.learning_curves(make_history(4, validation=False))
    assert set(_lines(figure.axes[0])) == {"training"}
    assert "epoch 4 kept" in _texts(figure)


def test_chosen_epoch_is_the_last_of_the_best(make_history) -> None:
    assert chosen_epoch(make_history(6)) == 3
    assert chosen_epoch(make_history(6, validation=False)) == 6
    assert chosen_epoch(make_history(0).reindex(columns=make_history(1).columns)) is None


def test_curves_bear_losses_that_are_not_finite(make_history) -> None:
    history = make_history(3)
    history.loc[2, "train_loss"] = "inf"
    history.loc[1, "val_loss"] = "nan"
    assert figures.png(figures.learning_curves(history))


def test_curves_of_no_epoch_are_empty(make_history) -> None:
    nothing = make_history(1).iloc[:0]
    assert figures.png(figures.learning_curves(nothing, goal=0.5))


def test_curves_mark_the_epoch_that_the_caller_names(make_history) -> None:
    assert "epoch 2 kept" in _texts(figures.learning_curves(make_history(5), chosen=2))


def test_history_that_does_not_fit_is_refused(make_history) -> None:
    with pytest.raises(DataError, match="val_loss"):
        numbers(make_history().drop(columns="val_loss"))
    with pytest.raises(DataError, match="no number"):
        numbers(make_history().assign(lr="fast"))


@pytest.mark.parametrize("normalize", [False, True])
def test_confusion_cells_show_counts_or_percent(normalize) -> None:
    counts = np.array([[3, 1], [0, 200]])
    texts = _texts(figures.confusion_matrix(counts, ["cat", "dog"], normalize=normalize))
    assert {"cat", "dog"} | ({"75", "25", "100"} if normalize else {"3", "1", "200"}) <= texts


def test_confusion_percent_never_rounds_to_all_or_nothing() -> None:
    texts = _texts(figures.confusion_matrix(np.array([[999, 1], [0, 5]]), ["a", "b"], normalize=True))
    assert {">99", "<1"} <= texts


@pytest.mark.parametrize(("classes", "named"), [(2, True), (30, True), (120, True), (200, False)])
def test_confusion_names_classes_where_they_are_few(make_predictions, classes, named) -> None:
    entry = compute_metrics(make_predictions(classes, 2 * classes))
    names = [row["name"] for row in entry["per_class"]]
    figure = figures.confusion_matrix(confusion_matrix(entry), names)
    assert ("class 1" in _texts(figure)) == named


def test_confusion_of_many_classes_keeps_single_mistakes() -> None:
    counts = np.zeros((1000, 1000), int)
    counts[2, 997] = 1
    image = figures.confusion_matrix(counts, [str(k) for k in range(1000)]).axes[0].get_images()[0]
    assert image.get_array().max() == 1


def test_recall_shows_value_and_interval_the_worst_first(make_predictions) -> None:
    entry = compute_metrics(make_predictions(5, 80, strength=1))
    axes = figures.per_class_recall(entry).axes[0]
    rows = sorted(entry["per_class"], key=lambda row: row["recall"]["value"])
    np.testing.assert_allclose(axes.get_lines()[0].get_xdata(), [row["recall"]["value"] for row in rows])
    spans = [segment[:, 0] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(spans, [[row["recall"]["low"], row["recall"]["high"]] for row in rows])


def test_recall_of_many_classes_shows_the_lowest(make_predictions) -> None:
    figure = figures.per_class_recall(compute_metrics(make_predictions(60, 600)))
    assert len(figure.axes[0].get_yticks()) == 40
    assert any("40 lowest of 60" in text for text in _texts(figure))


@pytest.mark.parametrize("classes", [2, 40, 41, 300])
def test_class_balance_states_the_totals(classes) -> None:
    counts = {"train": list(range(classes)), "test": [1] * classes}
    figure = figures.class_balance(counts, [f"class {k}" for k in range(classes)])
    total = classes * (classes - 1) // 2
    assert {f"training ({total:,})", f"test ({classes:,})"} <= _texts(figure)


def test_class_balance_of_empty_classes_is_drawn() -> None:
    assert figures.png(figures.class_balance({"train": [0, 0]}, ["a", "b"]))


def test_no_name_breaks_a_figure(make_predictions, naughty_names) -> None:
    predictions = make_predictions(10, 100, names=naughty_names)
    entry = compute_metrics(predictions)
    curves = curves_table(predictions, entry)
    counts = {"train": [3] * 10}
    samples = {name: np.zeros((1, 1, 8, 8), np.uint8) for name in naughty_names}
    drawn = [
        figures.confusion_matrix(confusion_matrix(entry), naughty_names),
        figures.per_class_recall(entry),
        figures.class_balance(counts, naughty_names),
        figures.sample_grid(samples),
        figures.image_grid(np.zeros((10, 3, 8, 8), np.uint8), naughty_names),
        figures.roc_curves(curves, entry),
        figures.precision_recall_curves(curves, entry),
    ]
    for figure in drawn:
        assert figures.png(figure).startswith(b"\x89PNG")
    texts = _texts(drawn[0])
    assert {"rust $x^2$ _a_ \\frac", "\u53f6\u9508\u75c5", "line break"} <= texts
    assert max(len(text) for text in texts) < 60


def test_names_that_shorten_to_the_same_stay_apart() -> None:
    names = [f"{'a' * 40}{middle}{'b' * 40}" for middle in "12"]
    texts = _texts(figures.class_balance({"train": [1, 2]}, names))
    assert len({text for text in texts if "\u2026" in text}) == 2


def test_sample_grid_places_each_image_in_its_row() -> None:
    samples = {"dark": np.zeros((2, 3, 4, 4), np.uint8), "grey": np.full((1, 3, 4, 4), 90, np.uint8)}
    canvas = figures.sample_grid(samples).axes[0].get_images()[0].get_array()
    assert (canvas[:4, :4] == 0).all()
    assert (canvas[5:9, :4] == 90).all()
    assert (canvas[5:9, 5:9] == 255).all()


def test_augmentation_preview_shows_original_and_variants() -> None:
    original = np.full((1, 6, 5), 7, np.uint8)
    variants = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((10, 1, 6, 5), np.uint8)
    figure = figures.augmentation_preview(original, variants, preset="photo")
    shown = [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]
    assert [image[0, 0, 0] for image in shown] == [7, *range(10)]
    assert "original" in _texts(figure)


def test_images_of_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels"):
        figures.sample_grid({"a": np.zeros((1, 2, 4, 4), np.uint8)})


def test_image_sizes_tell_the_commonest() -> None:
    assert "All 3 images are 8 x 9" in _texts(figures.image_sizes(np.array([[8, 9]] * 3)))
    mixed = np.array([[10, 20]] * 2 + [[30, 40]])
    assert {"3 images of 2 sizes,", "most often 10 x 20 (2)"} <= _texts(figures.image_sizes(mixed))


def test_figures_are_written_the_same_each_time(make_history, tmp_path) -> None:
    for name in ("a.png", "b.png", "a.svg", "b.svg"):
        figures.save(figures.learning_curves(make_history()), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as image:
        assert min(image.size) > 400


def test_a_figure_is_arranged_once_and_alike_in_both_formats(make_history) -> None:
    both, alone = (figures.learning_curves(make_history()) for _ in range(2))
    figures.png(both)
    arranged = [axes.get_position().bounds for axes in both.axes]
    assert figures.svg(both) == figures.svg(alone)
    assert [axes.get_position().bounds for axes in both.axes] == arranged
    assert arranged != [axes.get_position().bounds for axes in figures.learning_curves(make_history()).axes]


def test_only_texts_that_the_first_font_lacks_look_through_others(monkeypatch) -> None:
    fonts = ["DejaVu Sans", "monospace"]
    monkeypatch.setattr(figure_style, "_installed_fonts", lambda: fonts)
    names = ["plain", "\u53f6\u9508", "b"]
    figure = figures.confusion_matrix(np.eye(3, dtype=int), names)
    families = {text.get_text(): text.get_fontfamily() for text in figure.axes[0].get_yticklabels()}
    assert families == {"plain": fonts[:1], "\u53f6\u9508": fonts, "b": fonts[:1]}


def test_save_refuses_other_endings(make_history, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        figures.save(figures.learning_curves(make_history()), tmp_path / "a.gif")


def test_matplotlib_settings_stay_as_they_were(make_history) -> None:
    before = dict(mpl.rcParams)
    with mpl.rc_context({"lines.linewidth": 7.5, "savefig.dpi": 31}):
        kept = dict(mpl.rcParams)
        figure = figures.learning_curves(make_history())
        assert _lines(figure.axes[0])["training"].get_linewidth() == 1.5
        figures.png(figure)
        figures.svg(figure)
        assert dict(mpl.rcParams) == kept
    assert dict(mpl.rcParams) == before


def test_figures_need_no_pyplot() -> None:
    code = (
        "import sys; from striate.evaluation import figures; "
        "figures.png(figures.class_balance({'train': [1, 2]}, ['a', 'b'])); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_reliability_draws_every_bin_with_its_images(make_predictions) -> None:
    entry = compute_metrics(make_predictions(3, 300))
    figure = figures.reliability(entry)
    bins = entry["calibration"]["bins"]
    x, y = figure.axes[0].containers[0].lines[0].get_data()
    np.testing.assert_allclose(x, [row["confidence"] for row in bins])
    np.testing.assert_allclose(y, [row["accuracy"] for row in bins])
    assert [bar.get_height() for bar in figure.axes[1].patches] == [row["samples"] for row in bins]
    assert f"expected calibration error {100 * entry['calibration']['ece']['value']:.1f} %" in str(
        _texts(figure)
    )


def test_curves_of_the_smallest_areas_have_names_the_others_are_counted(make_predictions) -> None:
    predictions = make_predictions(9, 400, strength=1)
    entry = compute_metrics(predictions)
    curves = curves_table(predictions, entry)
    for draw, area in (
        (figures.roc_curves, "roc_auc"),
        (figures.precision_recall_curves, "average_precision"),
    ):
        texts = _texts(draw(curves, entry))
        rows = sorted(entry["per_class"], key=lambda row: row[area]["value"])
        assert {row["name"] for row in rows[:6]} <= texts
        assert not {row["name"] for row in rows[6:]} & texts
        assert "3 others," in texts


def test_two_classes_have_one_curve_that_of_the_second(make_predictions) -> None:
    predictions = make_predictions(2, 200)
    entry = compute_metrics(predictions)
    curves = curves_table(predictions, entry)
    figure = figures.roc_curves(curves, entry)
    of_second = curves[(curves["class"] == "class 1") & (curves["curve"] == "roc")]
    (line,) = [line for label, line in _lines(figure.axes[0]).items() if label.startswith("class")]
    np.testing.assert_array_equal(line.get_ydata(), of_second["y"])


def test_one_class_in_the_labels_draws_figures_that_say_so() -> None:
    predictions = Predictions(("a", "b"), np.array([0, 0]), np.eye(2, dtype=np.float32), ("x", "y"))
    entry = compute_metrics(predictions)
    curves = curves_table(predictions, entry)
    assert "no class has an area here" in _texts(figures.roc_curves(curves, entry))
    assert figures.png(figures.threshold_costs(entry))
    assert figures.png(figures.reliability(entry))


def test_cost_curve_marks_the_cheapest_threshold(make_predictions) -> None:
    entry = compute_metrics(make_predictions(2, 300, strength=1))
    lines = figures.threshold_costs(entry, ratios=(5,)).axes[0].get_lines()
    curve, mark = lines[0], lines[1]
    lowest = np.argmin(curve.get_ydata())
    assert mark.get_ydata()[0] == pytest.approx(curve.get_ydata()[lowest])
    assert mark.get_xdata()[0] == choose_threshold(entry["operating_points"], 5, 1)


def test_many_classes_are_reordered_so_that_confused_ones_stand_together() -> None:
    counts = 20 * np.eye(60, dtype=int)
    counts[3, 50] = counts[50, 3] = 9
    figure = figures.confusion_matrix(counts, [f"class {k}" for k in range(60)])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert abs(names.index("class 3") - names.index("class 50")) == 1
    assert any(text.startswith("Order: classes taken for one another") for text in _texts(figure))
    assert not any(
        text.startswith("Order") for text in _texts(figures.confusion_matrix(counts[:30, :30], names[:30]))
    )


def test_more_classes_than_names_fit_list_the_most_confused_pairs() -> None:
    counts = 20 * np.eye(300, dtype=int)
    counts[7, 200], counts[200, 7] = 9, 4
    texts = _texts(figures.confusion_matrix(counts, [f"class {k}" for k in range(300)]))
    assert any("class 7 as class 200: 9" in text or "class 200 as class 7: 4" in text for text in texts)
