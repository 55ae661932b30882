"""Images of one group stay in one split."""

from __future__ import annotations

from collections import defaultdict

import pytest

from striate.config import DataConfig
from striate.data import prepare
from striate.errors import DataError


@pytest.fixture
def folder(tmp_path, picture):
    """Two classes; eight plants of each, with one to five photos."""
    number = 0
    for label in ("cat", "dog"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for plant in "abcdefgh":
            for photo in range(1 + number % 5):
                (tmp_path / "set" / label / f"{label}{plant}_{photo}.png").write_bytes(
                    picture(number * 10 + photo)
                )
            number += 1
    return tmp_path / "set"


def splits_of_groups(samples, group):
    found = defaultdict(set)
    for path, split in zip(samples["path"], samples["split"], strict=True):
        found[group(path)].add(split)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_images_of_a_group_stay_in_one_split(folder, seed):
    sets = prepare(DataConfig(data=str(folder), group_by=r"(\w+)_\d", seed=seed))
    samples = sets.samples
    assert sets.groups is not None
    assert len(set(zip(sets.groups, samples["split"], strict=True))) == len(set(sets.groups))
    found = splits_of_groups(samples, lambda path: path.split("_")[0])
    assert {len(splits) for splits in found.values()} == {1}
    assert set.union(*found.values()) == {"train", "val", "test"}
    ungrouped = prepare(DataConfig(data=str(folder), seed=seed)).samples
    assert any(len(splits) > 1 for splits in splits_of_groups(ungrouped, lambda p: p.split("_")[0]).values())


def test_a_column_of_the_table_names_the_groups(folder, tmp_path):
    rows = [(path, path.parent.name) for path in sorted(folder.rglob("*.png"))]
    lines = [
        f"set/{path.relative_to(folder)},{label},{number // 3}" for number, (path, label) in enumerate(rows)
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,label,plant", *lines]), encoding="utf-8")
    samples = prepare(DataConfig(data=str(table), group_by="plant")).samples
    group_of = {line.split(",")[0]: line.split(",")[2] for line in lines}
    found = splits_of_groups(samples, group_of.get)
    assert len(found) > 10
    assert {len(splits) for splits in found.values()} == {1}


def test_a_row_that_repeats_an_image_takes_no_group_away(tmp_path, write_pictures):
    write_pictures(tmp_path, {"x": 8, "y": 8})
    rows = [f"{label}/{n:03d}.png,{label},p{n // 4}" for label in "xy" for n in range(8)]
    again = [f"./{row.rsplit(',', 1)[0]}," for row in rows]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,label,plant", *rows, *again]), encoding="utf-8")
    sets = prepare(DataConfig(data=str(table), group_by="plant"))
    assert set(sets.groups or ()) == {"group p0", "group p1"}
    table.write_text("\n".join(["image,label,plant", *rows, "x/000.png,x,p9"]), encoding="utf-8")
    with pytest.raises(DataError, match=r"'x/000.png' two values of plant: 'p0' and 'p9'"):
        prepare(DataConfig(data=str(table), group_by="plant"))


def test_a_group_that_given_splits_divide_is_told(tmp_path, write_pictures):
    folder = write_pictures(tmp_path / "set", {"train/cat": 4, "train/dog": 4, "test/cat": 4, "test/dog": 4})
    sets = prepare(DataConfig(data=str(folder), group_by=r"(\d+)\.png", val_fraction=0))
    assert any(
        "4 group(s) of --group-by lie in several of the given splits" in text for text in sets.messages
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("(", "nor a pattern"), ("zebra", "no path has it"), (r"\.png", "has a single group")],
)
def test_groups_that_make_no_sense_are_refused(folder, pattern, expected):
    with pytest.raises(DataError, match=expected):
        prepare(DataConfig(data=str(folder), group_by=pattern))
