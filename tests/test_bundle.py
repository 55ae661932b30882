"""A bundle comes back to the bit, and a bundle that is not whole is refused with the reason."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from striate import bundle, files
from striate.bundle import RECORD_FILE, WEIGHTS_FILE, BundleRecord, TrainingData
from striate.errors import BundleError, UserError
from striate.schemas import Preprocess

PREPROCESS = Preprocess(channels=3, height=8, width=6, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
DATA = TrainingData(name="leaves", fingerprint="f" * 64, samples=120)
SPEC = {"name": "tiny", "output": "logits", "layers": [{"conv2d": {"kernel_size": (3, 3)}}]}


def make_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "conv.weight": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "conv.bias": random.normal(size=4).astype(np.float32),
        "norm.num_batches_tracked": np.array(7, np.int64),
        "head.weight": random.normal(size=(3, 4)).astype(np.float64),
    }


def write(folder: Path, weights: dict[str, np.ndarray] | None = None, **fields: Any) -> BundleRecord:
    known: dict[str, Any] = {
        "name": "tiny",
        "spec": SPEC,
        "class_names": ("NA", "001", "rust & <b>scab</b>"),
        "preprocess": PREPROCESS,
        "data": DATA,
        "metrics": {"test": {"samples": 30, "accuracy": {"value": 0.9, "low": None}}},
    }
    return bundle.write(folder, make_weights() if weights is None else weights, **{**known, **fields})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, **fields: Any) -> None:
    """Overwrite fields of the record as another program might."""
    record = json.loads((folder / RECORD_FILE).read_text("utf-8"))
    (folder / RECORD_FILE).write_text(json.dumps({**record, **fields}), "utf-8")


def replace_weights(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Put other weights in place, with a checksum that fits them but the old key list."""
    content = safetensors.numpy.save(arrays)
    (folder / WEIGHTS_FILE).write_bytes(content)
    edit(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def keys_of(arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    return [{"name": n, "shape": list(a.shape), "dtype": a.dtype.name} for n, a in arrays.items()]


@pytest.mark.parametrize(("side", "batch_size"), [(8, 256), (128, 170), (224, 55), (4000, 1)])
def test_the_larger_images_are_the_fewer_are_computed_at_a_time(side: int, batch_size: int):
    assert PREPROCESS.model_copy(update={"height": side, "width": side}).batch_size == batch_size


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    written = write(tmp_path / "model", temperature=1.5, versions={"numpy": "2.4"})
    record, weights = bundle.read(tmp_path / "model")
    assert record == written
    assert record.class_names == ("NA", "001", "rust & <b>scab</b>")
    assert record.temperature == 1.5
    assert record.versions == {"numpy": "2.4"}
    assert list(weights) == list(make_weights())
    for name, expected in make_weights().items():
        assert weights[name].dtype == expected.dtype
        assert weights[name].shape == expected.shape
        assert weights[name].tobytes() == expected.tobytes()
        assert weights[name].flags.writeable


def test_tuples_in_the_spec_come_back_as_the_lists_that_json_has(folder: Path) -> None:
    assert bundle.read_record(folder).spec["layers"] == [{"conv2d": {"kernel_size": [3, 3]}}]


def test_same_content_gives_identical_files(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    for name in (RECORD_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_strided_and_shared_arrays_are_stored_whole(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    weights = {
        "turned": base.T,
        "part": base[1:3, ::2],
        "same": base,
        "again": base,
        "swapped": base.astype(">f4"),
    }
    write(tmp_path / "model", weights)
    _, read = bundle.read(tmp_path / "model")
    for name, expected in weights.items():
        np.testing.assert_array_equal(read[name], expected)
        assert read[name].flags.c_contiguous
    read["same"][:] = -1
    np.testing.assert_array_equal(read["again"], base)


def test_installed_versions_are_recorded(folder: Path) -> None:
    versions = bundle.read_record(folder).versions
    assert versions["numpy"] == np.__version__
    assert {"python", "torch", "safetensors"} <= set(versions)


def test_run_folder_stands_for_its_bundle(tmp_path: Path, folder: Path) -> None:
    assert bundle.find(tmp_path) == folder
    assert bundle.read(tmp_path)[0] == bundle.read(folder)[0]
    assert bundle.find(str(folder)) == folder


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".ckpt"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"net{suffix}").write_bytes(b"\x80\x02")
    with pytest.raises(BundleError, match=r"pickle.*can run any code"):
        bundle.read(tmp_path / f"net{suffix}")


def test_what_is_no_bundle_is_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BundleError, match="no such folder"):
        bundle.read(tmp_path / "absent")
    with pytest.raises(BundleError, match="holds no bundle"):
        bundle.read(tmp_path / "empty")
    with pytest.raises(BundleError, match="is not a bundle"):
        bundle.read(tmp_path / "notes.txt")
    with pytest.raises(BundleError, match="give its folder"):
        bundle.read(folder / RECORD_FILE)


@pytest.mark.parametrize("name", [RECORD_FILE, WEIGHTS_FILE])
def test_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"incomplete: {name} is missing"):
        bundle.read(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"not json", b"\xff\xfe{}", b'{"format_version": NaN}', b"[" * 100_000, b'{"a": "\\ud800"}'],
)
def test_broken_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / RECORD_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="not valid JSON"):
        bundle.read(folder)


def test_truncated_json_is_refused(folder: Path) -> None:
    content = (folder / RECORD_FILE).read_bytes()
    for length in range(0, len(content) - 2, 97):
        (folder / RECORD_FILE).write_bytes(content[:length])
        with pytest.raises(BundleError, match="not valid JSON"):
            bundle.read(folder)


def test_huge_json_is_refused_without_parsing(folder: Path) -> None:
    with (folder / RECORD_FILE).open("ab") as file:
        file.truncate(bundle.MAX_RECORD_BYTES + 1)
    with pytest.raises(BundleError, match="larger than 32 MiB"):
        bundle.read(folder)


def test_newer_format_is_refused_whatever_else_it_holds(folder: Path) -> None:
    edit(folder, format_version=2, backbone={"library": "timm"}, temperature="warm")
    with pytest.raises(
        BundleError, match=r"newer Striate \(format 2\); this one reads up to 1: update striate"
    ):
        bundle.read(folder)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None, [1]])
def test_unknown_format_is_refused(folder: Path, version: object) -> None:
    edit(folder, format_version=version)
    with pytest.raises(BundleError, match="format_version"):
        bundle.read(folder)


@pytest.mark.parametrize("content", [b"[]", b"3", b"{}", b'"text"', b"null"])
def test_json_of_something_else_is_refused(folder: Path, content: bytes) -> None:
    (folder / RECORD_FILE).write_bytes(content)
    with pytest.raises(BundleError, match="not a bundle's record"):
        bundle.read(folder)


PREPROCESS_JSON = PREPROCESS.model_dump(mode="json")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"surprise": 1}, "surprise"),
        ({"class_names": "abc"}, "class_names"),
        ({"class_names": ["a"]}, "class_names"),
        ({"class_names": ["a", 1]}, "class_names"),
        ({"class_names": ["a", ""]}, "class_names"),
        ({"class_names": ["a", "b", "a"]}, "'a' is named more than once"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": 1e-300}, "temperature"),
        ({"temperature": 1e308}, "temperature"),
        ({"temperature": "1.0"}, "temperature"),
        ({"weights_sha256": "../../etc"}, "weights_sha256"),
        ({"spec": []}, "spec"),
        ({"spec": {**SPEC, "output": "logit"}}, "tells 2 classes apart, not 3"),
        ({"data": {"name": "x", "fingerprint": "y", "samples": -1}}, "samples"),
        ({"data": {"name": "x", "fingerprint": "y"}}, "samples"),
        ({"versions": {"numpy": 2}}, "versions"),
        ({"keys": [{"name": "w", "shape": [-1], "dtype": "float32"}]}, "shape"),
        ({"keys": [{"name": "w", "shape": [1.5], "dtype": "float32"}]}, "shape"),
        ({"keys": [{"name": "w", "shape": [1], "dtype": "object"}]}, "dtype"),
        ({"keys": [{"name": "w", "shape": [1], "dtype": "float32"}] * 2}, "'w' is listed more than once"),
        ({"preprocess": {**PREPROCESS_JSON, "mean": [0.1]}}, "1 values of mean for 3 channels"),
        ({"preprocess": {**PREPROCESS_JSON, "std": [0.1] * 4}}, "4 values of std for 3 channels"),
        ({"preprocess": {**PREPROCESS_JSON, "std": [0.1, 0.1, 0.0]}}, "expected numbers from 1e-09"),
        ({"preprocess": {**PREPROCESS_JSON, "mean": [0.1, 0.1, 1e308]}}, "expected numbers from -1e"),
        ({"preprocess": {**PREPROCESS_JSON, "permute_pixels": -5}}, "permute_pixels"),
        ({"preprocess": {**PREPROCESS_JSON, "channels": 4}}, "channels"),
        ({"preprocess": {**PREPROCESS_JSON, "height": 0}}, "height"),
    ],
)
def test_record_that_does_not_fit_is_refused(folder: Path, fields: dict[str, Any], reason: str) -> None:
    edit(folder, **fields)
    with pytest.raises(BundleError, match=reason):
        bundle.read(folder)


@pytest.mark.parametrize(
    "field", ["spec", "class_names", "preprocess", "keys", "weights_sha256", "data", "name"]
)
def test_missing_field_is_refused(folder: Path, field: str) -> None:
    record = json.loads((folder / RECORD_FILE).read_text("utf-8"))
    del record[field]
    (folder / RECORD_FILE).write_text(json.dumps(record), "utf-8")
    reason = "expected either a spec or a backbone" if field == "spec" else f"{field}: Field required"
    with pytest.raises(BundleError, match=reason):
        bundle.read(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.7, 0.99])
def test_truncated_weights_are_refused(folder: Path, share: float) -> None:
    content = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match=r"truncated|damaged"):
        bundle.read(folder)


def test_any_flipped_byte_of_the_weights_is_refused(folder: Path) -> None:
    content = (folder / WEIGHTS_FILE).read_bytes()
    for position in range(0, len(content), 61):
        changed = bytearray(content)
        changed[position] ^= 0x10
        (folder / WEIGHTS_FILE).write_bytes(bytes(changed))
        with pytest.raises(BundleError, match="damaged"):
            bundle.read(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 700, b"\x80\x02pickle" * 100])
def test_weights_that_are_no_safetensors_are_refused_even_with_their_checksum(
    folder: Path, content: bytes
) -> None:
    (folder / WEIGHTS_FILE).write_bytes(content)
    edit(folder, weights_sha256=hashlib.sha256(content).hexdigest(), keys=[])
    with pytest.raises(BundleError, match="not a readable safetensors file"):
        bundle.read(folder)


def test_missing_key_is_refused(folder: Path) -> None:
    weights = make_weights()
    weights["padding"] = weights.pop("conv.bias")
    replace_weights(folder, weights)
    with pytest.raises(BundleError, match=r"lacks 'conv.bias'"):
        bundle.read(folder)


def test_extra_key_is_refused(folder: Path) -> None:
    replace_weights(folder, {**make_weights(), "stranger": np.zeros(2, np.float32)})
    with pytest.raises(BundleError, match="holds 'stranger'"):
        bundle.read(folder)


def test_swapped_shapes_are_refused(folder: Path) -> None:
    weights = make_weights()
    weights["head.weight"] = np.ascontiguousarray(weights["head.weight"].T)
    replace_weights(folder, weights)
    with pytest.raises(BundleError, match=r"'head.weight'.*\(4, 3\).*\(3, 4\)"):
        bundle.read(folder)


def test_other_dtype_is_refused(folder: Path) -> None:
    weights = make_weights()
    weights["norm.num_batches_tracked"] = weights["norm.num_batches_tracked"].astype(np.float64)
    replace_weights(folder, weights)
    with pytest.raises(BundleError, match=r"'norm.num_batches_tracked'.*float64.*int64"):
        bundle.read(folder)


def test_dtype_that_numpy_does_not_have_is_refused(folder: Path) -> None:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(4)
    (folder / WEIGHTS_FILE).write_bytes(content)
    edit(
        folder,
        weights_sha256=hashlib.sha256(content).hexdigest(),
        keys=keys_of({"w": np.zeros(2, np.float16)}),
    )
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        bundle.read(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_neither_read_nor_written(folder: Path, value: float) -> None:
    weights = make_weights()
    weights["conv.weight"][1, 2, 0, 0] = value
    replace_weights(folder, weights)
    with pytest.raises(BundleError, match=r"'conv.weight'.*NaN or infinity"):
        bundle.read(folder)
    with pytest.raises(BundleError, match=r"'conv.weight'.*NaN or infinity"):
        write(folder, weights)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"class_names": ("a", "a")}, "named more than once"),
        ({"class_names": ("a",)}, "class_names"),
        ({"temperature": float("nan")}, "temperature"),
        ({"metrics": {"test": {"loss": float("nan")}}}, "NaN"),
        ({"metrics": {"test": np.zeros(3)}}, "metrics"),
        ({"spec": {"output": "probability"}}, "one output"),
    ],
)
def test_fields_that_do_not_fit_are_not_written(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        write(tmp_path / "model", **fields)
    assert not (tmp_path / "model").exists()


def test_dtype_that_a_bundle_cannot_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="dtype"):
        write(tmp_path / "model", {"w": np.zeros(2, np.uint16)})


def test_rewriting_gives_the_new_bundle(folder: Path) -> None:
    weights = {name: array + 1 for name, array in make_weights().items()}
    write(folder, weights, class_names=("x", "y", "z"))
    record, read = bundle.read(folder)
    assert record.class_names == ("x", "y", "z")
    np.testing.assert_array_equal(read["conv.weight"], weights["conv.weight"])
    assert sorted(os.listdir(folder)) == [RECORD_FILE, WEIGHTS_FILE]


def test_full_disk_leaves_the_old_bundle_as_it_was(folder: Path) -> None:
    before = bundle.read(folder)[0]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = {"w": np.ones(100_000, np.float32)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot write"):
            write(folder, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert bundle.read(folder)[0] == before
    assert sorted(os.listdir(folder)) == [RECORD_FILE, WEIGHTS_FILE]


def test_failing_record_leaves_the_old_weights_in_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bundle.read(folder)[0]
    plain_write = files._write_synced

    def fail_on_record(path: Path, content: bytes) -> None:
        if content.startswith(b"{"):
            raise OSError(28, "No space left on device")
        plain_write(path, content)

    monkeypatch.setattr(files, "_write_synced", fail_on_record)
    with pytest.raises(UserError, match="No space left"):
        write(folder, {"w": np.ones(5, np.float32)})
    assert bundle.read(folder)[0] == before
    assert sorted(os.listdir(folder)) == [RECORD_FILE, WEIGHTS_FILE]


def test_new_weights_with_the_old_record_are_refused(folder: Path) -> None:
    """What a crash between the two renames leaves behind."""
    record = (folder / RECORD_FILE).read_bytes()
    write(folder, {name: array + 1 for name, array in make_weights().items()})
    (folder / RECORD_FILE).write_bytes(record)
    with pytest.raises(BundleError, match=r"belongs to another bundle\.json"):
        bundle.read(folder)


def test_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create the folder"):
        write(tmp_path / "file" / "model")


def test_amend_changes_the_record_and_leaves_the_weights(folder: Path) -> None:
    content = (folder / WEIGHTS_FILE).read_bytes()
    amended = bundle.amend(folder, temperature=2.5, metrics={"val": {"samples": 3}})
    assert bundle.read(folder)[0] == amended
    assert (amended.temperature, amended.metrics) == (2.5, {"val": {"samples": 3}})
    assert bundle.amend(folder, temperature=1.0).metrics == amended.metrics
    assert (folder / WEIGHTS_FILE).read_bytes() == content
    with pytest.raises(BundleError, match="temperature"):
        bundle.amend(folder, temperature=-1.0)
