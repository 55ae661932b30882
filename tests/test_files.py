import os
import resource
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest

from striate import files
from striate.errors import UserError


@contextmanager
def small_disk():
    """Files may grow to 4096 bytes only, as on a disk that is nearly full.

    A context and not a fixture: pytest prints between a test and the end of its fixtures,
    and where that goes to a file, the limit would end pytest itself.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_write_bytes_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["weights.bin"]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    with small_disk(), pytest.raises(UserError, match=r"cannot write .*weights\.bin: File too large"):
        files.write_bytes(path, bytes(10_000))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["weights.bin"]


def test_files_that_belong_together_are_all_written_or_none(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")
    with small_disk(), pytest.raises(UserError, match="cannot write"):
        files.write_several({first: b"new", second: bytes(10_000)})
    assert first.read_bytes() == b"old"
    assert not second.exists()


def test_a_link_in_an_output_folder_leads_nothing_out_of_it(tmp_path):
    (tmp_path / "run").mkdir()
    outside, link = tmp_path / "outside", tmp_path / "run" / "report.html"
    outside.write_bytes(b"old")
    link.symlink_to(outside)
    files.write_bytes(link, b"new")
    assert outside.read_bytes() == b"old"
    assert link.read_bytes() == b"new"


def test_links_that_are_named_are_followed_and_stay(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("there", "not-yet"):
        target, link = tmp_path / "elsewhere" / name, tmp_path / f"to-{name}"
        if name == "there":
            target.write_bytes(b"old")
        link.symlink_to(target)
        files.write_bytes(files.named_file(link), b"new")
        assert link.is_symlink()
        assert target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["not-yet", "there"]


def test_what_is_no_file_is_never_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-pipe").symlink_to("pipe")
    for name in ("folder", "loop", "pipe", "to-pipe"):
        with pytest.raises(UserError, match=rf"cannot write .*{name}: it is (a folder|no ordinary file)\."):
            files.write_several({tmp_path / "fine": b"new", tmp_path / name: b"new"})
    with pytest.raises(UserError, match="no ordinary file"):
        files.write_bytes(Path(os.devnull), b"new")
    assert sorted(os.listdir(tmp_path)) == ["folder", "loop", "pipe", "to-pipe"]


def test_written_files_have_the_permissions_of_ordinary_files(tmp_path):
    ordinary, written = tmp_path / "ordinary", tmp_path / "written"
    ordinary.write_bytes(b"")
    files.write_bytes(written, b"")
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_missing_folder_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match="No such file or directory"):
        files.write_text(tmp_path / "none" / "file.txt", "text")


def test_write_json_refuses_numbers_that_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_make_folder_refuses_a_file_in_its_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create the folder"):
        files.make_folder(tmp_path / "file" / "folder")


def test_a_copy_takes_no_name_that_is_taken(tmp_path):
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    (tmp_path / "dangling").symlink_to(tmp_path / "none")
    assert not files.copy_new(tmp_path / "a", tmp_path / "b")
    assert not files.copy_new(tmp_path / "a", tmp_path / "dangling")
    assert files.copy_new(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "b").read_text() == "old"
    assert (tmp_path / "c").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c", "dangling"}


def test_a_copy_is_made_without_hard_links_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("new")
    assert files.copy_new(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_copy_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_text("new")
    monkeypatch.setattr(files.shutil, "copyfileobj", full)
    with pytest.raises(UserError, match="No space left on device"):
        files.copy_new(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
