"""The tables of `docs/` say what the code says."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
import torch
import yaml

import documents
import striate
from documents import quoted, table
from striate import schemas
from striate.architectures import Spec, build, infer_shapes, load_spec, names, option_names, summarize
from striate.architectures.kinds import KINDS
from striate.architectures.zoo import NETS
from striate.config import DataConfig, TrainConfig
from striate.data import NAMES, splits
from striate.data.augment import PRESETS
from striate.data.augment.trivial import MAGNITUDES
from striate.data.decode import EXTENSIONS
from striate.data.layout import SPLIT_NAMES
from striate.engine.algorithms import ALGORITHMS
from striate.errors import SpecError
from striate.evaluation import compute_metrics
from striate.training.loss_choice import FITTING
from striate.training.optimizers import build_optimizer

NETWORKS = "docs/networks.md"
DATA = "docs/data.md"
TRAINING = "docs/training.md"
RUNS = "docs/runs.md"
METRICS = "docs/metrics.md"
CONVOLUTION = "docs/convolution.md"


def as_yaml(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True).partition("\n")[0]


# Networks


def test_zoo_table_is_what_summary_says():
    rows = {quoted(row[0])[0]: row[2:] for row in table(NETWORKS, "The zoo")}
    assert list(rows) == names()
    for name, (options, made_for, output, parameters, multiply_adds) in rows.items():
        net = NETS[name]
        numbers = summarize(load_spec(name), net.input_shape, net.num_classes)
        assert quoted(options) == [f"{key}={as_yaml(value)}" for key, value in option_names(name).items()]
        assert made_for == f"{','.join(map(str, net.input_shape))}, {net.num_classes}"
        assert quoted(output) == [numbers.output]
        assert (parameters, multiply_adds) == (f"{numbers.parameters:,}", f"{numbers.multiply_adds:,}")


def test_every_option_of_the_zoo_is_explained():
    described = set(quoted(documents.section(NETWORKS, "The zoo").partition("What the options do")[2]))
    assert {option for name in names() for option in option_names(name)} <= described


def test_layer_table_lists_every_kind_with_its_arguments_and_defaults():
    rows = {quoted(row[0])[0]: quoted(row[1]) for row in table(NETWORKS, "Layers")}
    assert list(rows) == list(KINDS)
    for word, arguments in rows.items():
        fields = [entry for entry in dataclasses.fields(KINDS[word]) if entry.name != "name"]
        assert arguments == [_argument(entry) for entry in fields]


def _argument(entry: dataclasses.Field) -> str:
    return entry.name if entry.default is dataclasses.MISSING else f"{entry.name}: {as_yaml(entry.default)}"


def test_output_table_names_the_losses_that_fit():
    rows = {quoted(row[0])[0]: row for row in table(NETWORKS, "Output")}
    assert set(rows) == set(schemas.OUTPUTS)
    for output, row in rows.items():
        assert (*quoted(row[3]), *quoted(row[4])) == FITTING[output]


def test_limits_are_those_of_the_code():
    from striate.architectures import arguments, form, spec, yaml_text

    text = documents.section(NETWORKS, "Limits") + documents.section(NETWORKS, "Blocks")
    for limit in (spec.MAX_LAYERS, arguments.LARGEST, yaml_text.MAX_CHARACTERS):
        assert f"{limit:,}" in text
    assert f"at most {form.MAX_DEPTH} deep" in text


@pytest.mark.parametrize("row", table(NETWORKS, "When something is wrong"), ids=lambda row: row[0][:40])
def test_errors_of_descriptions_read_as_shown(row):
    layer, message = quoted(row[0])[0], row[1]
    text = f"name: net\nlayers:\n  - {layer}\n  - flatten\n  - linear: {{out_features: num_classes}}\n"
    with pytest.raises(SpecError) as caught:
        infer_shapes(Spec.from_yaml(text), (3, 32, 32), 10)
    assert str(caught.value) == message


@pytest.mark.parametrize("input_shape", [(3, 32, 32), (1, 1, 1), (1, 5, 8)])
def test_example_network_trains_a_step(input_shape):
    spec = Spec.from_yaml(documents.blocks(NETWORKS, "yaml")[0])
    network = build(spec, input_shape, 3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *input_shape, generator=generator)
    optimizer = build_optimizer(network, TrainConfig(data="x"), lr=0.01)
    before = {name: value.clone() for name, value in network.named_parameters()}
    torch.nn.functional.cross_entropy(network(images), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    unchanged = [name for name, value in network.named_parameters() if torch.equal(value, before[name])]
    assert unchanged == []
    assert "residual1.shortcut.match.weight" in before


# Data


def test_split_names_are_those_that_are_understood():
    documented = {name: quoted(row[1]) for row in table(DATA, "Layouts", 1) for name in [row[0]]}
    understood: dict[str, list[str]] = {}
    for name, split in SPLIT_NAMES.items():
        understood.setdefault(split, []).append(name)
    assert documented == understood


def test_file_name_endings_are_those_that_are_looked_at():
    assert f"`{' '.join(EXTENSIONS)}`" in documents.section(DATA, "Layouts")


def test_named_sets_are_all_listed():
    assert [quoted(row[0])[0] for row in table(DATA, "Layouts", 2)] == list(NAMES)


@pytest.mark.parametrize(
    ("given", "row"),
    [
        *zip(
            [(), ("train", "test"), ("train", "val"), ("train", "val", "test")],
            table(DATA, "Splits"),
            strict=False,
        )
    ],
)
def test_split_table_is_what_is_planned(given, row):
    shares = splits.plan(given, DataConfig(data="x")).shares
    percent = [re.search(r"(\d+) %", cell) for cell in row[1:]]
    carved = [int(found[1]) / 100 if found else None for found in percent]
    assert carved[0] == (None if shares.train == 1 else pytest.approx(shares.train))
    assert carved[1:] == [share or None for share in (shares.val, shares.test)]


def test_augmentation_presets_and_operations_are_all_listed():
    assert [quoted(row[0])[0] for row in table(DATA, "Augmentation")] == list(PRESETS)
    operations = [name for row in table(DATA, "Augmentation", 1) for name in quoted(row[0])]
    assert sorted(operations) == sorted(MAGNITUDES)


def test_environment_variables_are_all_listed():
    source = "\n".join(path.read_text("utf-8") for path in (documents.ROOT / "src").rglob("*.py"))
    documented = [quoted(row[0])[0] for row in table(DATA, "Environment variables")]
    assert set(documented) == set(re.findall(r"STRIATE_[A-Z_]+", source))


# Training


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("Data", [name for name in DataConfig.model_fields if name != "data"]),
        (
            "Network and training",
            [name for name in TrainConfig.model_fields if name not in DataConfig.model_fields],
        ),
    ],
)
def test_every_setting_is_listed_with_its_default(heading, fields):
    rows = {quoted(row[0])[0]: row[1] for row in table(TRAINING, heading)}
    options = {"model_options": "--model-option"}
    assert list(rows) == [options.get(name, f"--{name.replace('_', '-')}") for name in fields]
    for name, default in zip(fields, rows.values(), strict=True):
        assert default == as_yaml(TrainConfig.model_fields[name].default), name


def test_every_choice_of_a_setting_is_named():
    text = documents.read(TRAINING)
    for name, field in TrainConfig.model_fields.items():
        for choice in get_args(field.annotation):
            assert not isinstance(choice, str) or f"`{choice}`" in text, (name, choice)


def test_schedules_and_losses_are_all_explained():
    schedules = [quoted(row[0])[0] for row in table(TRAINING, "Learning rate")]
    assert schedules == list(get_args(TrainConfig.model_fields["schedule"].annotation))


# The run folder and the metrics


@pytest.fixture(scope="module")
def files_of_a_run(tmp_path_factory) -> dict[str, bytes]:
    """What lies directly in a run folder: names (folders end in `/`) and, of files, content."""
    folder = tmp_path_factory.mktemp("run")
    run = striate.train(
        "digits",
        fraction=0.1,
        model="simple-cnn",
        classes=["0", "1"],
        epochs=1,
        tensorboard=True,
        out=folder / "run",
    )
    return {
        f"{path.name}/" if path.is_dir() else path.name: b"" if path.is_dir() else path.read_bytes()
        for path in run.folder.iterdir()
    }


def test_files_of_a_run_are_those_listed(files_of_a_run):
    listed = [quoted(row[0])[0] for row in documents.tables(documents.read(RUNS))[0]]
    expanded = {name.replace("<split>", split) for name in listed for split in ("val", "test")}
    beneath = {"maps-test.safetensors"}  # named in the text beneath the table
    assert set(files_of_a_run) == expanded | beneath


def test_columns_of_the_tables_are_those_listed(files_of_a_run):
    for name, description in documents.tables(documents.read(RUNS))[0]:
        columns = [text for text in quoted(description) if "," in text and " " not in text]
        if columns:
            (file,) = quoted(name)
            assert files_of_a_run[file].decode().partition("\n")[0] == columns[0]
    assert ",".join(schemas.HISTORY_COLUMNS) in documents.read(RUNS)


def test_fields_of_the_metrics_are_those_listed():
    fields, per_class = documents.tables(documents.read(METRICS))[:2]
    entries = [_metrics(2), _metrics(101)]
    computed = {key for entry in entries for key in entry}
    of_a_training = {"without_leaked"}  # from its audit, see test_workflows_run_audit.py
    assert {name for row in fields for name in quoted(row[0])} == computed | of_a_training
    assert {quoted(row[0])[0] for row in per_class} == set(entries[0]["per_class"][0])


def _metrics(classes: int) -> dict:
    labels = np.arange(2 * classes) % classes
    logits = np.random.default_rng(0).normal(size=(len(labels), classes)).astype(np.float32)
    images = tuple(map(str, range(len(labels))))
    return compute_metrics(schemas.Predictions(images, labels, logits, tuple(map(str, range(classes)))))


# The algorithms of convolution


def test_every_algorithm_is_listed_with_its_tolerances():
    rows = documents.tables(documents.read(CONVOLUTION))[0]
    assert [quoted(row[0])[0] for row in rows] == list(ALGORITHMS)
    for row in rows:
        tolerance = ALGORITHMS[quoted(row[0])[0]].TOLERANCE
        assert row[-2:] == [str(tolerance[dtype] or "-") for dtype in ("float32", "float64")], row[0]


def test_one_command_runs_every_benchmark():
    folder = documents.ROOT / "benchmarks"
    command = [sys.executable, str(folder / "all.py"), "--list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scripts = {path.name for path in folder.glob("*.py")} - {"all.py", "processes.py"}
    assert set(re.findall(r"^python benchmarks/(\w+\.py)", listed, re.MULTILINE)) == scripts
