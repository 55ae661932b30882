from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.config import DataConfig
from striate.data.splits import POOL, Shares, allot, carve, plan
from striate.errors import DataError

shares = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(
    lambda parts: Shares(*(part / max(1.0, sum(parts)) for part in parts))
)
classes = st.dictionaries(st.text(min_size=1, max_size=5), st.integers(2, 30), min_size=1, max_size=6)


def config(**settings):
    return DataConfig(data="x", **settings)


def pool(sizes):
    labels = [label for label, size in sizes.items() for _ in range(size)]
    return [f"{number:04d}.png" for number in range(len(labels))], labels


@given(st.integers(2, 500), shares)
def test_allot_never_uses_more_than_there_is_and_stays_near_the_shares(n, wanted):
    counts = allot(n, wanted)
    assert min(counts) >= 0
    assert sum(counts) <= n
    assert counts[0] >= 1
    assert counts[2] >= (wanted.test > 0)
    assert counts[1] >= (wanted.val > 0 and n >= 3)
    minima = sum(1 for share in wanted if n * share < 1)
    for count, share in zip(counts, wanted, strict=True):
        assert abs(count - n * share) <= 1 + minima


@pytest.mark.parametrize(("n", "wanted", "expected"), [
    (6000, Shares(0.09, 0.01, 0.0), (540, 60, 0)),
    (5000, Shares(0.8, 0.2, 0.0), (4000, 1000, 0)),
    (100, Shares(0.7, 0.15, 0.15), (70, 15, 15)),
    (10, Shares(0.7, 0.15, 0.15), (7, 1, 2)),
    (2, Shares(0.7, 0.15, 0.15), (1, 0, 1)),
    (3, Shares(0.7, 0.15, 0.15), (1, 1, 1)),
    (2, Shares(1.0, 0.0, 0.0), (2, 0, 0)),
    (50, Shares(0.01, 0.0, 0.0), (1, 0, 0)),
])  # fmt: skip
def test_allot_of_known_cases(n, wanted, expected):
    assert allot(n, wanted) == expected


@given(classes, shares, st.integers(0, 2**32 - 1))
def test_carve_puts_every_image_in_one_place_class_by_class(sizes, wanted, seed):
    paths, labels = pool(sizes)
    result = carve(paths, labels, wanted, seed)
    assert len(result) == len(paths)
    assert set(result) <= {"train", "val", "test", ""}
    for label, size in sizes.items():
        counts = Counter(split for split, other in zip(result, labels, strict=True) if other == label)
        assert (counts["train"], counts["val"], counts["test"]) == allot(size, wanted)


@given(classes, st.integers(0, 1000), st.randoms(use_true_random=False))
def test_carve_does_not_depend_on_the_order_of_the_files(sizes, seed, random):
    paths, labels = pool(sizes)
    wanted = Shares(0.7, 0.15, 0.15)
    expected = dict(zip(paths, carve(paths, labels, wanted, seed), strict=True))
    order = list(range(len(paths)))
    random.shuffle(order)
    shuffled = carve([paths[i] for i in order], [labels[i] for i in order], wanted, seed)
    assert {paths[i]: split for i, split in zip(order, shuffled, strict=True)} == expected


def test_other_classes_do_not_change_which_images_of_a_class_test():
    paths, labels = pool({"a": 20, "b": 20})
    wanted = Shares(0.7, 0.15, 0.15)
    assert carve(paths[:20], labels[:20], wanted, 3) == carve(paths, labels, wanted, 3)[:20]


def test_a_smaller_fraction_keeps_the_test_images():
    paths, labels = pool({"a": 40, "b": 40})
    full = carve(paths, labels, Shares(0.7, 0.15, 0.15), 0)
    part = carve(paths, labels, Shares(0.2, 0.1, 0.15), 0)
    assert [split == "test" for split in full] == [split == "test" for split in part]


def test_the_seed_draws_the_split():
    paths, labels = pool({"a": 50, "b": 50})
    drawn = {tuple(carve(paths, labels, Shares(0.5, 0.25, 0.25), seed)) for seed in range(5)}
    assert len(drawn) == 5


def test_every_image_is_drawn_about_equally_often():
    paths, labels = pool({"a": 20})
    times = np.zeros(20)
    for seed in range(400):
        times += [split == "test" for split in carve(paths, labels, Shares(0.75, 0.0, 0.25), seed)]
    assert abs(times - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_a_class_with_one_image_is_named_with_ways_out():
    with pytest.raises(DataError, match=r"class 'lonely' has a single image.*--classes"):
        carve(["1", "2", "3"], ["a", "a", "lonely"], Shares(0.7, 0.15, 0.15), 0)


def test_without_splits_everything_is_carved_from_all_images():
    found = plan([], config())
    assert found.roles == {"": POOL}
    assert found.shares == pytest.approx((0.7, 0.15, 0.15))


def test_given_splits_are_kept():
    found = plan(["train", "val", "test"], config())
    assert found.roles == {"train": POOL, "val": "val", "test": "test"}
    assert found.shares == (1.0, 0.0, 0.0)


def test_a_missing_validation_split_is_carved_from_training():
    found = plan(["train", "test"], config(val_fraction=0.2))
    assert found.roles == {"train": POOL, "test": "test"}
    assert found.shares == (0.8, 0.2, 0.0)


def test_with_train_and_val_only_val_is_the_test_and_says_so():
    found = plan(["train", "val"], config())
    assert found.roles == {"train": POOL, "val": "test"}
    assert found.shares == pytest.approx((0.85, 0.15, 0.0))
    assert "serves as the test" in found.messages[0]


def test_train_alone_is_split_three_ways():
    assert plan(["train"], config(test_fraction=0.2)).shares == pytest.approx((0.65, 0.15, 0.2))


@pytest.mark.parametrize("given_splits", [["train", "test"], ["train", "val", "test"], ["train", "val"]])
def test_val_fraction_zero_trains_on_everything(given_splits):
    found = plan(given_splits, config(val_fraction=0))
    assert "val" not in found.roles.values()
    assert found.shares.val == 0
    assert found.shares.train == 1
    assert (found.roles.get("val") == POOL) == (len(given_splits) == 3)


def test_reference_e_takes_nine_percent_and_one_percent():
    assert plan(["train", "test"], config(fraction=0.09, val_fraction=0.01)).shares == (0.09, 0.01, 0.0)


def test_a_fraction_alone_scales_the_carved_validation():
    assert plan(["train", "test"], config(fraction=0.1)).shares == pytest.approx((0.1, 0.015, 0.0))


def test_a_fraction_of_a_given_training_split_leaves_val_and_test_whole():
    assert plan(["train", "val", "test"], config(fraction=0.1)).shares == (0.1, 0.0, 0.0)


def test_a_fraction_that_cannot_be_had_is_lowered_with_a_message():
    found = plan([], config(fraction=0.9))
    assert found.shares.train == pytest.approx(1 - 0.15 - 0.135)
    assert "instead of 90.0%" in found.messages[0]


@pytest.mark.parametrize(("given_splits", "settings", "reason"), [
    (["train", "test"], {"fraction": 0.9, "val_fraction": 0.2}, "more than"),
    ([], {"fraction": 0.8, "val_fraction": 0.1}, "more than"),
    ([], {"val_fraction": 0.5, "test_fraction": 0.5}, "more than"),
    (["train", "test"], {"test_fraction": 0.1}, "--test-fraction has nothing to carve"),
    (["train", "val"], {"test_fraction": 0.1}, "--test-fraction has nothing to carve"),
    (["train", "val", "test"], {"val_fraction": 0.1}, "--val-fraction has nothing to carve"),
    (["test"], {}, "no training split, only test"),
    (["val", "test"], {}, "no training split, only test and val"),
])  # fmt: skip
def test_contradictions_are_refused(given_splits, settings, reason):
    with pytest.raises(DataError, match=reason):
        plan(given_splits, config(**settings))


def test_a_fraction_of_one_is_no_contradiction():
    assert plan(["train", "test"], config(fraction=1, val_fraction=0.2)).shares == (0.8, 0.2, 0.0)
