import pytest

from striate.architectures import Spec, load_spec, option_names
from striate.errors import SpecError

TINY = """
layers:
  - flatten
  - linear: {out_features: num_classes}
"""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stride-cnn", {"batch_norm": "true"}, {"batch_norm": True}),
        ("stride-cnn", {"batch_norm": "off", "dropout": "0.5"}, {"dropout": 0.5}),
        ("fc-net", {"hidden": "1000", "activation": "relu"}, {"hidden": 1000, "activation": "relu"}),
        ("simple-cnn", {"hidden": 12.0}, {"hidden": 12}),
        ("cats-cnn", {"dropout": 0}, {}),
    ],
)
def test_options_are_converted_to_the_type_of_their_default(name, text, value):
    assert load_spec(name, text) == load_spec(name, value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("custm-cnn", {}, "unknown model 'custm-cnn': did you mean 'custom-cnn'"),
        ("simple-cnn", {"hiden": 3}, "unknown option of simple-cnn 'hiden': did you mean 'hidden'"),
        ("vgg6", {"width": 3}, "vgg6 has no options"),
        ("fc-net", {"activation": "sigmoit"}, "'sigmoit': did you mean 'sigmoid'"),
        ("simple-cnn", {"hidden": "many"}, "option hidden of simple-cnn is 'many'; expected a whole number"),
        ("simple-cnn", {"hidden": "2.5"}, "expected a whole number"),
        ("simple-cnn", {"hidden": 2.5}, "expected a whole number"),
        ("simple-cnn", {"hidden": True}, "expected a whole number"),
        ("simple-cnn", {"hidden": 0}, "out_channels is 0"),
        ("simple-cnn", {"hidden": -4}, "from 0 to"),
        ("simple-cnn", {"hidden": None}, "expected a whole number"),
        ("cats-cnn", {"dropout": "nan"}, "expected a number from 0"),
        ("cats-cnn", {"dropout": "1e999"}, "expected a number from 0"),
        ("cats-cnn", {"dropout": 1.5}, "dropout: p is 1.5; expected a number from 0"),
        ("cats-cnn", {"dropout": "true"}, "expected a number"),
        ("stride-cnn", {"batch_norm": "maybe"}, "expected true or false"),
        ("fc-net", {"activation": "relu"}, "activation of fc-net needs hidden units"),
        ("x" * 5_000, {}, "unknown model"),
        ("null\0.yaml", {}, "cannot read"),
        ("gray-cnn", {"head": ["average"]}, "unknown value for option head of gray-cnn"),
    ],
)
def test_impossible_names_and_options_are_refused(name, options, message):
    with pytest.raises(SpecError, match=message):
        load_spec(name, options)


def test_defaults_are_listed():
    assert option_names("gray-cnn") == {"head": "flatten"}
    assert option_names("vgg6") == {}


def test_yaml_file_works_where_a_name_does(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(TINY)
    spec = load_spec(str(path))
    assert spec == load_spec(path) == Spec.from_yaml(TINY, name="own")
    assert spec.name == "own"


def test_file_without_suffix_is_read_and_zoo_name_wins_over_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").write_text(TINY)
    (tmp_path / "vgg6").write_text(TINY)
    assert len(load_spec("own").layers) == 2
    assert len(load_spec("vgg6").layers) > 2


def test_files_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(SpecError, match=r"cannot read .*none.yaml"):
        load_spec(str(tmp_path / "none.yaml"))
    with pytest.raises(SpecError, match="cannot read"):
        load_spec(str(_folder(tmp_path / "folder.yml")))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SpecError, match="UTF-8"):
        load_spec(str(binary))
    good = tmp_path / "good.yaml"
    good.write_text(TINY)
    with pytest.raises(SpecError, match=r"takes no options, got width"):
        load_spec(str(good), {"width": 3})
    bad = tmp_path / "bad.yaml"
    bad.write_text("layers: [flaten]")
    with pytest.raises(SpecError, match=r"bad.yaml: layers, layer 1: .*did you mean 'flatten'"):
        load_spec(str(bad))


def _folder(path):
    path.mkdir()
    return path
