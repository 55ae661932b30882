import os
import sys

import pytest

from striate.data.folders import read_folder
from striate.data.layout import arrange
from striate.errors import DataError


def rows(source):
    return [(sample.path, sample.label, sample.split) for sample in source.samples]


@pytest.mark.parametrize("name", ["train", "training", "TRAIN", "Training"])
@pytest.mark.parametrize("other", ["val", "valid", "validation", "eval", "Evaluation"])
def test_split_folders_have_many_names(name, other):
    layout = arrange([f"{name}/a/1.png", f"{other}/a/2.png", "Testing/a/3.png"], [], "x")
    assert {sample.path: sample.split for sample in layout.samples} == {
        f"{name}/a/1.png": "train",
        f"{other}/a/2.png": "val",
        "Testing/a/3.png": "test",
    }


def test_class_folders_alone_give_no_split(tmp_path, write_pictures):
    source = read_folder(write_pictures(tmp_path, {"b": 2, "a": 1}))
    assert rows(source) == [("a/000.png", "a", ""), ("b/000.png", "b", ""), ("b/001.png", "b", "")]
    assert source.splits == ()


def test_images_deeper_in_a_class_folder_belong_to_the_class():
    layout = arrange(["a/x/y/1.jpg", "a/2.JPG", "b/test/3.jpeg"], [], "x")
    assert [(sample.path, sample.label) for sample in layout.samples] == [
        ("a/2.JPG", "a"),
        ("a/x/y/1.jpg", "a"),
        ("b/test/3.jpeg", "b"),
    ]


@pytest.mark.parametrize("wrapper", ["set", "set/inner"])
def test_a_single_wrapping_folder_is_stepped_into(wrapper):
    layout = arrange([f"{wrapper}/train/a/1.png", f"{wrapper}/test/b/1.png"], [f"{wrapper}/train/c"], "x")
    assert [(sample.label, sample.split) for sample in layout.samples] == [("b", "test"), ("a", "train")]
    assert layout.classes == {"train": ("a", "c"), "test": ("b",)}


def test_a_lone_train_folder_is_a_split_and_no_wrapper():
    layout = arrange(["train/a/1.png", "train/b/1.png"], [], "x")
    assert set(layout.classes) == {"train"}


def test_splits_may_lie_within_the_classes():
    layout = arrange(["cat/train/1.png", "cat/test/2.png", "dog/Training/x/3.png", "dog/test/4.png"], [], "x")
    assert [(sample.path, sample.label, sample.split) for sample in layout.samples] == [
        ("cat/test/2.png", "cat", "test"),
        ("cat/train/1.png", "cat", "train"),
        ("dog/Training/x/3.png", "dog", "train"),
        ("dog/test/4.png", "dog", "test"),
    ]
    assert layout.classes == {"test": ("cat", "dog"), "train": ("cat", "dog")}


@pytest.mark.parametrize("more", ["cat/5.png", "cat/other/5.png", "bird/5.png", "cat/training/5.png"])
def test_splits_are_within_the_classes_only_where_all_images_have_one(more):
    files = ["cat/train/1.png", "cat/test/2.png", "dog/train/3.png", "dog/test/4.png", more]
    assert {sample.split for sample in arrange(files, [], "x").samples} == {""}


def test_a_class_may_be_called_test():
    layout = arrange(["test/1.png", "control/2.png"], [], "x")
    assert layout.classes == {"": ("control", "test")}


def test_split_folders_without_class_folders_are_refused():
    with pytest.raises(DataError, match="hold no class folders"):
        arrange(["train/1.png", "test/2.png"], [], "x")


def test_two_folders_for_one_split_are_refused():
    with pytest.raises(DataError, match=r"'val' and 'valid'|'valid' and 'val'"):
        arrange(["train/a/1.png", "val/a/2.png", "valid/a/3.png"], [], "x")


def test_folders_beside_the_split_folders_are_ignored_with_a_message():
    layout = arrange(["train/a/1.png", "test/a/1.png", "docs/a/1.png", "val/unsorted.png"], [], "x")
    assert {sample.split for sample in layout.samples} == {"train", "test"}
    assert any("'docs'" in message for message in layout.messages)
    assert any("'val'" in message and "1 image(s)" in message for message in layout.messages)


def test_hidden_files_and_non_images_are_counted():
    files = ["a/1.png", "b/1.png", "a/.hidden.png", ".git/x.png", "__MACOSX/a/1.png", "a/notes.txt", "README"]
    layout = arrange(files, [], "x")
    assert len(layout.samples) == 2
    assert "Ignored 3 hidden file(s) and 2 file(s) that are not images." in layout.messages


def test_images_outside_class_folders_are_counted():
    layout = arrange(["a/1.png", "b/1.png", "stray.png"], [], "x")
    assert any("1 image(s) that lie in no class folder" in message for message in layout.messages)


def test_accents_written_in_two_ways_are_one_class():
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    layout = arrange([f"train/{composed}/1.png", f"test/{decomposed}/1.png"], [], "x")
    assert {sample.label for sample in layout.samples} == {composed}


@pytest.mark.parametrize("files", [[], ["1.png", "2.png"], ["notes.txt"]])
def test_no_class_folders_is_an_error_that_shows_the_layout(files):
    with pytest.raises(DataError, match=r"no class folders: expected <class>/image"):
        arrange(files, [], "x")


def test_empty_class_folders_are_known(tmp_path, write_pictures):
    source = read_folder(write_pictures(tmp_path, {"a": 1, "b": 1, "empty": 0}))
    assert source.classes == {"": ("a", "b", "empty")}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_loops_of_links_end(tmp_path, write_pictures):
    root = write_pictures(tmp_path / "data", {"a": 1, "b": 1})
    (root / "a" / "loop").symlink_to(root, target_is_directory=True)
    (root / "a" / "self").symlink_to(root / "a", target_is_directory=True)
    (root / "b" / "up").symlink_to("..", target_is_directory=True)
    assert [row[:2] for row in rows(read_folder(root))] == [("a/000.png", "a"), ("b/000.png", "b")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_file_linked_into_two_splits_is_used_once(tmp_path, write_pictures):
    root = write_pictures(tmp_path / "data", {"train/a": 2, "train/b": 1, "test/a": 0, "test/b": 1})
    (root / "test" / "a" / "link.png").symlink_to(root / "train" / "a" / "000.png")
    used = [sample.path for sample in read_folder(root).samples if not sample.note]
    assert "test/a/link.png" in used
    assert "train/a/000.png" not in used


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_to_pictures_elsewhere_are_followed(tmp_path, write_pictures):
    store = write_pictures(tmp_path / "store", {"a": 2})
    root = write_pictures(tmp_path / "data", {"b": 1})
    (root / "a").symlink_to(store / "a", target_is_directory=True)
    assert [sample.label for sample in read_folder(root).samples] == ["a", "a", "b"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_does_not_hang(tmp_path, write_pictures):
    root = write_pictures(tmp_path, {"a": 1, "b": 1})
    os.mkfifo(root / "a" / "pipe.png")
    assert len(read_folder(root).samples) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_names_that_are_no_text_are_quarantined(tmp_path, write_pictures, picture):
    root = write_pictures(tmp_path, {"a": 1, "b": 1})
    (root / "a" / os.fsdecode(b"\xff\xfe.png")).write_bytes(picture())
    source = read_folder(root)
    assert len(source.samples) == 2
    ((path, label, _, reason),) = source.quarantine
    assert path.encode() == b"a/\\udcff\\udcfe.png"
    assert label == "a"
    assert "UTF-8" in reason


def test_odd_names_are_read(tmp_path, write_pictures, picture):
    root = write_pictures(tmp_path, {'it\'s "a"\nclass': 0, "b": 1})
    for name in ("line\nbreak.png", "quote'\".png", "x" * 200 + ".png", "\u732b.png", "a,b;c.png"):
        (root / 'it\'s "a"\nclass' / name).write_bytes(picture())
    source = read_folder(root)
    assert len(source.samples) == 6
    for sample in source.samples:
        assert source.reader.read(sample.path)
