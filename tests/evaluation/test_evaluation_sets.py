"""Several sets with weights: the total, its interval, and weights that cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from striate.errors import DataError, UserError
from striate.evaluation import compute_metrics, wilson
from striate.evaluation.sets import weigh


def _entry(correct: int, samples: int) -> dict[str, int]:
    return {"correct": correct, "samples": samples}


def test_total_is_the_weighted_sum_of_accuracies() -> None:
    result = weigh(
        {"orig": (_entry(95, 100), 0.6), "aug": (_entry(40, 50), 0.3), "new": (_entry(6, 10), 0.1)}
    )
    assert result["total"]["value"] == pytest.approx(0.6 * 0.95 + 0.3 * 0.8 + 0.1 * 0.6)
    assert result["message"] == ""
    assert list(result["sets"]) == ["orig", "aug", "new"]
    new = result["sets"]["new"]["accuracy"]
    assert (new["low"], new["high"]) == wilson(6, 10)


def test_entries_and_predictions_give_the_same(make_predictions) -> None:
    predictions = make_predictions(3, 80)
    predictions = replace(predictions, labels=np.where(np.arange(80) % 5, predictions.labels, -1))
    of_entry = weigh({"a": (compute_metrics(predictions, resamples=20), 1.0)})
    assert weigh({"a": (predictions, 1.0)}) == of_entry
    assert of_entry["total"] == pytest.approx(of_entry["sets"]["a"]["accuracy"])


def test_weights_are_brought_to_one_with_a_message() -> None:
    given = {"a": (_entry(9, 10), 2), "b": (_entry(5, 10), 1)}
    result = weigh(given)
    assert [part["weight"] for part in result["sets"].values()] == pytest.approx([2 / 3, 1 / 3])
    assert result["total"]["value"] == pytest.approx((2 * 0.9 + 0.5) / 3)
    assert "add up to 3" in result["message"]
    assert (
        weigh({"a": (_entry(9, 10), 0.1), "b": (_entry(5, 10), 0.2), "c": (_entry(5, 10), 0.7)})["message"]
        == ""
    )


def test_total_is_surer_than_its_parts_but_never_certain() -> None:
    result = weigh({name: (_entry(30, 30), 1) for name in "abc"})
    assert wilson(30, 30)[0] < result["total"]["low"] < 1
    assert result["total"]["high"] == 1


@pytest.mark.parametrize(
    ("sizes", "shares"),
    [((100, 50, 30), (0.95, 0.9, 0.7)), ((750, 300, 60), (0.99, 0.97, 0.9)), ((20, 20, 20), (0.8, 0.7, 0.6))],
)
def test_interval_of_the_total_covers_the_truth(sizes, shares) -> None:
    generator, weights, hits = np.random.default_rng(0), (0.6, 0.3, 0.1), 0
    truth = float(np.dot(weights, shares))
    for correct in generator.binomial(sizes, shares, (1000, 3)).tolist():
        sets = {
            str(k): (_entry(c, n), w) for k, (c, n, w) in enumerate(zip(correct, sizes, weights, strict=True))
        }
        total = weigh(sets)["total"]
        hits += total["low"] <= truth <= total["high"]
    assert 0.92 < hits / 1000 < 0.985


@pytest.mark.parametrize("weight", [0, -0.1, np.nan, np.inf])
def test_weights_that_are_not_positive_are_refused(weight) -> None:
    with pytest.raises(UserError, match="the weight of 'new'"):
        weigh({"a": (_entry(1, 2), 0.5), "new": (_entry(1, 2), weight)})


def test_sets_without_labelled_images_are_refused_by_name(make_predictions) -> None:
    with pytest.raises(UserError, match="no set"):
        weigh({})
    with pytest.raises(DataError, match=r"^new: no labelled image"):
        weigh({"new": (_entry(0, 0), 1)})
    unknown = replace(make_predictions(3, 5), labels=np.full(5, -1))
    with pytest.raises(DataError, match=r"^new: none of the 5 images"):
        weigh({"new": (unknown, 1)})
