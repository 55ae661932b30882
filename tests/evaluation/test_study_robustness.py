"""Accuracy under distortion: what is lost, who loses less, and the page."""

from __future__ import annotations

import re

import numpy as np
import pytest

from striate.evaluation.study import robustness, robustness_page
from striate.evaluation.study.robustness import Course

LEVELS = (0.0, 1.0, 2.0)


def course(rates, *, n=500, seed=0, name="blur"):
    """Answers of models that name these shares of the images at each level; some are hard for all."""
    hard = np.random.default_rng(seed).random(n)
    return Course(name, "pixels", LEVELS, 0.0, np.array([[hard < rate for rate in model] for model in rates]))


def test_losses_are_what_a_loop_counts():
    found = course([(0.9, 0.7, 0.4), (0.8, 0.8, 0.7)])
    result = robustness.describe(["a", "b"], [found])
    for curve, correct in zip(result["distortions"][0]["curves"], found.correct, strict=True):
        losses = [
            correct[0, image] - (int(correct[1, image]) + int(correct[2, image])) / 2 for image in range(500)
        ]
        assert curve["loss"]["value"] == pytest.approx(np.mean(losses))
        assert curve["loss"]["error"] == pytest.approx(np.std(losses, ddof=1) / np.sqrt(500))
        assert [point["value"] for point in curve["points"]] == pytest.approx(correct.mean(axis=1))


def test_who_loses_less_is_told_and_who_loses_alike_is_not():
    blur = course([(0.9, 0.85, 0.8), (0.9, 0.6, 0.4)])
    noise = course([(0.9, 0.6, 0.5), (0.9, 0.6, 0.5)], name="noise")
    result = robustness.describe(["a", "b"], [blur, noise])
    verdicts = [course["pairs"][0]["verdict"] for course in result["distortions"]]
    assert verdicts == ["loses less", "not distinguishable"]
    assert robustness.sentences(result) == [
        "'a' loses less than 'b' under blur; is not distinguishable from 'b' under noise."
    ]
    assert robustness.remarks(result) == []


def test_equal_losses_are_told_apart_no_more_often_than_the_level():
    generator = np.random.default_rng(1)
    found = []
    for _ in range(300):
        hard = generator.random(200)
        noisy = hard + generator.normal(0, 0.2, (2, 3, 200))
        answers = noisy < np.array([0.9, 0.7, 0.5])[None, :, None]
        result = robustness.describe(["a", "b"], [Course("x", "y", LEVELS, 0.0, answers)])
        found.append(result["distortions"][0]["pairs"][0]["verdict"] != "not distinguishable")
    assert np.mean(found) == pytest.approx(0.05, abs=0.04)  # 300 studies


@pytest.mark.parametrize("images", [1, 2, 4])
def test_a_handful_of_images_proves_nothing(images):
    answers = np.zeros((2, 3, images), bool)
    answers[0] = True
    answers[1, 0] = True  # the second loses every image, the first none
    (row,) = robustness.describe(["a", "b"], [Course("x", "y", LEVELS, 0.0, answers)])["distortions"][0][
        "pairs"
    ]
    assert row["p_value"] == pytest.approx(2 / 2**images)
    assert row["verdict"] == "not distinguishable"
    assert row["low"] <= row["difference"] == -1 < row["high"]


def test_models_of_different_accuracy_are_said_not_to_be_comparable_by_their_losses():
    result = robustness.describe(["good", "bad"], [course([(0.9, 0.7, 0.5), (0.3, 0.3, 0.2)])])
    (remark,) = robustness.remarks(result)
    assert "has less to lose" in remark


@pytest.mark.parametrize("models", [1, 2, 8])
def test_the_page_is_closed_in_itself_with_any_number_of_models(models, naughty_names):
    rates = [(0.9, 0.8 - 0.05 * number, 0.5) for number in range(models)]
    result = robustness.describe(list(naughty_names[:models]), [course(rates)])
    pictures = {"blur": [b"\x89PNG" + bytes(8)] * 3}
    html = robustness_page.render(result, pictures, "photos", ["A message."])
    assert "<script>alert(1)" not in html
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:|//)""", html)
    assert html.count("data:image/png") == 3
    assert "A message." in html
