import pytest

from striate.config import DataConfig
from striate.data import prepare
from striate.data.table import read_csv
from striate.errors import DataError


@pytest.fixture
def table(tmp_path, write_pictures):
    write_pictures(tmp_path, {"x": 6, "y": 6})

    def write(text, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def lines(*labels, header="image,label"):
    return "\n".join([header, *(f"{'xy'[i % 2]}/{i // 2:03d}.png,{label}" for i, label in enumerate(labels))])


def test_classes_may_be_called_like_missing_values(table):
    path = table(lines("NA", "None", "001", "NA", "None", "001", "nan", "nan"))
    sets = prepare(DataConfig(data=str(path)))
    assert sets.class_names == ("001", "NA", "None", "nan")
    assert sets.name == "table"


def test_splits_are_kept_and_synonyms_understood(table):
    labels = ["a,Training", "b,training", "a,TRAIN", "b,train", "a,test", "b,testing", "a,valid", "b,eval"]
    sets = prepare(DataConfig(data=str(table(lines(*labels, header="image,label,split")))))
    assert (len(sets.train), len(sets.val), len(sets.test)) == (4, 2, 2)


def test_a_byte_order_mark_and_windows_lines_are_accepted(table):
    path = table("\ufeff" + lines("a", "b", "a", "b").replace("\n", "\r\n"))
    assert {sample.label for sample in read_csv(path).samples} == {"a", "b"}


def test_columns_may_stand_in_any_order_with_others_between(table):
    path = table("id,label,image\n1,a,x/000.png\n2,b,y/000.png\n")
    assert [(s.path, s.label) for s in read_csv(path).samples] == [("x/000.png", "a"), ("y/000.png", "b")]


def test_absolute_paths_are_the_users_own(table, tmp_path):
    path = table(f"image,label\n{tmp_path}/x/000.png,a\ny/000.png,b\n")
    source = read_csv(path)
    assert all(source.reader.read(sample.path) for sample in source.samples)


@pytest.mark.parametrize("text", ["", "file,class\nx/000.png,a\n", "image\nx/000.png\n"])
def test_missing_columns_are_named_with_those_found(table, text):
    with pytest.raises(DataError, match=r"expected image, label.*found"):
        read_csv(table(text))


def test_missing_files_are_counted_and_the_first_named(table):
    path = table("image,label\nx/000.png,a\n" + "".join(f"gone/{i}.png,b\n" for i in range(7)))
    with pytest.raises(DataError, match=r"7 of the 8 files .* missing: 'gone/0.png', .*\.\.\."):
        read_csv(path)


@pytest.mark.parametrize(("row", "reason"), [
    ("x/001.png", "line 3 has 1 values"),
    ("x/001.png,", "line 3 has no label"),
    (",a", "line 3 has no image"),
    ("x/000.png,b", "twice.*lines 2 and 3"),
    ("./x/../x/000.png,b", "twice.*lines 2 and 3"),
])  # fmt: skip
def test_bad_rows_are_named_by_their_line(table, row, reason):
    with pytest.raises(DataError, match=reason):
        read_csv(table(f"image,label\nx/000.png,a\n{row}\n"))


def test_an_unknown_split_is_named(table):
    with pytest.raises(DataError, match="'holdout'"):
        read_csv(table("image,label,split\nx/000.png,a,holdout\n"))


def test_repeated_rows_count_once(table):
    source = read_csv(table("image,label\nx/000.png,a\nx/000.png,a\ny/000.png,b\n"))
    assert len(source.samples) == 2
    assert any("1 row(s)" in message for message in source.messages)


def test_rows_without_a_split_are_left_out_where_others_have_one(table):
    labels = ["a,train", "b,train", "a,train", "b,train", "a,test", "b,test", "a,"]
    sets = prepare(DataConfig(data=str(table(lines(*labels, header="image,label,split")))))
    row = sets.samples[sets.samples["path"] == "x/003.png"].iloc[0]
    assert (row["split"], row["note"]) == ("", "the table gives it no split")


@pytest.mark.parametrize("content", [b"image,label\n\xff\xfe\x00,a\n", b'image,label\n"x\0y",a\n'])
def test_what_is_no_utf8_table_is_refused(tmp_path, content):
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(DataError):
        read_csv(tmp_path / "bad.csv")


def test_files_that_do_not_decode_are_quarantined(table, tmp_path):
    (tmp_path / "x" / "000.png").write_bytes(b"broken")
    sets = prepare(DataConfig(data=str(table(lines("a", "b", "a", "b", "a", "b", "a", "b")))))
    assert sets.quarantine["path"].tolist() == ["x/000.png"]
    assert sets.quarantine["label"].tolist() == ["a"]


def test_spaces_around_labels_are_no_part_of_them(table):
    path = table(lines(" a", "b ", "a", "b").replace("image,label", "image, label"))
    assert {sample.label for sample in read_csv(path).samples} == {"a", "b"}


def test_quotes_after_a_space_spaces_and_empty_rows_are_no_matter(table):
    path = table('image,label\nx/000.png, "a, b"\n y/000.png ,c\n,\n  ,  \n')
    assert [(sample.path, sample.label) for sample in read_csv(path).samples] == [
        ("x/000.png", "a, b"),
        ("y/000.png", "c"),
    ]


def test_an_accent_written_in_two_ways_is_one_class(table):
    path = table(lines("\u00e9", "e\u0301", "\u00e9", "b", "e\u0301", "b", "b", "b"))
    assert {sample.label for sample in read_csv(path).samples} == {"\u00e9", "b"}
    chosen = prepare(DataConfig(data=str(path), classes=("e\u0301", "b")))
    assert chosen.class_names == ("b", "\u00e9")


def test_a_link_to_an_image_of_the_table_is_that_image_again(table, tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "x" / "000.png")
    source = read_csv(table("image,label,split\nx/000.png,a,test\ny/000.png,b,train\nlink.png,a,train\n"))
    assert [sample.path for sample in source.samples] == ["x/000.png", "y/000.png"]
    assert source.messages == ("Ignored 1 row(s) that name an image again.",)


def test_classes_with_commas_can_be_chosen(table):
    path = table(lines(*['"a,b"', '"c, d"', "a"] * 4))
    config = DataConfig(data=str(path), classes=("a", "b", "c", " d"))
    assert prepare(config).class_names == ("a,b", "c, d")
    assert prepare(DataConfig(data=str(path), classes=("a", "a", "b"))).class_names == ("a", "a,b")
    both = table(lines("a,b", "a", "b", *['"a,b"', "a", "b"] * 3).replace("png,a,b", "png,a"))
    assert prepare(DataConfig(data=str(both), classes=("a", "b"))).class_names == ("a", "b")
