import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.config import DataConfig
from striate.data import FilePixels, decode, decoding, describe, images, prepare
from striate.data.images import ResizedPixels, resize_all
from striate.data.normalization import IMAGENET_MEAN
from striate.errors import DataError
from striate.schemas import QUARANTINE_COLUMNS, SAMPLE_COLUMNS, Preprocess

SHARED = Path(__file__).parents[3] / "shared" / "data"


def get(root, **settings):
    return prepare(DataConfig(data=str(root), **settings))


def places(sets):
    """Return {path: split} of everything that is used."""
    parts = {"train": sets.train, "val": sets.val, "test": sets.test}
    return {path: split for split, part in parts.items() if part is not None for path in part.paths}


@pytest.fixture
def folder(tmp_path, write_pictures):
    return write_pictures(tmp_path / "set", {"a": 20, "b": 20, "c": 20})


@pytest.fixture
def split_folder(tmp_path, write_pictures):
    counts = {
        f"{split}/{label}": n for split, n in (("train", 10), ("val", 4), ("test", 3)) for label in "ab"
    }
    return write_pictures(tmp_path / "set", counts)


def test_a_class_folder_is_split_70_15_15_and_recorded(folder):
    sets = get(folder)
    assert (len(sets.train), len(sets.val), len(sets.test)) == (42, 9, 9)
    assert tuple(sets.samples.columns) == SAMPLE_COLUMNS
    assert tuple(sets.quarantine.columns) == QUARANTINE_COLUMNS
    assert dict(zip(sets.samples["path"], sets.samples["split"], strict=True)) == places(sets)
    assert sets.name == "set"


def test_pixels_and_labels_are_those_of_the_files(folder):
    sets = get(folder)
    for part in (sets.train, sets.val, sets.test):
        taken = part.pixels.take(np.arange(len(part)))
        for path, label, found in zip(part.paths, part.labels, taken, strict=True):
            expected = np.asarray(Image.open(folder / path)).transpose(2, 0, 1)
            np.testing.assert_array_equal(found, expected)
            assert sets.class_names[label] == path.split("/")[0]
            assert label.dtype == np.int64


def test_take_gives_any_order_and_repeats(folder):
    pixels = get(folder).train.pixels
    everything = pixels.take(np.arange(len(pixels)))
    np.testing.assert_array_equal(pixels.take(np.array([5, 0, 5])), everything[[5, 0, 5]])
    assert pixels.take(np.array([], np.int64)).shape == (0, 3, 8, 8)


def test_given_splits_are_kept(split_folder):
    sets = get(split_folder)
    assert places(sets) == {path: path.split("/")[0] for path in sets.samples["path"]}


def test_a_validation_split_is_carved_from_training_only(split_folder):
    shutil.rmtree(split_folder / "val")
    sets = get(split_folder, val_fraction=0.2)
    assert (len(sets.train), len(sets.val), len(sets.test)) == (16, 4, 6)
    assert all(path.startswith("train/") for path in sets.val.paths)
    assert all(path.startswith("test/") for path in sets.test.paths)


def test_with_train_and_val_only_val_tests_and_never_validates(split_folder):
    shutil.rmtree(split_folder / "test")
    sets = get(split_folder)
    assert all(path.startswith("val/") for path in sets.test.paths)
    assert all(path.startswith("train/") for path in sets.val.paths)
    assert any("serves as the test" in message for message in sets.messages)


def test_val_fraction_zero_joins_validation_to_training(split_folder):
    sets = get(split_folder, val_fraction=0)
    assert sets.val is None
    assert (len(sets.train), len(sets.test)) == (28, 6)


def test_a_fraction_leaves_images_out_with_a_note(folder):
    sets = get(folder, fraction=0.1, val_fraction=0.1)
    assert (len(sets.train), len(sets.val), len(sets.test)) == (6, 6, 9)
    unused = sets.samples[sets.samples["split"] == ""]
    assert len(unused) == 39
    assert set(unused["note"]) == {"left out by --fraction"}


def test_classes_are_chosen_by_name_and_sorted(folder):
    everything, some = get(folder), get(folder, classes=("c", "a"))
    assert some.class_names == ("a", "c")
    assert places(some) == {path: split for path, split in places(everything).items() if path[0] != "b"}


def test_an_unknown_class_suggests_the_nearest(folder):
    with pytest.raises(DataError, match="Known: a, b, c"):
        get(folder, classes=("a", "zebra"))


def test_neither_the_place_nor_the_order_of_the_files_matters(folder, tmp_path):
    copy = tmp_path / "elsewhere" / "deeper" / "set"
    copy.mkdir(parents=True)
    for path in sorted(folder.rglob("*.png"), reverse=True):
        target = copy / path.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    first, second = get(folder), get(copy)
    assert first.samples.equals(second.samples)
    assert first.fingerprint == second.fingerprint
    assert first.preprocess == second.preprocess


def test_the_fingerprint_changes_with_content_label_and_split(folder, picture):
    before = get(folder).fingerprint
    assert get(folder, seed=1).fingerprint != before
    path = folder / get(folder).train.paths[0]
    path.write_bytes(picture(12345))
    after = get(folder).fingerprint
    assert after != before
    path.rename(folder / "b" / "renamed.png")
    assert get(folder).fingerprint not in (before, after)


def test_the_users_folder_is_not_touched(folder):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}

    before = state()
    get(folder)
    assert state() == before


def test_files_that_do_not_decode_are_quarantined_and_never_stop_a_run(folder, picture):
    (folder / "a" / "000.png").write_bytes(picture(0)[:60])
    (folder / "a" / "001.png").write_bytes(b"")
    (folder / "b" / "text.jpg").write_text("no picture")
    sets = get(folder)
    assert sets.quarantine["path"].tolist() == ["a/000.png", "a/001.png", "b/text.jpg"]
    assert sets.quarantine["reason"].str.len().min() > 10
    assert not set(sets.quarantine["path"]) & set(sets.samples["path"])
    assert len(sets.samples) == 58


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root")
def test_unreadable_files_are_quarantined(folder):
    (folder / "a" / "000.png").chmod(0)
    assert "cannot be read" in get(folder).quarantine["reason"][0]


def test_a_broken_link_is_quarantined(folder):
    (folder / "a" / "broken.png").symlink_to("nowhere.png")
    assert "cannot be read" in get(folder).quarantine["reason"][0]


def test_a_class_missing_from_test_is_named(split_folder):
    shutil.rmtree(split_folder / "test" / "b")
    sets = get(split_folder)
    assert sets.class_names == ("a", "b")
    assert set(sets.test.labels.tolist()) == {0}
    assert any("No image in test of class 'b'" in message for message in sets.messages)


def test_an_extra_class_in_test_is_left_out_and_shifts_nothing(split_folder, write_pictures):
    write_pictures(split_folder / "test", {"aardvark": 2})
    sets = get(split_folder)
    assert sets.class_names == ("a", "b")
    assert len(sets.test) == 6
    extra = sets.samples[sets.samples["label"] == "aardvark"]
    assert extra["split"].tolist() == ["", ""]
    assert extra["note"].tolist() == ["its class has no training image"] * 2
    assert any("Left out 2 image(s) in test of class 'aardvark'" in message for message in sets.messages)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_empty_class_folder_is_named(split_folder, split):
    (split_folder / split / "empty").mkdir()
    sets = get(split_folder)
    assert sets.class_names == ("a", "b")
    assert [m for m in sets.messages if "'empty'" in m] == [
        f"Class folder 'empty' in {split} is empty: it holds no image."
    ]


def test_a_class_of_which_nothing_decodes_is_named(folder):
    for path in (folder / "c").iterdir():
        path.write_bytes(b"broken")
    sets = get(folder)
    assert sets.class_names == ("a", "b")
    assert any("None of the 20 image(s) of class 'c'" in message for message in sets.messages)


def test_letter_case_makes_another_class_and_is_named(split_folder):
    (split_folder / "test" / "b").rename(split_folder / "test" / "B")
    sets = get(split_folder)
    assert any("class 'b'" in message for message in sets.messages)
    assert any("class 'B'" in message for message in sets.messages)


def test_one_class_is_refused(tmp_path, write_pictures):
    with pytest.raises(DataError, match=r"one class, 'a'.*at least two"):
        get(write_pictures(tmp_path / "set", {"a": 5}))


def test_a_class_that_vanishes_because_its_names_are_no_text_is_told(tmp_path, write_pictures):
    write_pictures(tmp_path / "set", {"a": 5, "b": 2})
    for number in range(2):
        path = tmp_path / "set" / "b" / f"{number:03d}.png"
        path.rename(os.fsdecode(os.fsencode(path.with_suffix("")) + b"\xff.png"))
    with pytest.raises(DataError, match=r"one class, 'a'.*2 image\(s\) are left out; the first, b/000.*text"):
        get(tmp_path / "set")


def test_a_class_with_a_single_image_is_refused(tmp_path, write_pictures):
    with pytest.raises(DataError, match="'b' has a single image"):
        get(write_pictures(tmp_path / "set", {"a": 5, "b": 1}))


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="no image to train with"):
        get(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no class folders"):
        get(tmp_path)


def test_if_nothing_decodes_the_first_reason_is_told(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"2 image\(s\) do not decode .*not a JPEG"):
        get(tmp_path)


def test_a_test_split_without_trained_classes_is_refused(split_folder):
    shutil.rmtree(split_folder / "test")
    (split_folder / "test" / "z").mkdir(parents=True)
    shutil.copy(split_folder / "val" / "a" / "000.png", split_folder / "test" / "z")
    with pytest.raises(DataError, match="no image is left to test with"):
        get(split_folder)


@pytest.mark.parametrize("data", ["no/such/place", "", "notes.txt", "x" * 5000, "nul\0", "~nobody/x"])
def test_what_is_nowhere_is_refused(data):
    with pytest.raises(DataError, match="no such path"):
        get(data)


def test_a_misspelt_name_suggests_the_nearest():
    with pytest.raises(DataError, match="Did you mean 'cifar10'"):
        get("cifar-10")


def test_a_path_wins_over_a_name(tmp_path, write_pictures, monkeypatch):
    monkeypatch.chdir(write_pictures(tmp_path, {"digits/x": 5, "digits/y": 5}).resolve())
    assert get("digits").class_names == ("x", "y")


def test_another_file_is_refused(tmp_path):
    (tmp_path / "data.tar").write_bytes(b"x")
    with pytest.raises(DataError, match=r"neither a folder of images nor a \.zip or \.csv"):
        get(tmp_path / "data.tar")


def test_small_images_of_one_size_keep_it(tmp_path, write_pictures):
    sets = get(write_pictures(tmp_path / "set", {"a": 4, "b": 4}, size=(20, 28)))
    assert sets.preprocess.input_shape == (3, 28, 20)
    assert sets.messages == ()


def test_other_images_become_squares_of_the_median_shorter_side(tmp_path, write_pictures, picture):
    root = write_pictures(tmp_path / "set", {"a": 4, "b": 4}, size=(30, 40))
    (root / "a" / "wide.png").write_bytes(picture(99, size=(90, 50)))
    sets = get(root)
    assert sets.preprocess.input_shape == (3, 30, 30)
    assert any("--image-size" in message for message in sets.messages)


def test_large_images_become_64_pixels_unless_told(tmp_path, write_pictures):
    root = write_pictures(tmp_path / "set", {"a": 4, "b": 4}, size=(100, 80))
    assert get(root).preprocess.input_shape == (3, 64, 64)
    assert get(root, image_size=32).preprocess.input_shape == (3, 32, 32)


def test_channels_follow_the_training_files(tmp_path, write_pictures, picture):
    root = write_pictures(tmp_path / "set", {"train/a": 4, "train/b": 4, "test/a": 2, "test/b": 2}, mode="L")
    (root / "test" / "a" / "colour.png").write_bytes(picture(5))
    assert get(root).preprocess.channels == 1
    assert get(root, channels="rgb").preprocess.channels == 3
    (root / "train" / "a" / "colour.png").write_bytes(picture(6))
    assert get(root).preprocess.channels == 3
    assert get(root, channels="grey").preprocess.channels == 1


@pytest.mark.parametrize("image_size", [None, 80])
def test_dataset_statistics_are_those_of_the_training_split(folder, image_size):
    sets = get(folder, image_size=image_size)
    assert sets.train.pixels.in_memory == (image_size is None)
    pixels = sets.train.pixels.take(np.arange(len(sets.train))) / 255
    np.testing.assert_allclose(sets.preprocess.mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(sets.preprocess.std, pixels.std(axis=(0, 2, 3)), rtol=1e-9)
    normal = sets.preprocess.normalize(sets.train.pixels.take(np.arange(len(sets.train))))
    np.testing.assert_allclose(normal.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(axis=(0, 2, 3)), 1, atol=1e-5)


def test_fixed_normalisations(folder):
    assert get(folder, normalize="none").preprocess.mean == (0, 0, 0)
    assert get(folder, normalize="none").preprocess.std == (1, 1, 1)
    assert get(folder, normalize="half").preprocess.mean == (0.5, 0.5, 0.5)
    assert get(folder, normalize="imagenet").preprocess.mean == IMAGENET_MEAN
    grey = get(folder, normalize="imagenet", channels="grey").preprocess
    assert grey.mean == pytest.approx((np.mean(IMAGENET_MEAN),))


def test_constant_images_have_a_deviation_to_divide_by(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for index in range(4):
            Image.new("RGB", (8, 8), (0, 128, index)).save(tmp_path / label / f"{index}.png")
    assert get(tmp_path).preprocess.std[:2] == (1.0, 1.0)


def test_permuted_pixels_are_one_fixed_order_for_all_images_and_channels(folder):
    plain, permuted = get(folder), get(folder, permute_pixels=7)
    order = np.random.Generator(np.random.PCG64(7)).permutation(64)
    for part, other in ((plain.train, permuted.train), (plain.test, permuted.test)):
        rows = np.arange(len(part))
        expected = part.pixels.take(rows).reshape(len(part), 3, 64)[:, :, order]
        np.testing.assert_array_equal(other.pixels.take(rows).reshape(len(part), 3, 64), expected)
    assert permuted.preprocess.mean == pytest.approx(plain.preprocess.mean)
    assert permuted.preprocess.permute_pixels == 7
    again = get(folder, permute_pixels=7)  # now from the cache
    np.testing.assert_array_equal(again.test.pixels.take([0, 1]), permuted.test.pixels.take([0, 1]))


def test_permutation_is_a_permutation():
    values = np.arange(2 * 3 * 20, dtype=np.uint8).reshape(2, 3, 4, 5)
    permuted = images.permute(values, 3)
    assert permuted.shape == values.shape
    np.testing.assert_array_equal(np.sort(permuted.reshape(6, -1)), np.sort(values.reshape(6, -1)))
    assert not np.array_equal(permuted, values)
    assert images.permute(values, None) is values


@pytest.mark.parametrize("permute_pixels", [None, 3])
def test_streamed_images_equal_those_in_memory(folder, monkeypatch, permute_pixels):
    held = get(folder, permute_pixels=permute_pixels)
    monkeypatch.setattr(decoding, "MAX_MEMORY_BYTES", 10)
    streamed = get(folder, permute_pixels=permute_pixels)
    assert not streamed.train.pixels.in_memory
    rows = np.arange(len(held.train))
    np.testing.assert_array_equal(streamed.train.pixels.take(rows), held.train.pixels.take(rows))
    assert streamed.preprocess == held.preprocess
    assert streamed.fingerprint == held.fingerprint


def test_large_images_stream_and_can_be_pickled(folder, tmp_path, pack):
    for data in (folder, pack(folder, tmp_path / "set.zip")):
        pixels = get(data, image_size=96).train.pixels
        assert isinstance(pixels, FilePixels)
        copy = pickle.loads(pickle.dumps(pixels))
        np.testing.assert_array_equal(copy.take(np.array([3, 1])), pixels.take(np.array([3, 1])))


def test_a_file_lost_while_streaming_is_named(folder):
    train = get(folder, image_size=96).train
    (folder / train.paths[0]).unlink()
    with pytest.raises(DataError, match=r"could be decoded when the data was prepared, but not now"):
        train.pixels.take(np.array([0]))


def test_moments_of_streamed_images_come_from_a_seeded_sample(folder, monkeypatch):
    monkeypatch.setattr("striate.data.normalization.SAMPLED_IMAGES", 10)
    first = get(folder, image_size=96).preprocess
    monkeypatch.setenv("STRIATE_CACHE", str(folder.parent / "other-cache"))
    assert get(folder, image_size=96).preprocess == first


def test_progress_is_told(folder):
    calls = []
    prepare(DataConfig(data=str(folder)), progress=lambda *call: calls.append(call))
    assert {stage for stage, _, _ in calls} >= {"reading images", "decoding images"}
    for stage, done, total in calls:
        assert isinstance(stage, str)
        assert 0 < done <= total
    assert ("reading images", 60, 60) in calls


def test_odd_names_survive_the_whole_way(tmp_path, write_pictures, picture):
    root = write_pictures(tmp_path / "set", {"\u732b \U0001f408": 4, "<b>&\"'": 4})
    (root / "\u732b \U0001f408" / "two\nlines.png").write_bytes(picture(77))
    sets = get(root)
    assert sets.class_names == ("<b>&\"'", "\u732b \U0001f408")
    assert len(sets.samples) == 9


def test_warnings_of_the_decoder_do_not_leak(folder):
    image = Image.new("P", (8, 8))
    image.putpalette([10, 20, 30] * 2)
    image.save(folder / "a" / "odd.png", transparency=bytes([0, 128]))
    assert len(get(folder).quarantine) == 0  # warnings are errors here


def test_describe_counts_images_sizes_and_formats(folder, picture):
    (folder / "a" / "000.png").write_bytes(b"broken")
    (folder / "b" / "big.jpg").write_bytes(picture(1, size=(30, 10), format="JPEG"))
    found = describe(get(folder, fraction=0.5))
    assert found.counts.index.tolist() == ["a", "b", "c"]
    assert found.counts.columns.tolist() == ["train", "val", "test", "unused", "quarantined", "total"]
    assert found.counts["total"].tolist() == [20, 21, 20]
    assert found.counts.loc["a", "quarantined"] == 1
    assert found.counts["unused"].sum() > 0
    assert found.sizes.loc["width"].tolist() == [8, 8, 30]
    assert found.sizes.loc["height"].tolist() == [8, 8, 10]
    assert found.distinct_sizes == 2
    assert found.formats.values.tolist() == [["PNG", "RGB", 59], ["JPEG", "RGB", 1]]


def test_the_data_room_needs_no_torch():
    code = (
        "import sys; from striate.data import prepare; from striate.config import DataConfig; "
        "prepare(DataConfig(data='digits')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not here")
def test_coffee_leaf_is_read_as_its_read_me_says():
    sets = get(SHARED / "coffee-leaf.zip", image_size=96)
    assert sets.class_names == ("cercospora", "health", "miner", "phoma", "rust")
    assert (len(sets.train), len(sets.val), len(sets.test)) == (1905, 408, 409)
    assert len(sets.quarantine) == 0


def test_decode_module_is_what_streams_use(folder):
    sets = get(folder, image_size=96)
    content = (folder / sets.test.paths[0]).read_bytes()
    np.testing.assert_array_equal(
        sets.test.pixels.take(np.array([0]))[0], decode.pixels(content, sets.preprocess)
    )


@pytest.mark.parametrize("name", ["data.csv", "data.zip", "data"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="neither a folder"):
        get(tmp_path / name)


def test_choosing_no_class_is_refused(folder):
    with pytest.raises(DataError, match=r"names no class\. Known:"):
        get(folder, classes=())


def test_what_links_repeat_and_rows_without_a_split_are_told(folder, tmp_path):
    (folder / "link.png").symlink_to(next(folder.glob("*/*.png")))
    first = next(folder.glob("*/*.png"))
    (first.parent / "again.png").symlink_to(first)
    assert any("1 image(s) that links give a second place" in text for text in get(folder).messages)
    rows = [f"{path},{path.parent.name}," for path in sorted(folder.glob("*/[0-9]*.png"))]
    rows = [row + ("" if number % 4 == 3 else "train") for number, row in enumerate(rows)]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,label,split", *rows]))
    left = sum(1 for row in rows if row.endswith(","))
    assert any(f"Left out {left} row(s) that have no split" in text for text in get(table).messages)


def test_enlarged_arrays_are_resized_as_they_are_taken_and_give_the_same_pixels():
    array = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
    preprocess = Preprocess(channels=3, height=72, width=72, mean=(0.0,) * 3, std=(1.0,) * 3)
    lazy = ResizedPixels(array, preprocess, np.array([5, 0, 3]))
    assert not lazy.in_memory
    expected = resize_all(array[[5, 0, 3]], preprocess)
    np.testing.assert_array_equal(lazy.take(np.arange(3)), expected)
    np.testing.assert_array_equal(lazy.select([2]).take(np.array([0])), expected[2:])
    permuted = ResizedPixels(array, preprocess.model_copy(update={"permute_pixels": 1}), np.arange(6))
    assert not np.array_equal(permuted.take(np.array([5])), expected[:1])


def test_named_arrays_larger_than_memory_allows_are_not_resized_at_once():
    sets = prepare(DataConfig(data="digits", image_size=96))
    assert isinstance(sets.train.pixels, ResizedPixels)
    assert sets.train.pixels.take(np.array([0])).shape[2:] == (96, 96)


def test_groups_and_checksums_stand_beside_each_image():
    sets = prepare(DataConfig(data="digits"))
    assert sets.groups is None
    assert sets.facts["sha256"].str.fullmatch("[0-9a-f]{64}").all()
