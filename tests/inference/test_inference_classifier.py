"""A classifier says what its network says of the same input, however the image arrives."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from striate import bundle
from striate.architectures import Spec, build, load_spec, names
from striate.bundle import TrainingData
from striate.data import ImageSet
from striate.data.folders import FolderReader
from striate.data.images import ArrayPixels, FilePixels, permute
from striate.errors import DataError, StriateError, UserError
from striate.inference import Classifier, load
from striate.inference.views import TEST_VIEWS
from striate.schemas import OUTPUTS, Preprocess

ROUNDING = 1e-5
"""float32 logits of small nets; batches of another size may add up in another order."""
DATA = TrainingData(name="noise", fingerprint="0" * 64, samples=1)
HEADS: dict[str, tuple[str | int, list[str]]] = {
    "logits": ("num_classes", []),
    "log_probabilities": ("num_classes", ["log_softmax"]),
    "logit": (1, []),
    "probability": (1, ["sigmoid"]),
}


def make_spec(output: str) -> Spec:
    features, ending = HEADS[output]
    layers: list[Any] = [
        {"conv2d": {"out_channels": 4, "kernel_size": 3, "padding": 1}},
        {"batch_norm": {}},
        {"relu": {}},
        {"dropout": {"p": 0.5}},
        {"adaptive_avg_pool2d": {"output_size": 2}},
        {"flatten": {}},
        {"linear": {"out_features": features}},
        *({kind: {}} for kind in ending),
    ]
    return Spec.from_dict({"name": "tiny", "output": output, "layers": layers})


def make_preprocess(channels: int = 3, height: int = 10, width: int = 8, **fields: Any) -> Preprocess:
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels]
    return Preprocess(channels=channels, height=height, width=width, mean=mean, std=std, **fields)  # type: ignore[arg-type]


def write_bundle(
    folder: Path,
    spec: Spec,
    preprocess: Preprocess,
    class_names: Sequence[str] = ("a", "b"),
    temperature: float = 1.0,
    seed: int = 3,
) -> torch.nn.Module:
    """Write a bundle of a network with weights and statistics unlike the initial ones; return the network."""
    network = build(spec, preprocess.input_shape, len(class_names), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.1 * torch.rand(tensor.shape, generator=generator))
        else:
            tensor.fill_(11)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    bundle.write(
        folder,
        weights,
        name=spec.name,
        spec=spec.to_dict(),
        class_names=class_names,
        preprocess=preprocess,
        data=DATA,
        temperature=temperature,
    )
    return network.eval()


def make_images(count: int, preprocess: Preprocess, seed: int = 0) -> np.ndarray:
    """uint8 (N, H, W, C), of the input's size."""
    channels, height, width = preprocess.input_shape
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), np.uint8)


def compute_logits(
    network: torch.nn.Module, images: np.ndarray, preprocess: Preprocess, output: str
) -> np.ndarray:
    """What torch says of uint8 (N, H, W, C) images, with the preprocessing done by hand."""
    inputs = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2) / 255
    shape = (1, preprocess.channels, 1, 1)
    inputs = (inputs - torch.tensor(preprocess.mean).view(shape)) / torch.tensor(preprocess.std).view(shape)
    with torch.no_grad():
        raw = network(inputs)
    if output == "logit":
        return torch.cat([torch.zeros_like(raw), raw], dim=1).numpy()
    if output == "probability":
        return torch.cat([torch.log1p(-raw), torch.log(raw)], dim=1).numpy()
    return np.asarray(raw.numpy())


@pytest.fixture
def preprocess() -> Preprocess:
    return make_preprocess()


@pytest.fixture
def folder(tmp_path: Path, preprocess: Preprocess) -> Path:
    write_bundle(tmp_path / "model", make_spec("logits"), preprocess, ("x", "y", "z"))
    return tmp_path / "model"


@pytest.fixture
def classifier(folder: Path) -> Classifier:
    return load(folder, device="cpu")


def save_images(folder: Path, images: np.ndarray) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index:03}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image.squeeze()).save(path)
    return paths


@pytest.mark.parametrize("name", names())
def test_every_net_comes_back_to_the_bit_and_computes_the_same(tmp_path: Path, name: str) -> None:
    spec = load_spec(name)
    one_output = spec.output in ("logit", "probability")
    class_names = ("a", "b") if one_output else tuple("abcdefghij")
    preprocess = make_preprocess(1, 28, 28) if name != "cats-cnn" else make_preprocess(3, 64, 64)
    network = write_bundle(tmp_path, spec, preprocess, class_names)
    classifier = load(tmp_path, device="cpu")
    for key, tensor in classifier.runtime.network.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(tensor, network.state_dict()[key])
        assert tensor.dtype == network.state_dict()[key].dtype
    images = make_images(3, preprocess)
    expected = compute_logits(network, images, preprocess, spec.output)
    np.testing.assert_allclose(classifier.predict_logits(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_predictions_are_those_of_torch(tmp_path: Path, output: str, temperature: float) -> None:
    preprocess = make_preprocess()
    class_names = ("no", "yes") if output in ("logit", "probability") else ("a", "b", "c")
    network = write_bundle(tmp_path, make_spec(output), preprocess, class_names, temperature)
    images = make_images(7, preprocess)
    logits = torch.from_numpy(compute_logits(network, images, preprocess, output)) / temperature
    expected = torch.softmax(logits, dim=1).numpy()
    classifier = load(tmp_path, device="cpu")
    probabilities = classifier.predict_proba(images)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (7, len(class_names))
    np.testing.assert_allclose(probabilities, expected, atol=ROUNDING)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    for prediction, row in zip(classifier.predict(images), expected, strict=True):
        assert prediction.label == class_names[row.argmax()]
        assert prediction.probability == pytest.approx(row.max(), abs=ROUNDING)
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert [prediction.probabilities[name] for name in class_names] == pytest.approx(row, abs=ROUNDING)
        assert list(prediction.probabilities.values()) == sorted(
            prediction.probabilities.values(), reverse=True
        )


def test_temperature_above_one_lowers_confidence_and_keeps_the_decision(tmp_path: Path) -> None:
    spec, preprocess = make_spec("logits"), make_preprocess()
    write_bundle(tmp_path / "plain", spec, preprocess)
    write_bundle(tmp_path / "warm", spec, preprocess, temperature=4.0)
    images = make_images(5, preprocess)
    plain, warm = load(tmp_path / "plain", "cpu"), load(tmp_path / "warm", "cpu")
    np.testing.assert_allclose(plain.predict_logits(images) / 4, warm.predict_logits(images), rtol=1e-6)
    for before, after in zip(plain.predict(images), warm.predict(images), strict=True):
        assert before.label == after.label
        assert before.probability > after.probability


def test_batch_composition_does_not_change_a_prediction(
    classifier: Classifier, preprocess: Preprocess
) -> None:
    images = make_images(33, preprocess)
    together = classifier.predict_logits(images)
    alone = np.concatenate([classifier.predict_logits(image) for image in images])
    reversed_ = classifier.predict_logits(images[::-1])[::-1]
    np.testing.assert_allclose(together, alone, atol=ROUNDING)
    np.testing.assert_allclose(together, reversed_, atol=ROUNDING)
    np.testing.assert_array_equal(together, classifier.predict_logits(images))


@pytest.mark.parametrize("channels", [1, 3])
def test_paths_images_arrays_and_tensors_agree(tmp_path: Path, channels: int) -> None:
    preprocess = make_preprocess(channels)
    write_bundle(tmp_path / "model", make_spec("logits"), preprocess)
    classifier = load(tmp_path / "model", "cpu")
    images = make_images(4, preprocess)
    expected = classifier.predict_logits(list(images))
    paths = save_images(tmp_path / "images", images)
    forms: dict[str, Any] = {
        "paths": paths,
        "texts": [str(path) for path in paths],
        "pil": [Image.open(path) for path in paths],
        "one array": images,
        "float arrays": [image.astype(np.float32) / np.float32(255) for image in images],
        "mixed": [paths[0], Image.open(paths[1]), images[2], torch.from_numpy(images[3]).permute(2, 0, 1)],
        "tensors": torch.from_numpy(images).permute(0, 3, 1, 2),
        "float tensors": torch.from_numpy(images).permute(0, 3, 1, 2) / 255,
    }
    if channels == 1:
        forms["grey arrays"] = [image[:, :, 0] for image in images]
    for form, given in forms.items():
        np.testing.assert_allclose(classifier.predict_logits(given), expected, atol=ROUNDING, err_msg=form)


def test_colour_network_takes_grey_images_and_grey_network_takes_colour(tmp_path: Path) -> None:
    grey = make_images(3, make_preprocess(1))
    colour = np.repeat(grey, 3, axis=3)
    for channels in (1, 3):
        write_bundle(tmp_path / str(channels), make_spec("logits"), make_preprocess(channels))
        classifier = load(tmp_path / str(channels), "cpu")
        np.testing.assert_allclose(
            classifier.predict_logits([image[..., 0] for image in grey]),
            classifier.predict_logits(colour),
            atol=ROUNDING,
        )


def test_images_of_other_sizes_are_brought_to_size(classifier: Classifier) -> None:
    flat = [
        np.full((height, width, 3), 90, np.uint8) for height, width in ((10, 8), (40, 30), (3, 5), (8, 100))
    ]
    logits = classifier.predict_logits(flat)
    np.testing.assert_allclose(logits, np.repeat(logits[:1], 4, axis=0), atol=ROUNDING)


def test_permuted_pixels_are_permuted_again(tmp_path: Path) -> None:
    permuted = make_preprocess(permute_pixels=5)
    network = write_bundle(tmp_path, make_spec("logits"), permuted)
    images = make_images(3, permuted)
    moved = permute(images.transpose(0, 3, 1, 2), 5).transpose(0, 2, 3, 1)
    expected = compute_logits(network, moved, permuted, "logits")
    np.testing.assert_allclose(load(tmp_path, "cpu").predict_logits(images), expected, atol=ROUNDING)


def test_sideways_photo_is_turned_from_a_path_and_from_pillow(
    classifier: Classifier, tmp_path: Path, preprocess: Preprocess
) -> None:
    [image] = make_images(1, preprocess)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(np.rot90(image).copy()).save(tmp_path / "photo.png", exif=exif)
    expected = classifier.predict_logits(image)
    np.testing.assert_allclose(classifier.predict_logits(tmp_path / "photo.png"), expected, atol=ROUNDING)
    with Image.open(tmp_path / "photo.png") as opened:
        np.testing.assert_allclose(classifier.predict_logits(opened), expected, atol=ROUNDING)


def test_truncated_pillow_image_is_named(
    classifier: Classifier, tmp_path: Path, preprocess: Preprocess
) -> None:
    [image] = make_images(1, preprocess)
    Image.fromarray(image).save(tmp_path / "photo.png")
    (tmp_path / "photo.png").write_bytes((tmp_path / "photo.png").read_bytes()[:200])
    with Image.open(tmp_path / "photo.png") as opened, pytest.raises(DataError, match="image 1"):
        classifier.predict([image, opened])


def test_channels_first_arrays_are_refused_with_what_is_expected(classifier: Classifier) -> None:
    with pytest.raises(DataError, match=r"image 0.*\(3, 10, 8\).*\(H, W, 3\)"):
        classifier.predict(np.zeros((3, 10, 8), np.uint8))


def test_one_image_and_no_image(classifier: Classifier, tmp_path: Path, preprocess: Preprocess) -> None:
    image = make_images(1, preprocess)[0]
    [path] = save_images(tmp_path / "images", image[None])
    for one in (path, str(path), Image.open(path), image):
        [prediction] = classifier.predict(one)
        assert prediction.label in classifier.class_names
        assert prediction.image == (str(path) if isinstance(one, str | Path) else "image 0")
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize("images", [3, None, [None], {"a": 1}, [object()]])
def test_what_is_no_image_is_a_type_error(classifier: Classifier, images: Any) -> None:
    with pytest.raises(TypeError, match="expected a path, PIL image, array or tensor"):
        classifier.predict(images)


def test_tensors_of_short_floats_are_images_too(classifier: Classifier, preprocess: Preprocess) -> None:
    image = torch.rand(preprocess.input_shape, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.bfloat16, torch.float16):
        short = image.to(dtype)
        assert classifier.predict(short) == classifier.predict(short.float())


def test_unreadable_image_is_named(classifier: Classifier, tmp_path: Path, preprocess: Preprocess) -> None:
    paths = save_images(tmp_path / "images", make_images(3, preprocess))
    paths[1].write_bytes(paths[1].read_bytes()[:30])
    with pytest.raises(DataError, match=r"001\.png"):
        classifier.predict(paths)
    with pytest.raises(DataError, match=r"absent\.png"):
        classifier.predict([tmp_path / "absent.png"])


def test_array_that_is_no_image_is_named_by_its_place(classifier: Classifier, preprocess: Preprocess) -> None:
    good = make_images(1, preprocess)[0]
    many = [good] * (classifier.preprocess.batch_size + 3)
    many[-1] = np.full((4, 4), np.nan)
    with pytest.raises(DataError, match=f"image {len(many) - 1}"):
        classifier.predict(many)


def test_image_set_gives_labelled_predictions_and_progress(
    folder: Path, classifier: Classifier, preprocess: Preprocess
) -> None:
    images = make_images(23, preprocess)
    labels = np.random.default_rng(1).integers(-1, 3, 23)
    pixels = ArrayPixels(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    image_set = ImageSet(tuple(f"i{n}.png" for n in range(23)), labels, pixels)
    seen: list[tuple[int, int]] = []
    predictions = classifier.predict_set(
        image_set, lambda done, total: seen.append((done, total)), batch_size=10
    )
    assert seen == [(10, 23), (20, 23), (23, 23)]
    assert predictions.images == image_set.paths
    assert predictions.class_names == ("x", "y", "z")
    np.testing.assert_array_equal(predictions.labels, labels)
    np.testing.assert_allclose(predictions.logits, classifier.predict_logits(images), atol=ROUNDING)
    assert predictions.logits.dtype == np.float32


def test_image_set_of_files_is_decoded_in_order(
    classifier: Classifier, tmp_path: Path, preprocess: Preprocess
) -> None:
    images = make_images(23, preprocess)
    paths = tuple(str(path) for path in save_images(tmp_path / "images", images))
    pixels = FilePixels(FolderReader(str(tmp_path)), paths, preprocess)
    filters = list(warnings.filters)
    predictions = classifier.predict_set(ImageSet(paths, np.full(23, 2), pixels), batch_size=9)
    assert warnings.filters == filters
    np.testing.assert_allclose(predictions.logits, classifier.predict_logits(images), atol=ROUNDING)
    Path(paths[20]).write_bytes(b"")
    with pytest.raises(DataError, match=r"020\.png"):
        classifier.predict_set(ImageSet(paths, np.full(23, 2), pixels), batch_size=9)


def test_image_set_of_another_size_is_refused(classifier: Classifier) -> None:
    pixels = ArrayPixels(np.zeros((2, 3, 8, 10), np.uint8))
    with pytest.raises(ValueError, match=r"images are \(3, 8, 10\).*takes \(3, 10, 8\)"):
        classifier.predict_set(ImageSet(("a", "b"), np.zeros(2, np.int64), pixels))


def test_files_are_streamed_in_order_and_unreadable_ones_are_listed(
    classifier: Classifier, tmp_path: Path, preprocess: Preprocess
) -> None:
    images = make_images(25, preprocess)
    paths = save_images(tmp_path / "images", images)
    broken = {3: b"", 4: b"not an image", 24: paths[24].read_bytes()[:40]}
    for index, content in broken.items():
        paths[index].write_bytes(content)
    problems: list[tuple[str, str]] = []
    batches = list(
        classifier.stream_files(
            paths, on_problem=lambda path, reason: problems.append((path, reason)), batch_size=4
        )
    )
    good = [index for index in range(25) if index not in broken]
    assert [path for path, _ in problems] == [str(paths[index]) for index in broken]
    assert all(reason and str(tmp_path) not in reason for _, reason in problems)
    assert [image for batch in batches for image in batch.images] == [str(paths[index]) for index in good]
    logits = np.concatenate([batch.logits for batch in batches])
    np.testing.assert_allclose(logits, classifier.predict_logits(images[good]), atol=ROUNDING)
    whole = classifier.predict_files(paths, on_problem=lambda path, reason: None)
    np.testing.assert_allclose(whole.logits, logits, atol=ROUNDING)
    assert whole.images == tuple(str(paths[index]) for index in good)
    assert (whole.labels == -1).all()


def test_files_that_are_all_unreadable_give_no_predictions(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    seen: list[tuple[int, int]] = []
    predictions = classifier.predict_files(
        [tmp_path / "a.png"], on_problem=lambda path, reason: None, progress=lambda *done: seen.append(done)
    )
    assert predictions.logits.shape == (0, 3)
    assert classifier.describe(predictions) == []
    assert seen[-1] == (1, 1)


def test_without_a_listener_an_unreadable_file_is_an_error(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png"):
        classifier.predict_files([tmp_path / "a.png"])


def test_streaming_holds_few_images_at_a_time(
    classifier: Classifier, tmp_path: Path, preprocess: Preprocess
) -> None:
    [path] = save_images(tmp_path / "images", make_images(1, preprocess))
    asked = 0

    def endless() -> Any:
        nonlocal asked
        while True:
            asked += 1
            yield path

    stream = classifier.stream_files(endless(), batch_size=8)
    for _ in range(3):
        assert len(next(stream).images) == 8
    stream.close()
    assert asked <= 8 * 5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_an_error(
    classifier: Classifier, preprocess: Preprocess, value: float
) -> None:
    class Broken:
        name = "broken"

        def forward(self, inputs: np.ndarray) -> np.ndarray:
            outputs = np.zeros((len(inputs), 3), np.float32)
            outputs[-1, 1] = value
            return outputs

    broken = Classifier(classifier.record, Broken(), "logits")
    with pytest.raises(StriateError, match="NaN or infinity"):
        broken.predict(make_images(2, preprocess))


def test_logits_that_a_small_temperature_makes_infinite_are_an_error(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    class Sure:
        name = "sure"

        def forward(self, inputs: np.ndarray) -> np.ndarray:
            return np.full((len(inputs), 2), 1e35, np.float32)

    write_bundle(tmp_path, make_spec("logits"), preprocess, temperature=1e-6)
    sure = Classifier(load(tmp_path, "cpu").record, Sure(), "logits")
    with np.errstate(over="ignore"), pytest.raises(StriateError, match="NaN or infinity"):
        sure.predict(make_images(1, preprocess))


@pytest.mark.parametrize("views", TEST_VIEWS)
def test_files_are_averaged_over_views_as_sets_are(
    classifier: Classifier, tmp_path: Path, preprocess: Preprocess, views: str
) -> None:
    images = make_images(3, preprocess)
    paths = save_images(tmp_path / "images", images)
    pixels = ArrayPixels(images.transpose(0, 3, 1, 2))
    expected = classifier.predict_set(
        ImageSet(tuple(map(str, paths)), np.zeros(3, np.int64), pixels), views=views
    )
    found = classifier.predict_files(paths, views=views, batch_size=2)
    np.testing.assert_allclose(found.logits, expected.logits, atol=ROUNDING)
    streamed = [part.logits for part in classifier.stream_files(paths, views=views, batch_size=2)]
    np.testing.assert_array_equal(np.concatenate(streamed), found.logits)
    plain = classifier.predict_files(paths)
    assert np.allclose(found.logits, plain.logits, atol=ROUNDING) == (views == "one")


def test_unknown_views_are_refused(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown views 'flips': did you mean 'flip'"):
        classifier.predict_files([tmp_path / "a.png"], views="flips")
    with pytest.raises(UserError, match="unknown views"):
        classifier.stream_files([tmp_path / "a.png"], views="flips")


def test_the_classifier_shows_what_it_is(classifier: Classifier, preprocess: Preprocess) -> None:
    assert repr(classifier) == "Classifier(tiny: 3 x 10 x 8 -> 3 classes (x, y, z); torch on cpu)"
    assert classifier.class_names == ("x", "y", "z")
    assert classifier.preprocess == preprocess
    [prediction] = classifier.predict(make_images(1, preprocess))
    assert repr(prediction).startswith("Prediction(image='image 0', label=")
    assert hash(prediction) == hash(prediction)
