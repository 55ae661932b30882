"""A classifier as one ONNX file: preprocessed images in, logits and probabilities out.

What the network puts out is brought to logits and averaged over mirror images where the bundle asks for that;
temperature and softmax stand at the end of the graph. What a reader must know of images and classes lies in
the file's metadata. `docs/bundle.md` describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from striate.architectures.outputs import SMALLEST_PROBABILITY
from striate.bundle import BundleRecord
from striate.errors import StriateError, UserError
from striate.inference import reading
from striate.inference.classifier import Classifier
from striate.schemas import Output
from striate.version import __version__

FORMAT_VERSION = 1
"""Of the inputs, outputs and metadata of such files."""
IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
TOLERANCE = 1e-3
"""Largest difference of a probability; and of a logit, as a share of the logits' scale, which counts as 1 at
least. Float32 sums in another order differ by 1e-6 or so; a wrong layer by far more."""
WRITABLE_VIEWS = ("one", "flip")
"""Enlarged corners are resized in uint8 by Pillow, which no ONNX operator does to the last digit."""
MOST_BYTES = 2**31 - 2**24
"""Of weights: an ONNX file in one piece ends at 2 GiB."""

_OWN = "striate/"
_TEXT = (
    "Input: float32 (N, C, H, W), preprocessed as `preprocess` says: ((pixel / 255) - mean) / std, channels "
    "in `channel_order`. Outputs: `logits`, divided by `temperature`, and `probabilities`, their softmax, "
    "(N, K), in the order of `class_names`."
)


@dataclass(frozen=True)
class Agreement:
    """How far a file and the classifier differ.

    Attributes:
        images: so many were compared, together and one alone.
        logits: largest difference of a logit.
        scale: of the logits: the root of their mean square.
        probabilities: largest difference of a probability.
    """

    images: int
    logits: float
    scale: float
    probabilities: float

    @property
    def holds(self) -> bool:
        """Whether both lie within `TOLERANCE`; False where they are no numbers."""
        return self.logits <= TOLERANCE * max(1.0, self.scale) and self.probabilities <= TOLERANCE


def check_writable(record: BundleRecord, weights: Mapping[str, np.ndarray]) -> None:
    """Refuse what cannot be one ONNX file.

    Raises:
        UserError: so.
    """
    if record.preprocess.views not in WRITABLE_VIEWS:
        raise UserError(
            f"{record.name} averages its answer over {record.preprocess.views}, which is not written as "
            f"ONNX; expected --feature-views {' or '.join(WRITABLE_VIEWS)} in its training."
        )
    size = sum(array.nbytes for array in weights.values())
    if size > MOST_BYTES:
        raise UserError(f"{record.name} has {size:,} bytes of weights; an ONNX file takes {MOST_BYTES:,}.")


def complete(network: bytes, record: BundleRecord, output: Output) -> bytes:
    """Return the ONNX file of a classifier.

    Args:
        network: ONNX file with one input, float32 (N, C, H, W), and one output, (N, K) or (N, 1); any N.
        record: of the bundle; its views are among `WRITABLE_VIEWS`.
        output: what `network` puts out.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(network)
    graph = model.graph
    end = _Ending(len(record.class_names))
    names = {name: f"{_OWN}{name}" for name in (LOGITS, PROBABILITIES)}
    flip = record.preprocess.views == "flip"
    _rename(graph, names | {graph.input[0].name: f"{_OWN}views" if flip else IMAGES})
    raw = names.get(graph.output[0].name, graph.output[0].name)
    before = end.mirror() if flip else []
    end.finish(raw, output, flip, record.temperature)
    nodes = [*before, *graph.node, *end.nodes]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(end.tensors)
    shape: list[str | int | None] = ["N", *record.preprocess.input_shape]
    graph.input.append(helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, shape))
    for name in (LOGITS, PROBABILITIES):
        graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(record.class_names)])
        )
    model.producer_name, model.producer_version, model.doc_string = "striate", __version__, _TEXT
    helper.set_model_props(model, metadata(record))
    content: bytes = model.SerializeToString()
    return content


def metadata(record: BundleRecord) -> dict[str, str]:
    """Return what the file says of its classifier; every value is JSON but for texts."""
    preprocess = record.preprocess
    values = {
        "format_version": FORMAT_VERSION,
        "class_names": list(record.class_names),
        "image_size": [preprocess.height, preprocess.width],
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "temperature": record.temperature,
        "preprocess": preprocess.model_dump(mode="json"),
    }
    texts = {
        "name": record.name,
        "created_by": f"striate {__version__}",
        "channel_order": "grey" if preprocess.channels == 1 else "RGB",
        "weights_sha256": record.weights_sha256,
    }
    return texts | {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}


def compare(content: bytes, classifier: Classifier) -> Agreement:
    """Compute a file in ONNX Runtime, and compare it with the classifier on random images.

    Raises:
        StriateError: ONNX Runtime cannot read or compute it.
    """
    images = _samples(classifier.preprocess.input_shape)
    (batch,) = reading.decode_items(images, classifier.preprocess, len(images))
    inputs = classifier.preprocess.normalize(batch.pixels)
    logits, probabilities = _run(content, inputs)
    alone = _run(content, inputs[-1:])
    expected = classifier.predict_logits(images), classifier.predict_proba(images)
    differences = [
        max(_largest(together, theirs), _largest(one, theirs[-1:]))
        for together, one, theirs in zip((logits, probabilities), alone, expected, strict=True)
    ]
    scale = float(np.sqrt(np.square(expected[0], dtype=np.float64).mean()))
    return Agreement(len(images), differences[0], scale, differences[1])


def _largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("inf")


def _run(content: bytes, inputs: np.ndarray) -> Sequence[np.ndarray]:
    """Return logits and probabilities, float32 (B, K)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        found: Sequence[np.ndarray] = session.run([LOGITS, PROBABILITIES], {IMAGES: inputs})
    except Exception as error:  # its errors have no common class but this
        reason = " ".join(str(error).split())[:200]
        raise StriateError(f"ONNX Runtime cannot compute the file: {reason}. Nothing is written.") from error
    return found


def _samples(shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Return uint8 images (H, W, C): noise, and ramps across and down."""
    channels, height, width = shape
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (2, height, width, channels), np.uint8)
    across = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], noise.shape[1:])
    down = np.broadcast_to(np.linspace(255, 0, height)[:, None, None], noise.shape[1:])
    return [*noise, across.astype(np.uint8), down.astype(np.uint8)]


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Give values of the graph other names."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


class _Ending:
    """Nodes and tensors around a network.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []

    def mirror(self) -> list[Any]:
        """Return what puts the mirror images behind the images: (N, C, H, W) to (2N, C, H, W)."""
        from onnx import helper

        last, axis, back = (
            self._constant(name, [n]) for name, n in (("last", -1), ("axis", 3), ("back", -1))
        )
        first = self._constant("first", [np.iinfo(np.int64).min])
        mirrored, views = f"{_OWN}mirrored", f"{_OWN}views"
        return [
            helper.make_node("Slice", [IMAGES, last, first, axis, back], [mirrored], name=mirrored),
            helper.make_node("Concat", [IMAGES, mirrored], [views], name=views, axis=0),
        ]

    def finish(self, raw: str, output: Output, flip: bool, temperature: float) -> None:
        """Write what makes `logits` and `probabilities` of what the network puts out."""
        logits = self._logits(raw, output)
        if flip:
            pair = self._add(
                "Reshape", [logits, self._constant("pair", [2, -1, self.num_classes])], f"{_OWN}pairs"
            )
            parts = [
                self._add("Gather", [pair, self._constant(f"place{n}", n)], f"{_OWN}view{n}", axis=0)
                for n in (0, 1)
            ]
            total = self._add("Add", parts, f"{_OWN}sum")
            logits = self._add("Mul", [total, self._constant("half", np.float32(0.5))], f"{_OWN}mean")
        divisor = self._constant("temperature", np.float32(temperature))
        self._add("Div", [logits, divisor], LOGITS)
        self._add("Softmax", [LOGITS], PROBABILITIES, axis=-1)

    def _logits(self, raw: str, output: Output) -> str:
        """As `architectures.to_logits`."""
        if output in ("logits", "log_probabilities"):
            return raw
        if output == "logit":
            pair = [self._add("Sub", [raw, raw], f"{_OWN}zero"), raw]
        else:
            one = self._constant("one", np.float32(1))
            ends = [
                self._constant("least", np.float32(SMALLEST_PROBABILITY)),
                self._constant("most", np.float32(1 - SMALLEST_PROBABILITY)),
            ]
            inside = self._add("Clip", [raw, *ends], f"{_OWN}inside")
            other = self._add("Sub", [one, inside], f"{_OWN}other")
            pair = [self._add("Log", [p], f"{p}/log") for p in (other, inside)]
        return self._add("Concat", pair, f"{_OWN}both", axis=1)

    def _add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}_", **attributes))
        return output

    def _constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        array = np.asarray(value)
        self.tensors.append(numpy_helper.from_array(array, f"{_OWN}constant/{name}"))
        return f"{_OWN}constant/{name}"
