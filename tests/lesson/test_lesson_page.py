"""The lesson in a browser: stepped, typed into, drawn on; every shown number against the engine's."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from striate import bundle, filters
from striate.architectures import Spec
from striate.architectures.to_engine import to_engine
from striate.architectures.weights import initial_weights
from striate.engine import functional as F
from striate.inference import load
from striate.schemas import Preprocess
from striate.workflows.lesson import lesson

SIDE = 12  # of the tiny network's images
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
ROUNDED = 0.0051  # of numbers shown with two decimals
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}  # float32 sums in another order
STEP_LIMIT_MS = 8


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace(MINUS, "-").lstrip("= "))


def shown_products(page) -> np.ndarray:
    """(kH kW, 3): the pixel, weight and product of each cell under the window."""
    cells = page.evaluate(
        """[...document.querySelectorAll("#conv-products td")].map((td) =>
             [td.children[0].textContent, td.children[2].value, td.children[3].textContent])"""
    )
    return np.array([[number(text) for text in cell] for cell in cells])


def page_pixels(page) -> np.ndarray:
    pixels = np.array(page.evaluate("Array.from(conv.pixels)"), np.float32)
    return pixels.reshape(1, 1, *2 * (round(len(pixels) ** 0.5),))


def engine_output(page, kernel: np.ndarray) -> np.ndarray:
    stride, padding, dilation = page.evaluate("[conv.stride, conv.padding, conv.dilation]")
    weight = kernel.astype(np.float32)[None, None]
    return F.conv2d(page_pixels(page), weight, None, stride, padding, dilation)[0, 0]


def page_output(page) -> np.ndarray:
    shape, values = page.evaluate("[conv.output.shape, Array.from(conv.output.data)]")
    return np.array(values, np.float32).reshape(shape[1:])


def test_every_number_of_every_step_is_the_engines_after_a_pixel_and_a_weight_changed(open_page, plain_page):
    page = open_page(plain_page, "#screen=convolution&picture=seven&side=6&kernel=sobel-x")
    page.get_by_role("button", name="Draw on it").click()
    page.locator("#conv-input").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("4")
    page.get_by_role("button", name="Draw on it").click()
    page.get_by_label("Kernel, row 2, column 1").fill("-3/4")
    kernel = filters.named("sobel-x").weights.copy()
    kernel[1, 0] = -0.75
    pixels = page_pixels(page)[0, 0]
    assert pixels[1, 1] == np.float32(0.4)
    expected = engine_output(page, kernel)
    padded = np.pad(pixels, 1)
    page.locator("#conv-output").focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowUp")
    for row in range(6):
        for column in range(6):
            page.wait_for_function(f"() => conv.position === {6 * row + column}")
            page.evaluate("drawConvolution()")
            products = shown_products(page)
            window = padded[row : row + 3, column : column + 3].ravel()
            np.testing.assert_allclose(products[:, 0], window, atol=ROUNDED)
            np.testing.assert_allclose(products[:, 1], kernel.ravel(), atol=ROUNDED)
            np.testing.assert_allclose(products[:, 2], window * kernel.ravel(), atol=ROUNDED)
            assert number(page.inner_text("#conv-sum")) == pytest.approx(expected[row, column], abs=ROUNDED)
            assert f"row {row + 1}, column {column + 1}" in page.inner_text("#conv-sum-of")
            page.keyboard.press("ArrowRight")
        for _ in range(5):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")


@pytest.mark.parametrize(
    "state",
    [
        "side=12&kernel=edge-detect&stride=2&padding=0",
        "side=16&kernel=box-3&stride=3&dilation=2&padding=1",
        "side=10&weights=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16&padding=3",
    ],
)
def test_stride_padding_dilation_and_sizes_are_the_engines(open_page, plain_page, state):
    page = open_page(plain_page, f"#screen=convolution&picture=cat&{state}")
    kernel = np.array(page.evaluate("laid()")).reshape(2 * (page.evaluate("conv.size"),))
    expected = engine_output(page, kernel)
    np.testing.assert_allclose(page_output(page), expected, **TOLERANCE)
    assert page.inner_text("#conv-output-size") == f"{expected.shape[0]} {TIMES} {expected.shape[1]}"
    assert page.inner_text("#conv-formula").endswith(f"= {expected.shape[0]}")
    reads = F.conv2d_backward(
        np.ones_like(expected)[None, None],
        page_pixels(page),
        np.ones_like(kernel, np.float32)[None, None],
        *page.evaluate("[conv.stride, conv.padding, conv.dilation]"),
    )[0]
    unread = int((reads == 0).sum())
    assert page.inner_text("#conv-unread").startswith(
        f"{unread} pixels" if unread else "The window reads every"
    )


def test_turned_kernel_is_convolution(open_page, plain_page):
    page = open_page(plain_page, "#screen=convolution&picture=house&kernel=emboss")
    kernel = filters.named("emboss").weights
    page.get_by_role("button", name="Turned by half a turn").click()
    np.testing.assert_allclose(page_output(page), engine_output(page, kernel[::-1, ::-1]), **TOLERANCE)


def test_the_torch_lines_give_the_same_output(open_page, plain_page):
    import torch

    page = open_page(plain_page, "#screen=convolution&picture=cat&kernel=box-3&stride=2&side=10")
    names = {"picture": torch.from_numpy(page_pixels(page))}
    exec(page.inner_text("#conv-code"), names)
    np.testing.assert_allclose(page_output(page), names["output"].numpy()[0, 0], **TOLERANCE)


def test_play_fills_the_output_and_stops_at_its_end(open_page, plain_page):
    page = open_page(plain_page, "#screen=convolution&side=6&at=33&filled=33")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => conv.position === 35 && !conv.timer")
    assert page.evaluate("conv.filled") == 35


def test_address_brings_the_moment_back(open_page, own_page):
    page = open_page(own_page, "#screen=convolution&side=8&kernel=sharpen&stride=2")
    page.get_by_label("Kernel, row 1, column 1").fill("2")
    page.locator("#conv-input").click(position={"x": 40, "y": 40})
    page.wait_for_timeout(300)
    moment = page.evaluate("[location.hash, conv.weights, conv.position, conv.stride]")
    again = open_page(own_page, moment[0])
    assert again.evaluate("[location.hash, conv.weights, conv.position, conv.stride]")[1:] == moment[1:]


def test_nonsense_in_the_address_is_passed_over(open_page, own_page):
    page = open_page(
        own_page, "#screen=nowhere&side=1e9&picture=%3Cscript%3E&weights=1,x&at=-5&kernel=constructor"
    )
    assert page.evaluate("[conv.side, conv.size, conv.position]") == [12, 3, 0]
    open_page(own_page, "#screen=network&layer=none&map=1e99&turn=NaN&pixels=zz")


def engine_logits(model, pixels: np.ndarray, weights) -> np.ndarray:
    spec = Spec.from_dict(bundle.read_record(model).spec)
    network = to_engine(spec, (1, SIDE, SIDE), 3, weights)
    network.eval()
    return network.forward((pixels[None] - np.float32(0.3)) / np.float32(0.4))[0]


def shown_shares(page) -> np.ndarray:
    texts = page.locator("#net-bars .bar b").all_inner_texts()
    return np.array([float(re.sub("[^0-9.]", "", text)) / 100 for text in texts])


def test_the_answer_is_the_classifiers_and_follows_what_is_drawn(open_page, own_page, model, image, weights):
    page = open_page(own_page, "#screen=network")
    np.testing.assert_allclose(
        shown_shares(page), load(model, engine="numpy").predict_proba(str(image))[0], atol=6e-4
    )
    box = page.locator("#net-input").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 20, steps=4)
    page.mouse.up()
    page.locator("#net-turn").fill("25")
    page.get_by_label("Shift: right").click()
    page.wait_for_timeout(100)
    pixels = np.array(page.evaluate("Array.from(net.input)"), np.float32).reshape(1, SIDE, SIDE)
    assert pixels.max() > 0.9
    logits = engine_logits(model, pixels, weights)
    np.testing.assert_allclose(page.evaluate("Array.from(net.values.at(-1).data)"), logits, **TOLERANCE)
    np.testing.assert_allclose(shown_shares(page), F.softmax(logits[None] / 1.5, 1)[0], atol=6e-4)
    assert page.inner_text("#net-best").startswith(("cat", "hen", "<b>owl</b>")[int(logits.argmax())])


def test_the_rows_of_every_layer_add_up_to_its_number(open_page, own_page):
    page = open_page(own_page, "#screen=network")
    kinds = page.evaluate("net.nodes.map((node) => node.kind)")
    for place, kind in enumerate(kinds):
        page.locator("#net-layers button").nth(place).click()
        page.wait_for_function(f"() => net.place.node === {place}")
        page.evaluate("drawNet()")
        value = number(page.inner_text("#net-value"))
        rows = [number(text) for text in page.locator("#net-terms .term b").all_inner_texts()]
        if kind in ("conv2d", "linear", "add"):
            assert sum(rows) == pytest.approx(value, abs=ROUNDED * (len(rows) + 1))
        elif kind == "max_pool2d":
            cells = page.locator("#net-terms td").all_inner_texts()
            assert max(map(number, cells)) == value
        elif kind == "relu":
            assert max(rows[0], 0) == value
        elif kind in ("concatenate", "flatten", "dropout"):
            assert rows == [value]


WIDE = Spec.from_dict(
    {
        "name": "wide",
        "output": "log_probabilities",
        "layers": [
            {"conv2d": {"out_channels": 3, "kernel_size": 3, "padding": 1}},
            {"avg_pool2d": {"kernel_size": 9, "stride": 1}},
            {"max_pool2d": {"kernel_size": [4, 17], "stride": 1}},
            {"adaptive_avg_pool2d": {"output_size": [1, 3]}},
            "flatten",
            {"linear": {"out_features": "num_classes"}},
            "log_softmax",
        ],
    }
)


@pytest.fixture(scope="module")
def wide_page(tmp_path_factory) -> Path:
    """The page of a network of wide pictures with large windows, that ends in a softmax."""
    return page_of(WIDE, tuple("abcdefghi"), tmp_path_factory.mktemp("wide"))


def page_of(spec: Spec, class_names: tuple[str, ...], folder: Path) -> Path:
    """The page of an untrained network of pictures of 12 x 36, and of noise."""
    drawn = initial_weights(spec, (1, 12, 36), len(class_names), seed=1)
    bundle.write(
        folder / "model",
        {name: 3 * value for name, value in drawn.items()},
        name="wide",
        spec=spec.to_dict(),
        class_names=class_names,
        preprocess=Preprocess(channels=1, height=12, width=36, mean=(0.5,), std=(0.5,)),
        data=bundle.TrainingData(name="noise", fingerprint="0", samples=9),
    )
    pixels = np.random.default_rng(2).integers(0, 256, (12, 36), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    return lesson(folder / "model", folder / "noise.png", out=folder / "lesson.html")


def opened(page, kind: str) -> tuple[float, list[str], list[float]]:
    """Value, words and numbers of the rows of the first value of the layer of a kind."""
    place = page.evaluate("net.nodes.map((node) => node.kind)").index(kind)
    page.locator("#net-layers button").nth(place).click()
    page.wait_for_function(f"() => net.place.node === {place}")
    page.evaluate("drawNet()")
    texts = page.locator("#net-terms .term span").all_inner_texts()
    numbers = [number(text) for text in page.locator("#net-terms .term b").all_inner_texts()]
    return number(page.inner_text("#net-value")), texts, numbers


def test_large_windows_and_shares_are_told_whole(open_page, wide_page):
    page = open_page(wide_page, "#screen=network")
    value, texts, numbers = opened(page, "avg_pool2d")
    assert texts[-1] == "the sum of 75 more"
    assert sum(numbers) / 81 == pytest.approx(value, abs=ROUNDED)
    value, texts, numbers = opened(page, "max_pool2d")
    assert texts[-1] == "the largest of 62 more"
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == value
    opened(page, "adaptive_avg_pool2d")
    assert "the 4 numbers" in page.inner_text("#net-text")
    value, texts, numbers = opened(page, "log_softmax")
    assert len(numbers) == 8
    assert texts[-1] == "the largest of 2 more"
    logits, shown = (
        np.array(page.evaluate("Array.from(net.values.at(-2).data)")),
        page.evaluate("net.place.channel"),
    )
    assert page.inner_text("#net-terms .formula").endswith(f"= {page.inner_text('#net-value')}")
    assert numbers[0] == pytest.approx(logits[shown], abs=ROUNDED)
    assert value == pytest.approx(F.log_softmax(logits[None], 1)[0, shown], abs=ROUNDED)


def test_wide_pictures_leave_no_empty_room(open_page, wide_page):
    page = open_page(wide_page, "#screen=network")
    box = page.locator("#net-input").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(3, rel=0.02)


POOLS = (
    {"padding": 1},
    {"padding": 1, "count_include_pad": False},
    {"ceil_mode": True, "padding": 1, "stride": 4},
)
POOLED = Spec.from_dict(
    {
        "name": "pooled",
        "layers": [
            *({"avg_pool2d": {"kernel_size": 3, "stride": 1} | pool} for pool in POOLS),
            {"conv2d": {"out_channels": 32, "kernel_size": 1}},
            "adaptive_avg_pool2d",
            "flatten",
            {"linear": {"out_features": "num_classes"}},
        ],
    }
)
ALIKE = (
    "Tomato___Tomato_Yellow_Leaf_Curl_Virus_in_spring",
    "Tomato___Tomato_Yellow_Leaf_Curl_Virus_in_autumn",
)


@pytest.fixture(scope="module")
def pooled_page(tmp_path_factory) -> Path:
    """The page of a network with padded averages, many wide maps, and names that begin alike."""
    return page_of(POOLED, ALIKE, tmp_path_factory.mktemp("pooled"))


@pytest.mark.parametrize(
    ("layer", "row", "column", "numbers", "text"),
    [
        ("pool1", 0, 0, 9, "5 of them are zeros of the padding."),
        ("pool1", 4, 4, 9, "The mean of the 9 numbers of its window."),
        ("pool2", 0, 0, 4, "The empty places of the window lie outside and are not counted."),
        ("pool3", 3, 9, 4, "3 of them are zeros of the padding. The empty places"),
    ],
)
def test_the_mean_of_what_a_padded_average_shows_is_its_value(
    open_page, pooled_page, layer, row, column, numbers, text
):
    page = open_page(pooled_page, f"#screen=network&layer={layer}&map=0&row={row}&column={column}")
    page.evaluate("drawNet()")
    cells = [number(cell) for cell in page.locator("#net-terms td").all_inner_texts() if cell.strip()]
    assert len(cells) == numbers
    assert np.mean(cells) == pytest.approx(number(page.inner_text("#net-value")), abs=ROUNDED)
    assert text in page.inner_text("#net-text")


def test_wide_maps_fill_their_place_and_follow_clicks_and_keys(open_page, pooled_page):
    page = open_page(pooled_page, "#screen=network&layer=conv1&map=0&row=0&column=0")
    page.evaluate("drawNet()")
    _, height, width = page.evaluate("net.nodes[net.place.node].shape")
    across = page.evaluate("net.across")
    room = page.locator("#net-maps").bounding_box()
    assert room["width"] / room["height"] == pytest.approx(
        across * width / (-(-32 // across) * height), rel=0.05
    )
    down, right = divmod(20, across)
    size = room["width"] / across
    page.locator("#net-maps").click(
        position={"x": (right + 0.99) * size - 4, "y": (down + 0.5) * size * height / width}
    )
    found = page.evaluate("net.place")
    assert (found["channel"], found["column"]) == (20, width - 1)
    page.keyboard.press("PageDown")
    assert page.evaluate("net.place.channel") == 21


def test_the_address_brings_a_sideways_shift_back(open_page, wide_page):
    page = open_page(wide_page, "#screen=network&shift=-40,-20")
    assert page.evaluate("net.shift") == [-12, -20]


@pytest.mark.parametrize("width", [390, 1280])
def test_names_that_begin_alike_are_told_apart(open_page, pooled_page, width):
    page = open_page(pooled_page, "#screen=network", width=width)
    names = page.locator("#net-bars .bar > span:first-child")
    assert len(set(names.all_inner_texts())) == len(ALIKE)
    cut = names.evaluate_all("all => all.map(one => one.scrollHeight - one.clientHeight)")
    assert max(cut) <= 1
    assert page.locator("#net-bars .bar").evaluate_all("all => all.map(one => one.title)") == list(ALIKE)


def test_a_number_leads_back_to_the_pixels(open_page, own_page):
    page = open_page(own_page, "#screen=network&layer=linear1&map=1")
    for _ in range(30):
        if page.evaluate("net.place.node") == 0:
            break
        before = page.evaluate("net.place")
        page.locator("#net-terms button:is(.link:enabled, .term:not([aria-pressed]))").first.click()
        page.wait_for_function("(old) => net.place.node !== old.node", arg=before)
        page.evaluate("drawNet()")
    assert page.inner_text("#net-kind") == "Picture"
    page.get_by_role("button", name="Back").click()
    page.wait_for_function("() => net.place.node === 1")


def test_field_of_a_unit_holds_every_pixel_that_changes_it(open_page, own_page):
    page = open_page(own_page, "#screen=network")
    outside = page.evaluate(
        """() => {
          const wrong = [];
          net.nodes.forEach((node, place) => {
            const at = { node: place, channel: 0, row: node.shape[1] >> 1, column: node.shape[2] >> 1 };
            if (node.shape.length === 1) at.row = at.column = 0;
            const field = fieldOf(net.nodes, at);
            const before = valueAt(at);
            for (let i = 0; i < net.base.length; i++) {
              const old = net.base[i];
              net.base[i] = old > 0.5 ? -3 : 4;
              computeNet();
              const [y, x] = [Math.floor(i / 12), i % 12];
              const inside = y >= field.top && y <= field.bottom && x >= field.left && x <= field.right;
              if (valueAt(at) !== before && !inside) wrong.push([node.path, y, x]);
              net.base[i] = old;
            }
            computeNet();
          });
          return wrong;
        }"""
    )
    assert outside == []


def test_class_map_is_the_weighted_sum_of_the_last_maps(open_page, own_page, weights):
    page = open_page(own_page, "#screen=network")
    place = page.evaluate("PAGE.network.classMap.maps")
    shape, data = page.evaluate("(at) => [net.values[at].shape, Array.from(net.values[at].data)]", place)
    maps = np.array(data, np.float32).reshape(shape)
    for k in range(3):
        found = np.array(page.evaluate("(k) => Array.from(classMap(k).values)", k)).reshape(shape[1:])
        np.testing.assert_allclose(
            found, np.einsum("c,chw->hw", weights["linear1.weight"][k], maps), **TOLERANCE
        )
    page.get_by_role("button", name="hen").click()
    assert page.inner_text("#net-map-title") == "What speaks for hen"


def test_names_are_texts_and_never_markup(open_page, own_page):
    page = open_page(own_page, "#screen=network")
    assert page.inner_text("h1 >> visible=true") == "tiny <net>, from pixels to answer"
    assert "<b>owl</b>" in page.inner_text("#net-bars")
    assert page.locator("#conv-pictures").text_content().startswith("<i>stripes")


@pytest.mark.parametrize("screen", ["convolution", "network"])
def test_files_are_taken_or_refused_with_a_word(open_page, own_page, screen):
    page = open_page(own_page, f"#screen={screen}")
    prefix = {"convolution": "conv", "network": "net"}[screen]
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), (255, 0, 0)).save(buffer, "PNG")
    files = page.locator(f"#{prefix}-file")
    files.set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    page.get_by_text(f"red.png: 300 {TIMES} 200 pixels, scaled to 12 {TIMES} 12.").wait_for()
    values = page.evaluate("Array.from(conv.pixels)" if prefix == "conv" else "Array.from(net.base)")
    np.testing.assert_allclose(values, 0.299, atol=0.05)
    files.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.get_by_text("a.png is not a picture that this browser can read").wait_for()


@pytest.mark.parametrize(("theme", "width"), [("light", 1600), ("dark", 360)])
def test_every_screen_is_accessible_and_fits(open_page, own_page, theme, width):
    page = open_page(own_page, width=width, color_scheme=theme, reduced_motion="reduce")
    for name in page.evaluate("screens.map(({ name }) => name)"):
        page.evaluate("(name) => showScreen(screens.find((screen) => screen.name === name))", name)
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_every_screen_prints_on_one_sheet(open_page, own_page):
    page = open_page(own_page)
    for name in page.evaluate("screens.map(({ name }) => name)"):
        page.evaluate("(name) => showScreen(screens.find((screen) => screen.name === name))", name)
        sheets = re.findall(rb"/Type\s*/Page[^s]", page.pdf(prefer_css_page_size=True))
        assert len(sheets) == 1, name


def test_nothing_moves_while_the_window_does(open_page, plain_page):
    page = open_page(plain_page, "#screen=convolution&picture=cat&side=12&kernel=box-3")
    boxes = """[...document.querySelectorAll("#screen-convolution :is(canvas, button)")]
        .map((one) => [one.offsetTop, one.offsetLeft])"""
    before = page.evaluate(boxes)
    for position in (0, 17, 143):
        page.evaluate("(position) => { moveTo(position); drawConvolution(); }", position)
        assert page.evaluate(boxes) == before


def test_a_step_on_28_pixels_is_quick(open_page, plain_page):
    page = open_page(plain_page, "#screen=convolution&picture=cat&side=28&kernel=edge-detect", width=1600)
    quickest = page.evaluate(
        """() => {
          let best = Infinity;
          for (let step = 0; step < 30; step++) {
            const start = performance.now();
            conv.position = step;
            drawConvolution();
            document.body.offsetHeight;
            best = Math.min(best, performance.now() - start);
          }
          return best;
        }"""
    )
    assert quickest < STEP_LIMIT_MS


def test_without_javascript_a_sentence_says_so(open_page, plain_page):
    page = open_page(plain_page, java_script_enabled=False)
    assert "needs JavaScript" in page.inner_text("noscript")
