"""ONNX files of whole classifiers say what the classifier says, and are refused where they would not."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest

import striate
from striate import bundle, cli
from striate.architectures import Spec, initial_weights
from striate.bundle import TrainingData
from striate.errors import StriateError, UserError
from striate.inference import onnx_graph
from striate.schemas import OUTPUTS, Preprocess

ROUNDING = 1e-5
"""float32 logits of a small network; ONNX Runtime adds up in another order."""
TEMPERATURE = 1.7
ENDINGS = {
    "logits": ("num_classes", []),
    "log_probabilities": ("num_classes", ["log_softmax"]),
    "logit": (1, []),
    "probability": (1, ["sigmoid"]),
}


def write(folder, output="logits", channels=3, views="one", layers=(), **fields):
    """Write the bundle of a small network."""
    features, ending = ENDINGS[output]
    head = {"linear": {"name": "logits", "out_features": features}}  # called like an output of the file
    spec = Spec.from_dict(
        {
            "name": "tiny",
            "output": output,
            "layers": [
                {"conv2d": {"out_channels": 6, "kernel_size": 3, "stride": 2}},
                "batch_norm",
                *(layers or ["relu"]),
                "flatten",
                head,
                *ending,
            ],
        }
    )
    values = {"channels": channels, "height": 9, "width": 7, "views": views} | fields
    means, deviations = (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    preprocess = Preprocess(mean=means, std=deviations, **values)
    names = ("no", "yes") if features == 1 else ("a", "b", "c")
    bundle.write(
        folder,
        initial_weights(spec, preprocess.input_shape, len(names), seed=1),
        name="tiny",
        spec=spec.to_dict(),
        class_names=names,
        preprocess=preprocess,
        data=TrainingData(name="noise", fingerprint="0", samples=1),
        temperature=TEMPERATURE,
    )
    return folder


def images(count, channels=3):
    return np.random.default_rng(5).integers(0, 256, (count, 9, 7, channels), np.uint8)


def run(path, pixels):
    """What a program without Striate does: preprocessing by the metadata, then ONNX Runtime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    known = session.get_modelmeta().custom_metadata_map
    mean, std = (np.array(json.loads(known[key]), np.float32) for key in ("mean", "std"))
    inputs = ((pixels.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
    return session.run(["logits", "probabilities"], {"images": inputs})


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("views", onnx_graph.WRITABLE_VIEWS)
def test_the_file_says_what_the_classifier_says(tmp_path, output, views):
    model = write(tmp_path / "model", output, views=views)
    found = striate.export(model, tmp_path / "model.onnx", engine="numpy")
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    classifier = striate.load(model, engine="numpy")
    for count in (1, 5):
        logits, probabilities = run(tmp_path / "model.onnx", images(count))
        np.testing.assert_allclose(logits, classifier.predict_logits(images(count)), atol=ROUNDING)
        np.testing.assert_allclose(probabilities, classifier.predict_proba(images(count)), atol=ROUNDING)
    assert found.written_by == "striate"
    assert found.bytes == (tmp_path / "model.onnx").stat().st_size
    assert found.agreement.holds


@pytest.mark.parametrize("channels", [1, 3])
def test_the_metadata_says_what_must_be_known(tmp_path, channels):
    model = write(tmp_path / "model", channels=channels)
    striate.export(model, tmp_path / "model.onnx", engine="numpy")
    record = bundle.read_record(model)
    file = onnx.load(tmp_path / "model.onnx")
    known = {entry.key: entry.value for entry in file.metadata_props}
    texts = {key: known.pop(key) for key in ("name", "created_by", "channel_order", "weights_sha256")}
    assert texts["channel_order"] == ("grey" if channels == 1 else "RGB")
    assert (texts["name"], texts["weights_sha256"]) == ("tiny", record.weights_sha256)
    assert {key: json.loads(value) for key, value in known.items()} == {
        "format_version": onnx_graph.FORMAT_VERSION,
        "class_names": ["a", "b", "c"],
        "image_size": [9, 7],
        "mean": list(record.preprocess.mean),
        "std": list(record.preprocess.std),
        "temperature": TEMPERATURE,
        "preprocess": record.preprocess.model_dump(mode="json"),
    }
    shape = [dim.dim_value or dim.dim_param for dim in file.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["N", channels, 9, 7]


def test_permuted_pixels_are_part_of_the_preprocessing(tmp_path):
    striate.export(write(tmp_path / "model", permute_pixels=3), tmp_path / "model.onnx", engine="numpy")


@pytest.mark.slow
@pytest.mark.parametrize("views", onnx_graph.WRITABLE_VIEWS)
def test_layers_that_are_not_written_are_exported_by_torch(tmp_path, views):
    model = write(tmp_path / "model", layers=["gelu"], views=views)
    assert striate.export(model, tmp_path / "model.onnx").written_by == "torch"
    classifier = striate.load(model, "cpu")
    for count in (1, 3):
        _, probabilities = run(tmp_path / "model.onnx", images(count))
        np.testing.assert_allclose(probabilities, classifier.predict_proba(images(count)), atol=ROUNDING)


def test_layers_that_are_not_written_are_refused_without_torch(tmp_path):
    model = write(tmp_path / "model", layers=["gelu"])
    with pytest.raises(UserError, match=r"gelu cannot be written as ONNX\. .* choose --engine torch"):
        striate.export(model, tmp_path / "model.onnx", engine="numpy")


def test_what_torch_cannot_export_is_refused(tmp_path, monkeypatch):
    from striate.features import onnx_file

    def fail(*_):
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(onnx_file, "export", fail)
    model = write(tmp_path / "model", layers=["gelu"])
    with pytest.raises(
        UserError, match="tiny cannot be written as ONNX: torch's exporter says no such operator"
    ):
        striate.export(model, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_enlarged_corners_are_refused(tmp_path):
    with pytest.raises(UserError, match="averages its answer over crops, which is not written as ONNX"):
        striate.export(write(tmp_path / "model", views="crops"), tmp_path / "model.onnx", engine="numpy")


def test_a_file_that_gives_other_numbers_is_not_written(tmp_path, monkeypatch):
    model = write(tmp_path / "model")
    (tmp_path / "model.onnx").write_bytes(b"old")
    complete = onnx_graph.complete
    other = bundle.read_record(model).model_copy(update={"temperature": 5.0})
    monkeypatch.setattr(onnx_graph, "complete", lambda network, _, output: complete(network, other, output))
    with pytest.raises(StriateError, match=r"gives other numbers than tiny .* is not written"):
        striate.export(model, tmp_path / "model.onnx", engine="numpy")
    assert (tmp_path / "model.onnx").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "model.onnx"}


def test_a_file_that_onnx_runtime_cannot_read_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graph, "complete", lambda *_: b"torn")
    with pytest.raises(StriateError, match="ONNX Runtime cannot compute the file"):
        striate.export(write(tmp_path / "model"), tmp_path / "model.onnx", engine="numpy")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("name", ["model.pt", "model", "none/model.onnx"])
def test_other_files_are_refused_before_any_work(tmp_path, name):
    with pytest.raises(UserError, match="cannot write"):
        striate.export(tmp_path / "no-model", tmp_path / name)


def test_the_command_says_how_well_the_file_agrees(tmp_path, capsys):
    model = write(tmp_path / "model")
    command = ["export", str(model), "--out", str(tmp_path / "model.onnx"), "--engine", "numpy", "-q"]
    assert cli.run(command) == 0
    shown = capsys.readouterr().out
    assert "model.onnx: 3 x 9 x 7 -> 3 classes; on 4 random images its probabilities differ" in shown
    assert cli.run([*command, "--log", "json"], as_json=True) == 0
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert (result["path"], result["written_by"]) == (str(tmp_path / "model.onnx"), "striate")
    assert result["agreement"]["probabilities"] < ROUNDING
