import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from striate.config import DataConfig
from striate.data import cache, decode, prepare

ARRAYS = {"images": np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4), "words": np.array(["a", "bc"])}


def entries(folder, kind=""):
    return sorted((folder / "images").glob(f"{kind}*"))


def test_what_is_stored_is_loaded():
    assert cache.store("x", "k" * 64, ARRAYS) is None
    found = cache.load("x", "k" * 64)
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_an_absent_entry_is_none():
    assert cache.load("x", "nothing") is None


@pytest.mark.parametrize("damage", ["bit", "cut", "gone", "json", "foreign", "pickle", "empty"])
def test_damaged_and_foreign_entries_are_ignored_and_rewritten(own_cache, damage):
    cache.store("x", "k", ARRAYS)
    (folder,) = entries(own_cache)
    array, record = folder / "images.npy", folder / "entry.json"
    content = array.read_bytes()
    if damage == "bit":
        array.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        array.write_bytes(content[:-5])
    elif damage == "gone":
        array.unlink()
    elif damage == "json":
        record.write_text("{")
    elif damage == "foreign":
        record.write_text(json.dumps({"maker": "another program", "key": "k", "arrays": {}}))
    elif damage == "pickle":
        np.save(array, np.array([{}], object), allow_pickle=True)
    else:
        record.write_text("[]")
    assert cache.load("x", "k") is None
    assert cache.store("x", "k", ARRAYS) is None
    assert cache.load("x", "k") is not None
    assert entries(own_cache) == [folder]


def test_a_file_in_the_place_of_the_cache_is_a_message_and_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "cache"))
    message = cache.store("x", "k", ARRAYS)
    assert "not cached" in message
    sets = prepare(DataConfig(data="digits"))
    assert len(sets.train) > 1200


def test_without_a_cache_the_work_goes_on_with_a_message(tmp_path, monkeypatch, write_pictures):
    root = write_pictures(tmp_path / "set", {"a": 5, "b": 5})
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file"))
    sets = prepare(DataConfig(data=str(root)))
    assert len(sets.samples) == 10
    assert sum("not cached" in message for message in sets.messages) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_is_a_message_and_leaves_nothing_behind(own_cache):
    code = (
        "import resource, signal, numpy as np; from striate.data import cache\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "print(cache.store('x', 'k', {'images': np.zeros(100_000, np.uint8)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "not cached" in done.stdout
    assert entries(own_cache) == []
    assert not list((own_cache / "images").iterdir())


def _store_many(folder):
    os.environ["STRIATE_CACHE"] = folder
    for _ in range(30):
        cache.store("x", "k", ARRAYS)


def test_two_processes_at_once_leave_a_whole_entry(own_cache):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_store_many, args=(str(own_cache),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert cache.load("x", "k") is not None or cache.store("x", "k", ARRAYS) is None
    assert all(not path.name.startswith(".writing") for path in (own_cache / "images").iterdir())


def test_the_place_of_the_cache_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "one"))
    assert cache.cache_folder() == tmp_path / "one"
    monkeypatch.delenv("STRIATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    assert cache.cache_folder() == tmp_path / "two" / "striate"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "striate"


@pytest.fixture
def folder(tmp_path, write_pictures):
    root = write_pictures(tmp_path / "set", {"a": 6, "b": 6}, size=(70, 70))
    (root / "a" / "bad.png").write_bytes(b"broken")
    return root


@pytest.fixture
def decodes(monkeypatch):
    """Counts the images that are decoded."""
    count = []
    load = decode.load
    monkeypatch.setattr(decode, "load", lambda *args: count.append(1) or load(*args))
    return count


@pytest.mark.parametrize("packed", [False, True])
def test_the_second_time_nothing_is_decoded_and_everything_is_equal(folder, tmp_path, pack, decodes, packed):
    data = str(pack(folder, tmp_path / "set.zip") if packed else folder)
    first = prepare(DataConfig(data=data))
    decodes.clear()
    second = prepare(DataConfig(data=data, seed=0))
    assert not decodes
    assert first.samples.equals(second.samples)
    assert first.quarantine.equals(second.quarantine)
    assert first.facts.equals(second.facts)
    assert first.fingerprint == second.fingerprint
    assert first.preprocess == second.preprocess
    rows = np.arange(len(first.train))
    np.testing.assert_array_equal(first.train.pixels.take(rows), second.train.pixels.take(rows))


def test_other_seeds_and_fractions_use_the_same_entry(folder, decodes):
    prepare(DataConfig(data=str(folder)))
    decodes.clear()
    prepare(DataConfig(data=str(folder), seed=5))
    prepare(DataConfig(data=str(folder), fraction=0.5))
    assert not decodes


@pytest.mark.parametrize("settings", [{"image_size": 20}, {"fit": "crop"}, {"channels": "grey"}])
def test_other_decode_settings_are_other_entries(folder, own_cache, settings):
    prepare(DataConfig(data=str(folder)))
    prepare(DataConfig(data=str(folder), **settings))
    assert len(entries(own_cache, "pixels")) == 2


def test_a_changed_file_is_decoded_anew(folder, picture):
    prepare(DataConfig(data=str(folder)))
    path = folder / "a" / "000.png"
    before = path.stat()
    path.write_bytes(picture(999, size=(70, 70)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    warm = prepare(DataConfig(data=str(folder)))
    os.environ["STRIATE_CACHE"] += "-other"
    cold = prepare(DataConfig(data=str(folder)))
    assert warm.fingerprint == cold.fingerprint
    for part, other in ((warm.train, cold.train), (warm.val, cold.val), (warm.test, cold.test)):
        rows = np.arange(len(part))
        np.testing.assert_array_equal(part.pixels.take(rows), other.pixels.take(rows))


def test_a_repaired_file_leaves_quarantine(folder, picture):
    assert len(prepare(DataConfig(data=str(folder))).quarantine) == 1
    (folder / "a" / "bad.png").write_bytes(picture(5, size=(70, 70)))
    assert len(prepare(DataConfig(data=str(folder))).quarantine) == 0


def test_what_killed_processes_left_is_swept(own_cache):
    left = own_cache / "images" / ".writing-abc"
    left.mkdir(parents=True)
    cache.store("x", "k", ARRAYS)
    assert left.exists()
    os.utime(left, (0, 0))
    cache.store("x", "k", ARRAYS)
    assert not left.exists()


def test_a_sweep_stands_another_processs_sweep(own_cache, monkeypatch):
    left = own_cache / "images" / ".writing-abc"
    left.mkdir(parents=True)
    stat = Path.stat

    def swept(path, **options):
        if path == left and left in left.parent.iterdir():
            left.rmdir()
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", swept)
    assert cache.store("x", "k", ARRAYS) is None
    assert cache.load("x", "k") is not None
