"""`striate explain` refuses what it would not use."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.cli import run
from striate.errors import UserError

MODEL = "no-model-is-opened"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--kernels --method occlusion", "--method: not for --kernels"),
        (
            "--kernels --class x --errors 3 --layer y --no-trust",
            "--class, --errors, --layer, --trust: not for",
        ),
        ("--kernels --seed 0", "--seed: not for --kernels"),
        ("photo.jpg --kernels", "--kernels looks at the model alone: leave the images out"),
        ("photo.jpg --activations relu --class x", "--class: not for --activations"),
        ("--visualise classes --layer conv1", "--layer: not for --visualise"),
        ("photo.jpg --pixel conv1,0,0,0 --method grad-cam", "--method: not for --pixel"),
        ("photo.jpg --pixel conv1,0,0,0 --class x", "give --gradient too"),
        ("--kernels --visualise classes", "--kernels and --visualise show different things"),
        ("photo.jpg --activations a --pixel b,0,0,0", "--activations and --pixel show different things"),
        ("photo.jpg --gradient", "--gradient is for --pixel: give --pixel LAYER,CHANNEL,Y,X"),
        ("photo.jpg --steps 5", "--steps is for --visualise: give --visualise LAYER"),
        ("photo.jpg --ascent fourier", "--ascent is for --visualise: give --visualise LAYER"),
    ],
)
def test_what_would_be_ignored_is_refused(given: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        run(["explain", MODEL, *given.split()])
    assert said in str(raised.value)


def test_a_bundle_is_summed_up_by_its_folder(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summary", str(model)]) == 0
    assert capsys.readouterr().out.startswith("little")
    with pytest.raises(UserError, match="a network for 3 classes, not 5"):
        run(["summary", str(model), "--classes", "5"])
