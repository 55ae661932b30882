import pickle
import stat
import threading
import zipfile

import pytest

from striate.config import DataConfig
from striate.data import archives, prepare
from striate.data.archives import ZipReader, read_archive
from striate.data.decode import Undecodable
from striate.errors import DataError


@pytest.fixture
def archive(tmp_path, write_pictures, pack):
    folder = write_pictures(tmp_path / "set", {"train/a": 3, "train/b": 3, "test/a": 2, "test/b": 2})
    return pack(folder, tmp_path / "set.zip")


def test_a_zip_gives_what_its_folder_gives(archive, tmp_path):
    packed = prepare(DataConfig(data=str(archive)))
    plain = prepare(DataConfig(data=str(tmp_path / "set")))
    assert packed.samples.equals(plain.samples)
    assert packed.fingerprint == plain.fingerprint
    assert packed.name == plain.name == "set"
    everything = range(len(packed.train))
    assert (packed.train.pixels.take(everything) == plain.train.pixels.take(everything)).all()


def test_nothing_is_unpacked(archive, tmp_path, own_cache):
    before = set(tmp_path.rglob("*"))
    prepare(DataConfig(data=str(archive)))
    assert set(tmp_path.rglob("*")) == before
    assert not list(own_cache.rglob("*.png"))


def member(name, mode=0, **fields):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for field, value in fields.items():
        setattr(info, field, value)
    return info


@pytest.mark.parametrize(("name", "reason"), [
    ("../escape.png", "out of the archive"),
    ("train/a/../../../escape.png", "out of the archive"),
    ("/etc/escape.png", "absolute"),
    ("C:/escape.png", "absolute"),
    ("train\\a\\escape.png", "backslash"),
])  # fmt: skip
def test_paths_that_lead_out_are_refused(archive, name, reason, picture):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, picture())
    with pytest.raises(DataError, match=reason):
        read_archive(archive)


def test_a_nul_in_a_name_is_refused(archive, picture):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("train/a/evil.pngXtxt", picture())
    archive.write_bytes(archive.read_bytes().replace(b"evil.pngXtxt", b"evil.png\0txt"))
    with pytest.raises(DataError, match="NUL"):
        read_archive(archive)


@pytest.mark.parametrize(("kind", "reason"), [
    (stat.S_IFLNK, "link"), (stat.S_IFCHR, "device"), (stat.S_IFBLK, "device"), (stat.S_IFIFO, "special"),
])  # fmt: skip
def test_links_and_devices_are_refused(archive, kind, reason):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(member("train/a/odd.png", kind | 0o644), b"/etc/passwd")
    with pytest.raises(DataError, match=reason):
        read_archive(archive)


def test_encrypted_members_are_refused(archive):
    members = [member("a/1.png", flag_bits=0x1, file_size=10, compress_size=10)]
    with pytest.raises(DataError, match="encrypted"):
        archives.refuse_unsafe(members, 1000, "x.zip")


@pytest.mark.parametrize(("count", "size", "packed", "reason"), [
    (1, 300 * 2**20, 290 * 2**20, "256 are read"),
    (1, 50 * 2**20, 50_000, "bombs"),
    (300, 250 * 2**20, 200 * 2**20, "64 GB"),
    (3, 1000, 900, "overlap"),
])  # fmt: skip
def test_bombs_are_refused_before_anything_is_read(count, size, packed, reason):
    members = [member(f"a/{index}.png", file_size=size, compress_size=packed) for index in range(count)]
    archive_bytes = 2000 if reason == "overlap" else 2**40
    with pytest.raises(DataError, match=reason):
        archives.refuse_unsafe(members, archive_bytes, "x.zip")


def test_too_many_members_are_refused(monkeypatch, archive):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="more than 5"):
        read_archive(archive)


def test_a_real_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1.png", bytes(20 * 2**20))
    with pytest.raises(DataError, match="bombs"):
        read_archive(path)


def test_a_member_larger_than_it_claims_is_not_read(archive):
    content = archive.read_bytes()
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo("train/a/000.png")
    size = info.file_size.to_bytes(4, "little")
    archive.write_bytes(content.replace(size, (info.file_size // 2).to_bytes(4, "little")))
    with pytest.raises(Undecodable):
        ZipReader(str(archive)).read("train/a/000.png")


@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_a_damaged_zip_is_an_error_that_says_so(archive, damage):
    content = {"empty": b"", "text": b"no zip", "cut": archive.read_bytes()[:-30]}[damage]
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged or not a zip"):
        read_archive(archive)


def test_one_damaged_member_is_quarantined(archive):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        offset = file.getinfo("train/a/000.png").header_offset
    for place in range(offset + 60, offset + 100):
        content[place] ^= 0xFF
    archive.write_bytes(content)
    sets = prepare(DataConfig(data=str(archive)))
    assert sets.quarantine.values.tolist()[0][:3] == ["train/a/000.png", "a", "train"]
    assert "damaged in the archive" in sets.quarantine["reason"][0]
    assert "train/a/000.png" not in set(sets.samples["path"])


def test_system_folders_of_archives_are_ignored(archive, picture):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("__MACOSX/train/a/._000.png", b"resource fork")
        file.writestr("train/a/.DS_Store", b"x")
    source = read_archive(archive)
    assert len(source.samples) == 10
    assert any("2 hidden" in message for message in source.messages)


def test_threads_and_pickled_copies_read_the_same(archive):
    reader = ZipReader(str(archive))
    names = [sample.path for sample in read_archive(archive).samples] * 20
    expected = {name: reader.read(name) for name in set(names)}
    found = []

    def read_all():
        found.extend(reader.read(name) == expected[name] for name in names)

    threads = [threading.Thread(target=read_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 * len(names)
    assert all(found)
    copy = pickle.loads(pickle.dumps(reader))
    assert all(copy.read(name) == content for name, content in expected.items())


def test_names_may_begin_with_the_folder_itself(tmp_path, picture):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("./a/0.png", "./b/0.png", "./.hidden/0.png"):
            archive.writestr(name, picture())
    source = read_archive(path)
    assert [(sample.path, sample.label) for sample in source.samples] == [
        ("./a/0.png", "a"),
        ("./b/0.png", "b"),
    ]
    assert source.reader.read("./a/0.png") == picture()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_stand_twice_are_told_and_the_last_counts(tmp_path, picture):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(("a/0.png", "a/0.png", "b/0.png")):
            archive.writestr(name, picture(number))
    source = read_archive(path)
    assert len(source.samples) == 2
    assert source.reader.read("a/0.png") == picture(1)
    assert source.messages == ("Ignored 1 file(s) whose name a later one in the archive has as well.",)
