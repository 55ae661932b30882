import shutil

import numpy as np
import pytest
from PIL import Image

from striate.config import DataConfig
from striate.data import decode_images, list_images, prepare, prepare_for, read_images
from striate.errors import DataError
from striate.schemas import Preprocess


@pytest.fixture
def split_folder(tmp_path, write_pictures):
    counts = {f"{split}/{label}": n for split, n in (("train", 5), ("val", 4), ("test", 3)) for label in "ab"}
    return write_pictures(tmp_path / "set", counts)


@pytest.fixture
def preprocess():
    return Preprocess(channels=3, height=8, width=8, mean=(0.0,) * 3, std=(1.0,) * 3)


def test_the_test_split_is_the_one_to_evaluate(split_folder, preprocess):
    found = prepare_for(str(split_folder), preprocess, ("a", "b"))
    assert found.split == "test"
    assert all(path.startswith("test/") for path in found.images.paths)
    assert len(found.images) == 6
    assert len(prepare_for(str(split_folder), preprocess, ("a", "b"), split="train").images) == 10


def test_val_serves_where_there_is_no_test(split_folder, preprocess):
    shutil.rmtree(split_folder / "test")
    found = prepare_for(str(split_folder), preprocess, ("a", "b"))
    assert found.split == "val"
    assert any("serves as the test" in message for message in found.messages)


def test_without_splits_all_images_are_used(split_folder, preprocess):
    found = prepare_for(str(split_folder / "train"), preprocess, ("a", "b"))
    assert (found.split, len(found.images)) == ("", 10)


def test_labels_follow_the_class_names_of_the_model(split_folder, preprocess):
    found = prepare_for(str(split_folder), preprocess, ("z", "b", "a"))
    expected = [{"a": 2, "b": 1}[path.split("/")[1]] for path in found.images.paths]
    assert found.images.labels.tolist() == expected


def test_classes_that_the_model_does_not_know_are_left_out_with_a_message(split_folder, preprocess):
    found = prepare_for(str(split_folder), preprocess, ("a", "other"))
    assert set(found.images.labels.tolist()) == {0}
    assert any("3 image(s) of class 'b', which the model does not know" in text for text in found.messages)


def test_no_known_class_is_an_error(split_folder, preprocess):
    with pytest.raises(DataError, match="no image of a class that the model knows"):
        prepare_for(str(split_folder), preprocess, ("x", "y"))


def test_an_absent_split_is_an_error_that_names_those_there(split_folder, preprocess):
    shutil.rmtree(split_folder / "val")
    with pytest.raises(DataError, match=r"no split 'val'; it has train, test"):
        prepare_for(str(split_folder), preprocess, ("a", "b"), split="val")


def test_images_are_decoded_as_in_training(split_folder):
    sets = prepare(DataConfig(data=str(split_folder), image_size=12, channels="grey", permute_pixels=4))
    found = prepare_for(str(split_folder), sets.preprocess, sets.class_names)
    rows = np.arange(6)
    np.testing.assert_array_equal(found.images.pixels.take(rows), sets.test.pixels.take(rows))
    files = [split_folder / path for path in sets.test.paths]
    np.testing.assert_array_equal(read_images(files, sets.preprocess), sets.test.pixels.take(rows))


def test_damaged_images_are_quarantined(split_folder, preprocess):
    (split_folder / "test" / "a" / "000.png").write_bytes(b"broken")
    found = prepare_for(str(split_folder), preprocess, ("a", "b"))
    assert len(found.images) == 5
    assert found.quarantine["path"].tolist() == ["test/a/000.png"]


def test_nothing_that_decodes_is_an_error(split_folder, preprocess):
    for path in (split_folder / "test").rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of the 6"):
        prepare_for(str(split_folder), preprocess, ("a", "b"))


def test_named_sets_can_be_evaluated():
    sets = prepare(DataConfig(data="digits"))
    found = prepare_for("digits", sets.preprocess, sets.class_names)
    assert len(found.images) == 1797


def test_paths_pictures_and_arrays_of_one_image_are_equal(tmp_path, preprocess):
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    image.save(tmp_path / "x.png")
    found = read_images([tmp_path / "x.png", str(tmp_path / "x.png"), image, array, array / 255], preprocess)
    assert found.shape == (5, 3, 8, 8)
    assert found.dtype == np.uint8
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_arrays_may_be_grey_or_have_one_or_four_channels(preprocess):
    grey = np.full((8, 8), 100, np.uint8)
    clear = np.zeros((8, 8, 4), np.uint8)
    found = read_images([grey, grey[:, :, None], grey / np.float32(255), clear], preprocess)
    assert (found[:3] == 100).all()
    assert (found[3] == 255).all()


@pytest.mark.parametrize(("bad", "reason"), [
    (np.zeros((8, 8, 2), np.uint8), "shape"),
    (np.zeros((0, 8, 3), np.uint8), "shape"),
    (np.zeros(8, np.uint8), "shape"),
    (np.full((8, 8), 2.0), "floats outside"),
    (np.full((8, 8), np.nan), "floats outside"),
    (np.zeros((8, 8), np.int64), "int64"),
])  # fmt: skip
def test_arrays_that_are_no_images_are_refused(bad, reason, preprocess):
    with pytest.raises(DataError, match=f"image number 1 cannot be used: .*{reason}"):
        read_images([np.zeros((8, 8), np.uint8), bad], preprocess)


def test_reading_names_the_bad_file(tmp_path, preprocess, picture):
    (tmp_path / "good.png").write_bytes(picture())
    (tmp_path / "bad.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"bad\.png' cannot be used: not a JPEG"):
        read_images([tmp_path / "good.png", tmp_path / "bad.png"], preprocess)


def test_decoding_collects_reasons(tmp_path, preprocess, picture):
    (tmp_path / "good.png").write_bytes(picture())
    items = [tmp_path / "none.png", tmp_path / "good.png", np.zeros((1, 1, 9), np.uint8)]
    found = decode_images(items, preprocess)
    assert found.kept.tolist() == [1]
    assert found.images.shape == (1, 3, 8, 8)
    assert set(found.reasons) == {0, 2}


def test_no_images_at_all_give_an_empty_array(preprocess):
    assert read_images([], preprocess).shape == (0, 3, 8, 8)


def test_listing_takes_files_as_they_are_and_folders_with_all_they_hold(tmp_path, write_pictures, picture):
    root = write_pictures(tmp_path / "set", {"b": 1, "a/deep": 2})
    (root / ".hidden.png").write_bytes(picture())
    (root / "notes.txt").write_text("x")
    single = tmp_path / "single.dat"
    single.write_bytes(picture())
    found, _ = list_images([single, root, str(root / "b" / "000.png")])
    assert found == [single, root / "a/deep/000.png", root / "a/deep/001.png", root / "b/000.png"]


@pytest.mark.parametrize("what", ["missing", "empty"])
def test_listing_nothing_is_an_error(tmp_path, what):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no such image or folder|no image in"):
        list_images([tmp_path / what])


@pytest.mark.parametrize(
    ("name", "way_out"), [("photos.zip", "Unpack it"), ("table.CSV", "Name their folder")]
)
def test_archives_and_tables_are_no_images(tmp_path, name, way_out):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=f"is no image.*{way_out}"):
        list_images([tmp_path / name])
