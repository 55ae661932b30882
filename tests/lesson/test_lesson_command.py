"""What the command writes, leaves out and refuses."""

from __future__ import annotations

import json
import re
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

import striate
from striate import bundle
from striate.architectures import Spec
from striate.architectures.graph import CLOSED, Node, build_graph
from striate.architectures.shapes import infer_shapes
from striate.architectures.weights import initial_weights
from striate.cli import run
from striate.errors import BundleError, UserError
from striate.lesson.graph import cut_graph
from striate.lesson.network import MAX_VALUES, class_map_nodes
from striate.schemas import Preprocess

SMALL_PAGE_BYTES = 5_000_000


def page_data(path) -> dict:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def nodes_of(*layers, shape=(1, 16, 16)) -> list[Node]:
    spec = Spec.from_dict({"layers": list(layers)})
    return build_graph(infer_shapes(spec, shape, 3), shape)


def conv(channels: int) -> dict:
    return {"conv2d": {"out_channels": channels, "kernel_size": 3, "padding": 1}}


HEAD = ("adaptive_avg_pool2d", "flatten", {"linear": {"out_features": "num_classes"}})


def test_command_writes_one_small_file_that_loads_nothing(model, image, tmp_path, capsys):
    out = tmp_path / "lesson.html"
    assert run(["lesson", str(model), str(image), "--out", str(out)]) == 0
    assert "lesson.html" in capsys.readouterr().out
    text = out.read_text(encoding="utf-8")
    assert len(text) < SMALL_PAGE_BYTES
    assert not re.search(r"(src|href)=\"?(https?:)?//", text)
    assert "default-src &#39;none&#39;" in text


def test_pictures_are_the_networks_input_and_the_built_in_ones_follow(model, image, tmp_path):
    page = striate.lesson(model, image, out=tmp_path / "own.html")
    network = page_data(page)["network"]
    assert [one["name"] for one in network["pictures"]] == ["<i>stripes", "house", "seven", "waves", "cat"]
    assert network["temperature"] == 1.5


def test_functions_keep_their_names_when_rooms_of_the_same_names_are_imported():
    assert striate.lesson.__module__ == "striate.workflows.lesson"
    from striate.lesson import render_lesson

    assert callable(striate.lesson)
    assert callable(render_lesson)


def test_without_a_bundle_there_is_no_screen_of_ones_own(tmp_path):
    page = striate.lesson(out=tmp_path / "plain.html")
    assert page_data(page)["network"] is None
    assert 'id="screen-network"' not in page.read_text(encoding="utf-8")


def test_unreadable_images_are_told_and_left_out(model, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page = striate.lesson(model, tmp_path / "broken.png", out=tmp_path / "own.html")
    network = page_data(page)["network"]
    assert network["problems"][0][0] == "broken.png"
    assert len(network["pictures"]) == 4


def test_pixels_travel_as_they_are(tmp_path, model):
    pixels = np.arange(144, dtype=np.uint8).reshape(12, 12)
    Image.fromarray(pixels).save(tmp_path / "ramp.png")
    page = striate.lesson(model, tmp_path / "ramp.png", out=tmp_path / "own.html")
    assert b64decode(page_data(page)["network"]["pictures"][0]["pixels"]) == pixels.tobytes()


@pytest.mark.parametrize("out", ["missing/lesson.html", "."])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path, out, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        striate.lesson("no-bundle", out=out)


def test_a_missing_bundle_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(BundleError, match="no bundle at"):
        striate.lesson(tmp_path / "none", out=tmp_path / "lesson.html")
    assert list(tmp_path.iterdir()) == []


def test_a_large_network_is_cut_and_says_where(tmp_path):
    features = MAX_VALUES // 64
    layers = [conv(2), "relu", "flatten", {"linear": {"out_features": features}}]
    spec = Spec.from_dict({"name": "large", "layers": [*layers, {"linear": {"out_features": "num_classes"}}]})
    bundle.write(
        tmp_path / "large",
        initial_weights(spec, (1, 8, 8), 3, seed=0),
        name="large",
        spec=spec.to_dict(),
        class_names=("a", "b", "c"),
        preprocess=Preprocess(channels=1, height=8, width=8, mean=(0.0,), std=(1.0,)),
        data=bundle.TrainingData(name="none", fingerprint="0", samples=1),
    )
    network = page_data(striate.lesson(tmp_path / "large", out=tmp_path / "large.html"))["network"]
    assert network["cut"] == {"path": "linear1", "reason": "weights", "kind": "linear", "layers": 2}
    assert [node["kind"] for node in network["nodes"]] == ["input", "conv2d", "relu", "flatten"]
    assert network["classMap"] is None


def test_too_much_work_and_unknown_operations_are_cut():
    nodes = nodes_of(conv(2), "relu", conv(4), *HEAD)
    first = nodes[1].multiply_adds
    shown, cut = cut_graph(nodes, 10**9, first)
    assert (len(shown), cut.path, cut.reason, cut.layers) == (3, "conv2", "work", 4)
    strange = [*nodes[:2], Node("swirl1", "swirl", {}, (1,), nodes[1].shape), *nodes[2:]]
    shown, cut = cut_graph(strange, 10**9, 10**9)
    assert (len(shown), cut.kind, cut.reason) == (2, "swirl", "unknown")
    closed = [nodes[0], Node("vit", CLOSED, {}, (0,), ())]
    shown, cut = cut_graph(closed, 10**9, 10**9)
    assert (shown, cut.path, cut.reason) == (nodes[:1], "vit", "closed")
    assert cut_graph(nodes, 10**9, 10**9) == (nodes, None)


def test_class_maps_need_global_average_pooling_before_one_linear_layer():
    nodes = nodes_of(conv(2), "relu", *HEAD)
    assert class_map_nodes(nodes) == {"maps": 2, "head": 5}
    assert class_map_nodes(nodes_of(conv(2), "flatten", HEAD[2])) is None
    assert (
        class_map_nodes(nodes_of(conv(2), *HEAD[:2], {"linear": {"out_features": 4}}, "relu", HEAD[2]))
        is None
    )
