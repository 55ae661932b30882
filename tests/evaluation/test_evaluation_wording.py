"""The result in natural frequencies, and which remarks come first."""

import numpy as np
import pytest

from striate.evaluation import compute_metrics, wilson
from striate.evaluation.wording import number, remarks, sentence
from striate.schemas import Predictions


def _entry(correct: int, samples: int) -> dict:
    low, high = wilson(correct, samples)
    return {
        "correct": correct,
        "samples": samples,
        "accuracy": {"value": correct / samples, "low": low, "high": high},
    }


@pytest.mark.parametrize(
    ("correct", "samples", "text"),
    [
        (273, 300, "About 91 of 100 new images like these would be named correctly (between 87 and 94)."),
        (2, 3, "About 67 of 100 new images like these would be named correctly (between 20 and 94)."),
        (
            996,
            1000,
            "About 996 of 1,000 new images like these would be named correctly (between 989 and 999).",
        ),
        (1, 10_000, "About 1 of 10,000 new images like these would be named correctly (between 0 and 6)."),
        (30, 30, "All 30 images were named correctly; of 100 new images like these expect at least 88."),
        (0, 30, "None of the 30 images was named correctly; of 100 new images like these expect at most 12."),
        (1, 1, "The one image was named correctly; of 100 new images like these expect at least 20."),
        (0, 1, "The one image was not named correctly; of 100 new images like these expect at most 80."),
    ],
)
def test_sentence_speaks_of_new_images(correct, samples, text) -> None:
    assert sentence(_entry(correct, samples)) == text


@pytest.mark.parametrize("samples", [1, 7, 99, 1000, 100_000])
def test_sentence_never_rounds_inwards_or_to_all_or_nothing(samples) -> None:
    for correct in {0, 1, samples // 2, samples - 1, samples}:
        entry = _entry(correct, samples)
        numbers = [
            int(word.strip("();.,").replace(",", ""))
            for word in sentence(entry).split()
            if word[-1:].strip("();.,").isdigit() or word.strip("();.,").replace(",", "").isdigit()
        ]
        if correct in (0, samples):
            continue
        value, base, low, high = numbers
        assert 0 < value < base
        assert low / base <= entry["accuracy"]["low"] + 1e-9
        assert high / base >= entry["accuracy"]["high"] - 1e-9


def test_sentence_takes_another_noun() -> None:
    assert "91 of 100 new leaves like these" in sentence(_entry(273, 300), "leaf", "leaves")
    assert "91 of 100 new photos like these" in sentence(_entry(273, 300), "photo")


def _named(labels: np.ndarray, named: np.ndarray, sure: float = 0.97, classes: int = 3) -> dict:
    logits = np.log(np.full((len(labels), classes), (1 - sure) / (classes - 1)))
    logits[np.arange(len(labels)), named] = np.log(sure)
    names = tuple("abcdefgh"[:classes])
    return compute_metrics(Predictions(("",) * len(labels), labels, logits.astype(np.float32), names))


def test_probabilities_that_are_too_high_are_said_to_be() -> None:
    labels = np.arange(600) % 3
    named = np.where(np.arange(600) % 10 < 3, (labels + 1 + np.arange(600) // 300) % 3, labels)
    text = " ".join(remarks("test", _named(labels, named)))
    assert (
        "Probabilities are too high: the network is 97.0\u00a0% sure on average and 70.0\u00a0% right" in text
    )
    assert "Probabilities" not in " ".join(remarks("test", _named(labels, named, sure=0.7)))
    assert "Probabilities are too low" in " ".join(remarks("test", _named(labels, labels, sure=0.6)))


def test_one_sided_confusion_is_told_from_the_side_that_it_happens_on() -> None:
    labels = np.repeat([0, 1, 2], 100)
    named = labels.copy()
    named[100:130] = 0
    named[0:2] = 1
    text = " ".join(remarks("test", _named(labels, named, sure=0.9)))
    assert "'b' is taken for 'a' more often than the other way round: 30 of 100 against 2 of 100." in text
    named[0:28] = 1
    assert "other way round" not in " ".join(remarks("test", _named(labels, named, sure=0.8)))


def test_weightier_remarks_come_first() -> None:
    labels = np.repeat([0, 1, 2], [300, 280, 5])
    named = np.where(labels == 1, 0, labels)
    found = remarks("test", _named(labels, named))
    beginnings = ["Not shown", "Never predicted", "'b' is taken for", "Fewer than 10"]
    places = [next(k for k, text in enumerate(found) if text.startswith(start)) for start in beginnings]
    assert places == sorted(places)
    assert places[0] == 0
    tiny = remarks("test", _named(np.arange(60) % 3, np.arange(60) % 3))
    assert tiny[0].startswith("Only 60 test images")


def test_entries_of_the_first_format_can_still_be_judged() -> None:
    entry = _named(np.repeat([0, 1, 2], 100), np.repeat([0, 1, 2], 100))
    for key in ("format", "calibration", "confused_pairs"):
        del entry[key]
    assert remarks("test", entry) == []


def test_what_nothing_bounds_reads_so() -> None:
    assert number(None) == "unbounded"
    assert number(0.123456) == "0.1235"
