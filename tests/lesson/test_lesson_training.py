"""The net that learns in the page: in Node against the engine's numbers, and its screen in a browser."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from typing import Any

import numpy as np
import pytest
from in_node import CONVOLUTIONS, POOLINGS, as_tensor, run_script

from striate.engine import functional as F

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # float32 sums in another order
ROUNDED = 0.0051  # of numbers shown with two decimals
USUAL = {"rate": 0.1, "momentum": 0.8, "batch": 16}
HIGHEST_RATE = 30
GUESSING = np.log(4)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Calls functions of the page in one run of Node: a list of (name, arguments)."""
    folder = tmp_path_factory.mktemp("calls")

    def ask_all(calls: list[tuple[str, list]]) -> list[Any]:
        file = folder / "calls.json"
        file.write_text(json.dumps([{"name": name, "arguments": given} for name, given in calls]))
        with resources.as_file(resources.files("striate.lesson") / "static") as static:
            return json.loads(run_script("run_training.js", static, file))

    return ask_all


@pytest.fixture
def draw():
    generator = np.random.default_rng(0)
    return lambda *shape: generator.normal(size=shape).astype(np.float32)


def as_array(tensor: dict) -> np.ndarray:
    return np.array(tensor["data"], np.float32).reshape(tensor["shape"])


def test_gradients_of_convolution_are_the_engines(ask, draw):
    calls, expected = [], []
    for inside, out, height, width, kernel, stride, sides, dilation, groups, _ in CONVOLUTIONS:
        x, weight = draw(inside, height, width), draw(out, inside // groups, *kernel)
        shape = F.conv2d(x[None], weight, None, stride, sides, dilation, groups).shape[1:]
        grad = draw(*shape)
        args = {"stride": stride, "sides": sides, "dilation": dilation, "groups": groups}
        calls.append(("conv2dGradients", [as_tensor(grad), as_tensor(x), as_tensor(weight), args]))
        expected.append(F.conv2d_backward(grad[None], x[None], weight, stride, sides, dilation, groups))
    for number, (found, (by_x, by_weight, by_bias)) in enumerate(zip(ask(calls), expected, strict=True)):
        np.testing.assert_allclose(as_array(found["x"]), by_x[0], **TOLERANCE, err_msg=str(number))
        np.testing.assert_allclose(as_array(found["weight"]), by_weight, **TOLERANCE, err_msg=str(number))
        np.testing.assert_allclose(as_array(found["bias"]), by_bias, **TOLERANCE, err_msg=str(number))


def test_gradient_of_max_pooling_is_the_engines_with_equals_too(ask, draw):
    calls, expected = [], []
    for height, width, kernel, stride, padding, ceil in POOLINGS:
        args = {
            "kernel_size": kernel,
            "stride": stride,
            "padding": padding,
            "dilation": (1, 1),
            "ceil_mode": ceil,
        }
        for x in (draw(3, height, width), np.round(draw(3, height, width))):
            grad = draw(*F.max_pool2d(x[None], **args).shape[1:])
            calls.append(("maxPool2dGradient", [as_tensor(grad), as_tensor(x), args]))
            expected.append(F.max_pool2d_backward(grad[None], x[None], **args)[0])
    for found, wanted in zip(ask(calls), expected, strict=True):
        np.testing.assert_allclose(as_array(found), wanted, **TOLERANCE)


def test_gradients_of_relu_linear_and_cross_entropy_are_the_engines(ask, draw):
    maps, grad_maps, x, weight, grad, logits = (
        draw(2, 4, 5),
        draw(2, 4, 5),
        draw(9),
        draw(4, 9),
        draw(4),
        5 * draw(4),
    )
    maps[0, 0] = 0
    rectified, linear, entropy = ask(
        [
            ("reluGradient", [as_tensor(grad_maps), as_tensor(maps)]),
            ("linearGradients", [as_tensor(grad), as_tensor(x), as_tensor(weight)]),
            ("crossEntropy", [as_tensor(logits), 2]),
        ]
    )
    np.testing.assert_allclose(as_array(rectified), F.relu_backward(grad_maps, maps), **TOLERANCE)
    by_x, by_weight, by_bias = F.linear_backward(grad[None], x[None], weight)
    np.testing.assert_allclose(as_array(linear["x"]), by_x[0], **TOLERANCE)
    np.testing.assert_allclose(as_array(linear["weight"]), by_weight, **TOLERANCE)
    np.testing.assert_allclose(as_array(linear["bias"]), by_bias, **TOLERANCE)
    target = np.array([2])
    assert entropy["loss"] == pytest.approx(float(F.cross_entropy(logits[None], target)), rel=1e-4)
    by_logits = F.cross_entropy_backward(np.float32(1), logits[None], target)[0]
    np.testing.assert_allclose(as_array(entropy["grad"]), by_logits, **TOLERANCE)


def engine_step(weights: dict, velocity: dict, x: np.ndarray, target: np.ndarray, settings: dict) -> float:
    """One step of the page's net by the engine's functions, in place; returns the loss before it."""
    summed = F.conv2d(x, weights["kernel"], weights["kernelBias"], 1, 1)
    maps = F.relu(summed)
    pooled = F.max_pool2d(maps, 4)
    features = pooled.reshape(len(x), -1)
    logits = F.linear(features, weights["linear"], weights["linearBias"])
    grad = F.cross_entropy_backward(np.float32(1), logits, target)
    by_features, by_linear, by_linear_bias = F.linear_backward(grad, features, weights["linear"])
    by_maps = F.max_pool2d_backward(by_features.reshape(pooled.shape), maps, 4)
    by_summed = F.relu_backward(by_maps, summed)
    _, by_kernel, by_kernel_bias = F.conv2d_backward(by_summed, x, weights["kernel"], 1, 1)
    gradients = {
        "kernel": by_kernel,
        "kernelBias": by_kernel_bias,
        "linear": by_linear,
        "linearBias": by_linear_bias,
    }
    for name, gradient in gradients.items():
        velocity[name] = settings["momentum"] * velocity[name] + gradient
        weights[name] = (weights[name] - settings["rate"] * velocity[name]).astype(np.float32)
    return float(F.cross_entropy(logits, target))


def test_steps_with_momentum_are_the_engines(ask):
    settings = {"rate": 0.1, "momentum": 0.9, "batch": 8}
    data, run = ask([("trainingData", [5]), ("trainFor", [5, settings, 4])])
    pictures = np.stack([as_array(picture) for picture in data["train"]["pictures"]])
    targets = np.array(data["train"]["targets"])
    weights = {name: as_array(value) for name, value in run["start"]["weights"].items()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    losses = [
        engine_step(weights, velocity, pictures[batch], targets[batch], settings) for batch in run["batches"]
    ]
    np.testing.assert_allclose(run["losses"], losses, **TOLERANCE)
    for name, value in run["state"]["weights"].items():
        np.testing.assert_allclose(as_array(value), weights[name], **TOLERANCE, err_msg=name)


def test_a_run_can_be_repeated_and_every_setting_changes_it(ask):
    others = [{"rate": 0.03}, {"momentum": 0.5}, {"batch": 8}]
    calls = [("trainFor", [3, {**USUAL, **change}, 5]) for change in ({}, {}, *others)]
    first, again, *changed = [run["losses"] for run in ask([*calls, ("trainFor", [4, USUAL, 5])])]
    assert first == again
    assert len({tuple(losses) for losses in (first, *changed)}) == 5


def test_it_learns_from_every_start_tried(ask):
    for run in ask([("trainFor", [seed, USUAL, 400]) for seed in range(3)]):
        assert not run["state"]["diverged"]
        assert abs(run["losses"][0] - GUESSING) < 0.3
        assert np.mean(run["losses"][-50:]) < 0.3
        assert run["right"] > 0.85


def test_the_highest_rate_is_told_as_diverged_whatever_else_is_set(ask):
    settings = [
        {"rate": HIGHEST_RATE, "momentum": momentum, "batch": batch}
        for momentum in (0, 0.5, 0.95)
        for batch in (1, 16, 64)
    ]
    for run in ask([("trainFor", [seed, one, 40]) for seed, one in enumerate(settings)]):
        assert run["state"]["diverged"]
        assert run["losses"][-1] > 10 * GUESSING
        for name in run["state"]["weights"]:
            assert np.isfinite(as_array(run["state"]["weights"][name])).all()


def test_a_loss_that_is_no_number_is_told_as_diverged_and_ends_the_run(ask):
    (data, start) = ask([("trainingData", [0]), ("startTraining", [0])])
    start["weights"]["linear"]["data"][0] = 3e38
    start["weights"]["linearBias"]["data"][1] = 3e38
    (state,) = ask([("trainStep", [start, USUAL, data["train"]])])
    assert state["diverged"]
    assert state["step"] == 1
    (after,) = ask([("trainStep", [state, USUAL, data["train"]])])
    assert after == state


def test_strokes_are_as_many_of_each_class_and_test_pictures_are_new(ask):
    (data,) = ask([("trainingData", [0])])
    for part in data.values():
        pictures = np.stack([as_array(picture) for picture in part["pictures"]])
        assert pictures.min() >= 0
        assert pictures.max() <= 1
        assert len(set(Counter(part["targets"]).values())) == 1
    rows = {as_array(picture).tobytes() for part in data.values() for picture in part["pictures"]}
    assert len(rows) == sum(len(part["pictures"]) for part in data.values())


# ---- The screen


@pytest.fixture
def open_live(open_page, plain_page):
    return lambda state="", **settings: open_page(plain_page, f"#screen=live{state}", **settings)


def step_of(page) -> int:
    return int(page.inner_text("#live-step"))


def test_a_step_shows_the_modules_loss(open_live, ask):
    page = open_live("&seed=7&rate=0.03&batch=8")
    page.get_by_role("button", name="Step", exact=True).press("Enter")
    page.wait_for_function("() => document.getElementById('live-step').textContent === '1'")
    (run,) = ask([("trainFor", [7, {**USUAL, "rate": 0.03, "batch": 8}, 1])])
    assert float(page.inner_text("#live-loss")) == pytest.approx(run["losses"][0], abs=ROUNDED)
    assert page.inner_text("#live-right") == f"{100 * run['right']:.0f} %"


def test_play_learns_until_paused_and_the_address_brings_the_moment_back(open_live):
    page = open_live()
    before = int(page.inner_text("#live-right").removesuffix(" %"))
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => live.run.step >= 100", timeout=20_000)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("() => location.hash.includes(`step=${live.run.step}`)")
    step, right = step_of(page), page.inner_text("#live-right")
    assert int(right.removesuffix(" %")) > before + 25
    again = open_live(page.evaluate("location.hash").removeprefix("#screen=live"))
    again.wait_for_function("(step) => live.run.step === step && !live.playing", arg=step, timeout=20_000)
    again.evaluate("drawLive()")
    for place in ("#live-right", "#live-loss"):
        assert again.inner_text(place) == page.inner_text(place)


def test_sliders_moved_while_it_learns_are_in_the_address_and_learned_anew(open_live):
    page = open_live("&seed=3")
    page.get_by_role("button", name="Play").click()
    for label, key, step in (
        ("Learning rate", "ArrowLeft", 30),
        ("Batch", "ArrowRight", 60),
        ("Momentum", "Home", 60),
    ):
        page.wait_for_function("(step) => live.run.step >= step", arg=step, timeout=20_000)
        page.get_by_label(label).press(key)
    page.wait_for_function("() => location.hash.includes('momentum-0')")
    page.wait_for_function("() => live.run.step >= 90", timeout=20_000)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("() => location.hash.includes(`step=${live.run.step}`)")
    settings = "[live.rate, live.batch, live.momentum]"
    assert page.evaluate(settings) == [0.03, 32, 0]
    again = open_live(page.evaluate("location.hash").removeprefix("#screen=live"))
    again.wait_for_function(
        "(step) => live.run.step === step && !live.playing", arg=step_of(page), timeout=20_000
    )
    assert again.evaluate(settings) == page.evaluate(settings)
    losses = "live.history.map(({ loss }) => loss)"
    assert again.evaluate(losses) == page.evaluate(losses)
    again.get_by_role("button", name="Start again").click()
    again.wait_for_function("() => location.hash.includes('step=0') && !location.hash.includes('turned')")
    assert again.evaluate("location.hash").startswith("#screen=live&rate=0.03&momentum=0&batch=32&seed=3")


def test_a_run_turned_too_often_is_told_by_its_settings_alone(open_live):
    page = open_live()
    page.evaluate(
        "() => { for (let i = 0; i <= MOST_TURNS; i++) { stepBy(1); turnKnob('rate', i % 2 ? 0.1 : 0.3); } }"
    )
    page.wait_for_function("() => location.hash.includes('rate=0.3')")
    assert page.evaluate("location.hash").endswith("step=0")


def test_the_highest_rate_diverges_in_a_sentence_and_starting_again_helps(open_live):
    page = open_live()
    page.get_by_label("Learning rate").press("End")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("status").filter(has_text="Diverged at step").wait_for()
    assert page.get_by_role("button", name="Play").is_disabled()
    assert "diverged" in page.get_by_role("img", name="Curve of the loss").get_attribute("aria-label")
    assert "NaN" not in page.inner_text("#screen-live")
    page.get_by_label("Learning rate").press("Home")
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("button", name="Step", exact=True).click()
    page.wait_for_function("() => live.run.step === 1 && !live.run.diverged")


def test_a_net_whose_kernels_find_nothing_any_more_is_told_as_dead(open_live):
    page = open_live("&rate=3")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("status").filter(has_text="Dead: every kernel").wait_for(timeout=20_000)
    page.get_by_role("button", name="Pause").click()
    assert page.evaluate(
        "forwardPass(live.run.weights, live.data.test.pictures[0]).maps.data.every((v) => v === 0)"
    )


def test_every_slider_of_the_page_has_its_label(open_live):
    unnamed = """[...document.querySelectorAll("input, select, textarea")]
        .filter((one) => !one.labels.length && !one.ariaLabel).map((one) => one.outerHTML)"""
    assert open_live().evaluate(unnamed) == []


def test_nothing_plays_by_itself_where_motion_is_unwelcome(open_live):
    page = open_live(reduced_motion="reduce")
    page.get_by_role("button", name="25 steps").click()
    page.wait_for_function("() => document.getElementById('live-step').textContent === '25'")
    page.wait_for_timeout(100)
    assert step_of(page) == 25


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_jumps_while_it_learns_or_diverges(open_live, width):
    page = open_live(width=width)
    boxes = """[...document.querySelectorAll("#screen-live :is(canvas, button, input, h2)")]
        .map((one) => [one.offsetTop, one.offsetLeft, one.offsetWidth])"""
    before = page.evaluate(boxes)
    for changes in ("stepBy(30)", "live.rate = 30; stepBy(30)"):
        page.evaluate(f"() => {{ {changes}; drawLive(); }}")
        assert page.evaluate(boxes) == before
    assert page.evaluate("live.run.diverged")


def test_nonsense_in_the_address_of_a_run_is_passed_over(open_live):
    page = open_live(
        "&rate=1e9&momentum=NaN&batch=-3&seed=x&picture=1e9&step=-4&turned=3-rate-7_x_-2-batch-8_1-seed-0.1"
    )
    assert page.evaluate("[live.rate, live.momentum, live.batch, live.seed, live.picture]") == [
        *USUAL.values(),
        0,
        11,
    ]
    assert page.evaluate("live.turns") == []
