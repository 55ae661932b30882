"""Robustness of trained models on their own test images."""

from __future__ import annotations

import json

import numpy as np
import pytest

import striate
from striate.cli import run
from striate.data import images as pixels_of_sets
from striate.data.distortions import DISTORTIONS
from striate.errors import DataError, UserError
from striate.inference import Classifier


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three networks on small noisy squares, of which one sees permuted pixels and one another split."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("robustness")
    generator = np.random.default_rng(0)
    for label, bright in (("dark", 60), ("light", 190)):
        (folder / "data" / label).mkdir(parents=True)
        for number in range(16):
            pixels = np.clip(generator.normal(bright, 25, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "data" / label / f"{number}.png")
    common = {"model": "mlp", "model_options": {"hidden": 8}, "epochs": 3, "batch_size": 4, "engine": "numpy"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder / "cache"))
        patch.setenv("STRIATE_STATE", str(folder / "state"))
        more = {"plain": {}, "permuted": {"permute_pixels": 1}, "other": {"split_seed": 5}}
        return {
            name: striate.train(folder / "data", out=folder / name, **common, **each)
            for name, each in more.items()
        }


def test_models_are_measured_on_the_test_images_of_their_training(trained, tmp_path):
    runs = [trained["plain"].folder, trained["permuted"].folder]
    found = striate.evaluate(runs[0], robustness=True, against=runs[1:], engine="numpy", out=tmp_path / "out")
    assert found.result["models"] == ["plain", "permuted"]
    assert [course["name"] for course in found.result["distortions"]] == list(DISTORTIONS)
    for number, name in enumerate(found.result["models"]):
        clean = trained[name].metrics()["test"]["accuracy"]["value"]
        for course in found.result["distortions"]:
            points = {point["level"]: point["value"] for point in course["curves"][number]["points"]}
            assert points[course["neutral"]] == clean
    assert found.page.read_text().count('class="levels"') == len(DISTORTIONS)


def test_images_are_decoded_once_and_answered_once_as_they_are(trained, tmp_path, monkeypatch):
    decoded, answered = [], []
    take, answer = pixels_of_sets.take, Classifier.predict_set
    monkeypatch.setattr(pixels_of_sets, "take", lambda *args: decoded.append(1) or take(*args))

    def predict_set(self, images, *args, **options):
        answered.append(1)
        return answer(self, images, *args, **options)

    monkeypatch.setattr(Classifier, "predict_set", predict_set)
    runs = [trained["plain"].folder, trained["permuted"].folder]
    striate.evaluate(runs[0], robustness=True, against=runs[1:], engine="numpy", out=tmp_path / "out")
    assert len(decoded) == len(runs)
    assert len(answered) == len(runs) * (1 + sum(len(each.levels) - 1 for each in DISTORTIONS.values()))


def test_the_command_prints_or_tells_what_is_lost(trained, tmp_path, capsys):
    words = ["evaluate", str(trained["plain"].folder), "--robustness", "--engine", "numpy", "--out"]
    assert run([*words, str(tmp_path / "one"), "--log", "json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [course["name"] for course in result["distortions"]] == list(DISTORTIONS)
    assert run([*words, str(tmp_path / "two"), "--against", str(trained["permuted"].folder), "-q"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in DISTORTIONS)
    with pytest.raises(UserError, match="leave out --set"):
        run([*words, str(tmp_path / "three"), "--set", "a=b"])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"robustness": True, "against": ["other"]}, DataError, "would see different images"),
        ({"robustness": True, "against": ["plain"]}, UserError, "named twice"),
        ({"robustness": True, "costs": (1, 2)}, UserError, "leave out --set.*--costs"),
        ({"against": ["other"]}, UserError, "--robustness"),
    ],
)
def test_what_cannot_be_measured_is_refused(trained, tmp_path, options, error, text):
    against = [trained[name].folder for name in options.pop("against", [])]
    with pytest.raises(error, match=text):
        striate.evaluate(
            trained["plain"].folder, engine="numpy", out=tmp_path / "out", against=against, **options
        )
    assert not (tmp_path / "out").exists()
