"""Bundles whose parts do not fit their network are refused before anything is computed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import bundle
from striate.architectures import Spec, initial_weights
from striate.bundle import TrainingData
from striate.errors import BundleError, UserError
from striate.inference import load
from striate.schemas import Preprocess

SPEC = {
    "name": "tiny",
    "output": "logits",
    "layers": [
        {"conv2d": {"name": "conv1", "out_channels": 4, "kernel_size": 3}},
        {"batch_norm": {"name": "norm1"}},
        {"flatten": {"name": "flatten1"}},
        {"linear": {"name": "head", "out_features": "num_classes"}},
    ],
}
PREPROCESS = Preprocess(channels=1, height=5, width=5, mean=(0.5,), std=(0.5,))
CLASSES = ("a", "b", "c")


def make_weights() -> dict[str, np.ndarray]:
    return initial_weights(Spec.from_dict(SPEC), PREPROCESS.input_shape, len(CLASSES), seed=0)


def write(folder: Path, weights: dict[str, np.ndarray], **fields: Any) -> Path:
    known: dict[str, Any] = {
        "name": "tiny",
        "spec": SPEC,
        "class_names": CLASSES,
        "preprocess": PREPROCESS,
        "data": TrainingData(name="noise", fingerprint="0", samples=1),
    }
    bundle.write(folder, weights, **{**known, **fields})
    return folder


def test_run_folder_is_loaded_through_its_bundle(tmp_path: Path) -> None:
    write(tmp_path / "model", make_weights())
    assert load(tmp_path).record == load(str(tmp_path / "model")).record


def test_class_names_of_another_length_are_refused(tmp_path: Path) -> None:
    write(tmp_path, make_weights(), class_names=("a", "b", "c", "d"))
    with pytest.raises(BundleError, match=r"head\.weight is \(3, 36\); expected \(4, 36\)"):
        load(tmp_path)


def test_input_of_another_size_is_refused(tmp_path: Path) -> None:
    larger = PREPROCESS.model_copy(update={"height": 6})
    write(tmp_path, make_weights(), preprocess=larger)
    with pytest.raises(BundleError, match=r"head\.weight is"):
        load(tmp_path)


@pytest.mark.parametrize("change", ["missing", "extra", "dtype"])
def test_weights_of_another_network_are_refused(tmp_path: Path, change: str) -> None:
    weights = make_weights()
    if change == "missing":
        del weights["norm1.running_mean"]
    elif change == "extra":
        weights["tail.bias"] = np.zeros(3, np.float32)
    else:
        weights["head.bias"] = weights["head.bias"].astype(np.float64)
    write(tmp_path, weights)
    reason = {
        "missing": r"norm1\.running_mean is missing",
        "extra": r"it has no tail\.bias",
        "dtype": r"head\.bias is float64; expected float32",
    }
    with pytest.raises(BundleError, match=reason[change]):
        load(tmp_path)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"layers": "none"},
        {**SPEC, "layers": []},
        {**SPEC, "layers": [{"teleport": {}}]},
        {**SPEC, "output": "feelings"},
        {**SPEC, "layers": [{"conv2d": {"out_channels": 4, "kernel_size": 9}}, *SPEC["layers"][2:]]},  # type: ignore[misc]
        {**SPEC, "layers": [{"conv2d": {"out_channels": True, "kernel_size": [[1]]}}]},
    ],
)
def test_spec_that_cannot_work_is_refused(tmp_path: Path, spec: dict[str, Any]) -> None:
    write(tmp_path, make_weights(), spec=spec)
    with pytest.raises(BundleError, match="does not fit together"):
        load(tmp_path)


def test_giant_network_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    wide = {"linear": {"out_features": 10_000_000}}
    write(tmp_path, make_weights(), spec={**SPEC, "layers": [{"flatten": {}}, wide, wide, SPEC["layers"][3]]})  # type: ignore[index]
    with pytest.raises(BundleError, match="does not fit"):
        load(tmp_path)


HOSTILE = (None, True, -1, 10**30, 1e308, "", "x" * 1000, "\0", [], {}, [[[]]], {"a": {}}, ["relu"] * 50)


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a JSON value there is something that can be replaced."""
    inside = value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else [])
    for key, part in inside:
        yield (*place, key)
        yield from places_in(part, (*place, key))


def test_hostile_values_anywhere_are_refused_or_harmless(tmp_path: Path) -> None:
    write(tmp_path, make_weights())
    content = (tmp_path / bundle.RECORD_FILE).read_text("utf-8")
    refused = 0
    for number, place in enumerate(places_in(json.loads(content))):
        record = json.loads(content)
        part = record
        for key in place[:-1]:
            part = part[key]
        for hostile in HOSTILE[number % 3 :: 3]:
            part[place[-1]] = hostile
            (tmp_path / bundle.RECORD_FILE).write_text(json.dumps(record), "utf-8")
            try:
                load(tmp_path, device="cpu")
            except BundleError:
                refused += 1
    assert refused > 100


def test_unknown_device_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, make_weights())
    with pytest.raises(UserError, match="did you mean 'cuda'"):
        load(tmp_path, device="cudda")


def test_reading_bundles_and_importing_inference_leaves_torch_unloaded() -> None:
    code = "import sys, striate.bundle, striate.inference; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_documented_example_is_a_record_that_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "bundle.md").read_text("utf-8")
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    preprocess = Preprocess(**example["preprocess"])
    spec = Spec.from_dict(example["spec"])
    weights = initial_weights(spec, preprocess.input_shape, len(example["class_names"]), seed=0)
    written = bundle.write(
        tmp_path,
        weights,
        name=example["name"],
        spec=example["spec"],
        class_names=example["class_names"],
        preprocess=preprocess,
        data=TrainingData(**example["data"]),
        metrics=example["metrics"],
        versions=example["versions"],
    )
    assert spec.to_dict() == example["spec"]
    expected = {**example, "weights_sha256": written.weights_sha256, "created_by": written.created_by}
    assert written.model_dump(mode="json") == expected
    assert load(tmp_path).class_names == tuple(example["class_names"])
