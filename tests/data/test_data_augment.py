import itertools
import typing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as reference

from striate.config import TrainConfig
from striate.data.augment import (
    PRESETS,
    affine,
    augment,
    colour,
    crop,
    mixing,
    photo,
    preview,
    trivial,
    writing,
)
from striate.errors import UserError

FLOAT32 = 2e-6  # a few roundings of values in [0, 1]
COLOURS = (
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
LEVELS_APART = 0.002  # share of 8-bit values that may differ by rounding at a tie


def some_images(n=8, channels=3, height=24, width=20, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, channels, height, width), dtype=np.uint8))


def smooth_images(n=6, channels=3, height=40, width=32):
    coarse = some_images(n, channels, 5, 4).to(torch.float32) / 255
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic", antialias=False)
    return fine.clamp(0, 1)


def apply(images, preset, seed=0, epoch=0, first=0):
    return augment(images, preset, seed=seed, epoch=epoch, indices=np.arange(first, first + len(images)))


def variants(images):
    return len({image.numpy().tobytes() for image in images})


RANDOM = [name for name in PRESETS if name != "none"]


def test_presets_are_those_of_the_settings():
    assert set(PRESETS) == set(typing.get_args(TrainConfig.model_fields["augment"].annotation))


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="unknown augmentation preset 'trivia': did you mean 'trivial'"):
        apply(some_images(), "trivia")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    ("channels", "height", "width"), [(1, 28, 28), (3, 32, 32), (3, 9, 17), (1, 2, 3), (3, 1, 1)]
)
def test_shape_dtype_and_range_stay_and_the_input_is_not_changed(preset, dtype, channels, height, width):
    images = some_images(16, channels, height, width)
    images = images if dtype == torch.uint8 else images.to(dtype) / 255
    before = images.clone()
    result = apply(images, preset)
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert result.max() <= (255 if dtype == torch.uint8 else 1)
    assert result.min() >= 0
    assert torch.equal(images, before)


@pytest.mark.parametrize("preset", RANDOM)
@pytest.mark.parametrize("channels", [1, 3])
def test_one_image_repeated_comes_out_in_many_variants(preset, channels):
    images = some_images(1, channels, 32, 32).expand(64, -1, -1, -1)
    assert (
        variants(apply(images, preset)) >= 30
    )  # of 50 or 162 shifts and flips, or 1 to 62 results of 14 operations


def test_none_changes_nothing():
    images = some_images()
    assert torch.equal(apply(images, "none"), images)


@pytest.mark.parametrize("preset", RANDOM)
def test_the_result_of_an_image_does_not_depend_on_its_batch(preset):
    images = some_images(12)
    together = apply(images, preset)
    alone = torch.cat([apply(images[i : i + 1], preset, first=i) for i in range(12)])
    # the mean grey of an image alone may be summed in another order: at most one 8-bit level apart
    assert (together.int() - alone.int()).abs().max() <= (1 if preset == "photo" else 0)


@pytest.mark.parametrize("preset", RANDOM)
def test_draws_change_with_seed_epoch_and_index(preset):
    images = some_images(1).expand(16, -1, -1, -1)
    base = apply(images, preset)
    assert torch.equal(base, apply(images, preset))
    for other in ({"seed": 1}, {"epoch": 1}, {"first": 100}):
        assert not torch.equal(base, apply(images, preset, **other))


@pytest.mark.parametrize("preset", RANDOM)
def test_8_bit_and_float_images_come_out_the_same(preset):
    images = some_images(16)
    from_levels = apply(images, preset).to(torch.float32)
    from_floats = apply(images.to(torch.float32) / 255, preset) * 255
    assert (from_levels - from_floats).abs().max() <= 0.501  # photo rounds levels


# shift and flip-crop


def naive_flip_and_shift(image, flip, down, right):
    """One image (C, H, W), shifted within its reflection, as `numpy.pad` makes it."""
    limit = 4
    image = image[:, :, ::-1] if flip else image
    padded = np.pad(image, ((0, 0), (limit, limit), (limit, limit)), mode="reflect")
    height, width = image.shape[1:]
    return padded[:, limit + down : limit + down + height, limit + right : limit + right + width]


def test_shift_gives_every_shift_of_the_naive_loop_and_never_a_mirror_image():
    image = some_images(1, 3, 32, 32)
    results = apply(image.expand(2000, -1, -1, -1), "shift")
    found = {result.numpy().tobytes() for result in results}
    shifts = range(-4, 5)
    expected = {
        naive_flip_and_shift(image[0].numpy(), False, down, right).tobytes()
        for down, right in itertools.product(shifts, shifts)
    }
    assert found == expected


def test_flip_crop_gives_every_flip_and_shift_of_the_naive_loop():
    image = some_images(1, 3, 32, 32)
    results = apply(image.expand(4000, -1, -1, -1), "flip-crop")
    found = {result.numpy().tobytes() for result in results}
    shifts = range(-4, 5)
    expected = {
        naive_flip_and_shift(image[0].numpy(), flip, down, right).tobytes()
        for flip, down, right in itertools.product([False, True], shifts, shifts)
    }
    assert found == expected


def test_flip_crop_shifts_a_small_image_by_less():
    image = some_images(1, 1, 8, 8)
    assert variants(apply(image.expand(500, -1, -1, -1), "flip-crop")) == 2 * 3 * 3


def test_flip_crop_flips_every_second_image():
    images = torch.arange(2, dtype=torch.uint8).view(1, 1, 1, 2).expand(4000, -1, -1, -1)
    flipped = crop.flip_and_shift(images, np.random.default_rng(0).random((4000, 3)))[:, 0, 0, 0]
    assert abs(float(flipped.float().mean()) - 0.5) < 0.03


def test_alternate_flips_each_image_in_every_second_epoch_and_half_of_them_in_each():
    images = some_images(200, 1, 8, 8)  # too small to be shifted
    mirrored = images.flip(3)
    flips = []
    for epoch in range(4):
        result = apply(images, "alternate", epoch=epoch)
        flips.append((result == mirrored).all(dim=(1, 2, 3)))
        assert ((result == images).all(dim=(1, 2, 3)) ^ flips[-1]).all()
    assert 70 < int(flips[0].sum()) < 130
    assert torch.equal(flips[0], ~flips[1])
    assert torch.equal(flips[0], flips[2])
    assert torch.equal(flips[1], flips[3])


def test_alternate_gives_every_shift_by_two_pixels_of_the_naive_loop():
    image = some_images(1, 3, 32, 32)
    found = {result.numpy().tobytes() for result in apply(image.expand(1000, -1, -1, -1), "alternate")}
    shifts = range(-2, 3)
    expected = {
        naive_flip_and_shift(image[0].numpy(), flip, down, right).tobytes()
        for flip, down, right in itertools.product([False, True], shifts, shifts)
    }
    assert found == expected


def test_cutout_covers_a_square_of_twelve_pixels_with_the_mean_colour():
    images = torch.zeros((300, 3, 32, 32), dtype=torch.uint8)
    images[:, :, ::2] = 201
    result = apply(images, "alternate-cutout")
    covered = (result != apply(images, "none")) & (result > 80) & (result < 120)
    rows, columns = covered[:, 0].any(dim=2).sum(dim=1), covered[:, 0].any(dim=1).sum(dim=1)
    assert int(rows.max()) == int(columns.max()) == 12
    assert int(rows.min()) >= 6  # at the border a part of it lies outside
    assert torch.equal(covered[:, 0], covered[:, 1])


# affine


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.5, 2),
    shear_x=st.floats(-45, 45),
    shear_y=st.floats(-45, 45),
    right=st.integers(-9, 9),
    down=st.integers(-9, 9),
    size=st.tuples(st.integers(4, 20), st.integers(4, 20)),
)
def test_bilinear_warp_matches_torchvision(angle, scale, shear_x, shear_y, right, down, size):
    images = some_images(2, 3, *size).to(torch.float32) / 255
    matrices = affine.inverse_matrices(
        angle=angle,
        scale=scale,
        shear_x=shear_x,
        shear_y=shear_y,
        translate_x=right,
        translate_y=[down, down],
    )
    warped = affine.warp(images, matrices, mode="bilinear", outside="zeros")
    expected = reference.affine(
        images, angle, [right, down], scale, [shear_x, shear_y], interpolation=InterpolationMode.BILINEAR
    )
    torch.testing.assert_close(warped, expected, atol=1e-4, rtol=0)  # positions of 20 pixels, in float32


def test_each_image_has_its_own_matrix():
    images = some_images(3).to(torch.float32)
    matrices = affine.inverse_matrices(translate_x=[0, 1, -2])
    warped = affine.warp(images, matrices, mode="nearest", outside="zeros")
    assert torch.equal(warped[0], images[0])
    assert torch.equal(warped[1, :, :, 1:], images[1, :, :, :-1])
    assert torch.equal(warped[2, :, :, :-2], images[2, :, :, 2:])
    assert not warped[1, :, :, 0].any()


def test_reflection_lets_nothing_but_the_image_in():
    images = torch.full((4, 3, 16, 16), 0.7)
    matrices = affine.inverse_matrices(angle=[10, 45, 90, 170], scale=0.6)
    torch.testing.assert_close(affine.warp(images, matrices, mode="bilinear", outside="reflection"), images)


# colour


def factors(n, seed):
    return np.random.default_rng(seed).uniform(0.5, 1.5, n)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_jitter_matches_torchvision_in_each_order(channels, order):
    images = some_images(5, channels).to(torch.float32) / 255
    settings = [factors(5, seed) for seed in range(3)]
    result = colour.jitter(
        images,
        brightness=settings[0],
        contrast=settings[1],
        saturation=settings[2],
        orders=np.repeat([order], 5, axis=0),
    )
    functions = (reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation)
    for row, image in enumerate(images):
        expected = image
        for kind in order:
            expected = functions[kind](expected, float(settings[kind][row]))
        torch.testing.assert_close(result[row], expected, atol=FLOAT32, rtol=0)


def test_jitter_leaves_the_hue_of_clear_colours():
    images = torch.tensor([0.6, 0.4, 0.3]).view(1, 3, 1, 1).expand(50, -1, 8, 8)
    result = photo.change_view_and_light(images, np.random.default_rng(0).random((50, 8)))
    red, green, blue = result.unbind(1)
    torch.testing.assert_close((green - blue) / (red - blue), torch.full_like(red, 1 / 3), atol=1e-3, rtol=0)


# photo


def undrawn(n=6):
    """Draws in the middle of their ranges: no rotation, shear or flip, scale and factors 1."""
    return np.tile([0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.0], (n, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_photo_changes_nothing_at_the_middle_of_its_ranges(channels):
    images = some_images(6, channels)
    assert torch.equal(photo.change_view_and_light(images, undrawn()), images)


def test_photo_flips_before_it_turns():
    images = smooth_images()
    uniform = undrawn()
    uniform[:, 0] = [0.0, 0.2, 0.4, 0.6, 0.8, 0.99]
    turned = photo.change_view_and_light(images.flip(3), uniform)
    uniform[:, 3] = 0.1
    torch.testing.assert_close(photo.change_view_and_light(images, uniform), turned, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (0, lambda image: reference.affine(image, 40.0, [0, 0], 1.0, [0.0, 0.0], InterpolationMode.BILINEAR)),
        (1, lambda image: reference.affine(image, 0.0, [0, 0], 1.2, [0.0, 0.0], InterpolationMode.BILINEAR)),
        (2, lambda image: reference.affine(image, 0.0, [0, 0], 1.0, [20.0, 0.0], InterpolationMode.BILINEAR)),
        (3, reference.horizontal_flip),
        (4, lambda image: reference.adjust_brightness(image, 1.2)),
        (5, lambda image: reference.adjust_contrast(image, 1.2)),
        (6, lambda image: reference.adjust_saturation(image, 1.2)),
    ],
    ids=["rotation", "scale", "shear", "flip", "brightness", "contrast", "saturation"],
)
def test_photo_reaches_the_end_of_each_range(column, expected):
    images = smooth_images()
    uniform = undrawn()
    uniform[:, column] = 0.0 if column == 3 else 1 - 2.0**-53
    result = photo.change_view_and_light(images, uniform)
    middle = (slice(None), slice(None), slice(12, 28), slice(12, 20))  # what never leaves the image
    torch.testing.assert_close(result[middle], expected(images)[middle], atol=1e-4, rtol=0)


# writing


def test_writing_adds_no_strokes_from_beyond_the_border():
    images = torch.zeros(200, 1, 28, 28)
    images[:, :, 25] = 1  # its reflection would lie at row 30
    shifted_up = np.full((200, 5), 0.5)
    shifted_up[:, 4] = 0
    shifted_up[:, 1] = 0
    assert not writing.change_hand(images, shifted_up)[:, :, 27].any()


@pytest.mark.parametrize("channels", [1, 3])
def test_writing_changes_nothing_at_the_middle_of_its_ranges(channels):
    images = some_images(6, channels)
    assert torch.equal(writing.change_hand(images, np.full((6, 5), 0.5)), images)


@pytest.mark.parametrize(
    ("column", "angle", "shift", "scale", "shear"),
    [
        (0, 10.0, [0, 0], 1.0, 0.0),
        (1, 0.0, [0, 0], 1.1, 0.0),
        (2, 0.0, [0, 0], 1.0, 10.0),
        (3, 0.0, [1, 0], 1.0, 0.0),
        (4, 0.0, [0, 1], 1.0, 0.0),
    ],
    ids=["rotation", "scale", "shear", "right", "down"],
)
def test_writing_reaches_the_end_of_each_range(column, angle, shift, scale, shear):
    images = smooth_images(height=28, width=28)
    uniform = np.full((6, 5), 0.5)
    uniform[:, column] = 1 - 2.0**-53
    result = writing.change_hand(images, uniform)
    expected = reference.affine(images, angle, shift, scale, [shear, 0.0], InterpolationMode.BILINEAR)
    middle = (slice(None), slice(None), slice(8, 20), slice(8, 20))  # what never leaves the image
    torch.testing.assert_close(result[middle], expected[middle], atol=1e-4, rtol=0)


# trivial


def test_magnitudes_are_those_of_torchvision():
    assert list(trivial.MAGNITUDES) == list(v2.TrivialAugmentWide._AUGMENTATION_SPACE)
    for operation, (magnitudes, signed) in v2.TrivialAugmentWide._AUGMENTATION_SPACE.items():
        expected = magnitudes(31, 32, 32)
        if expected is not None:
            np.testing.assert_allclose(trivial.MAGNITUDES[operation], expected.numpy(), rtol=1e-6)
            assert signed == (operation not in trivial.UNSIGNED)


@pytest.mark.parametrize("operation", trivial.MAGNITUDES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (23, 30), (2, 5)])
def test_each_operation_matches_torchvision_at_every_magnitude(operation, channels, size):
    magnitudes = trivial.MAGNITUDES[operation]
    if operation not in trivial.UNSIGNED:
        magnitudes = np.concatenate([magnitudes, -magnitudes])
    images = torch.cat(
        [some_images(len(magnitudes) // 2, channels, *size), some_images(99, channels, *size) // 3]
    )
    images = images[: len(magnitudes)]
    result = trivial.apply_operation(images, operation, magnitudes)
    oracle = v2.TrivialAugmentWide()
    expected = torch.stack(
        [
            oracle._apply_image_or_video_transform(
                image, operation, float(magnitude), "nearest", {torch.Tensor: None}
            )
            for image, magnitude in zip(images, magnitudes, strict=True)
        ]
    )
    assert result.dtype == torch.uint8
    assert (result != expected).float().mean() <= LEVELS_APART
    if operation in COLOURS:
        assert (result.int() - expected.int()).abs().max() <= 1


def test_trivial_takes_every_operation_equally_often():
    uniform = np.random.default_rng(0).random((2800, 3))
    image = torch.zeros((1, 1, 1, 1), dtype=torch.uint8).expand(2800, -1, -1, -1)
    result = trivial.trivial_augment(image, uniform)
    # a black pixel turns white under solarize of threshold 0 alone: 1 of 14 operations, 1 of 31 strengths
    assert int((result == 255).sum()) == int(
        ((uniform[:, 0] * 14 // 1 == 11) & (uniform[:, 1] >= 30 / 31)).sum()
    )


def test_trivial_changes_each_image_by_its_own_operation():
    images = some_images(14)
    uniform = np.stack([(np.arange(14) + 0.5) / 14, np.full(14, 0.7), np.full(14, 0.9)], axis=1)
    result = trivial.trivial_augment(images, uniform)
    for row, operation in enumerate(trivial.MAGNITUDES):
        magnitude = trivial.MAGNITUDES[operation][21:22]
        assert torch.equal(
            result[row : row + 1], trivial.apply_operation(images[row : row + 1], operation, magnitude)
        )


# mixing


def mix(method, n=300, a=1.0, epoch=0, size=(16, 12)):
    labels = torch.arange(n) % 7
    inputs = labels.to(torch.float32).view(-1, 1, 1, 1).expand(-1, 3, *size)
    indices = np.arange(n)
    mixed, targets = method(inputs, labels, num_classes=7, a=a, seed=0, epoch=epoch, indices=indices)
    return inputs, labels, mixed, targets


@pytest.mark.parametrize("method", [mixing.mixup, mixing.cutmix])
def test_labels_are_shared_as_the_pixels_are(method):
    _, labels, mixed, targets = mix(method)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(labels)))
    assert (targets >= 0).all()
    own = targets.gather(1, labels[:, None])[:, 0]
    following = labels.roll(-1)
    torch.testing.assert_close(targets.gather(1, following[:, None])[:, 0], 1 - own)
    # images are constant, so their mean is the shared label itself
    expected = own * labels + (1 - own) * following
    torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", [mixing.mixup, mixing.cutmix])
def test_every_image_has_a_share_of_its_own(method):
    _, labels, _, targets = mix(method, size=(64, 64))
    assert len(targets.gather(1, labels[:, None]).unique()) > 150
    assert not torch.equal(targets, mix(method, size=(64, 64), epoch=1)[3])


def test_mixup_shares_follow_beta():
    from scipy import stats

    _, labels, _, targets = mix(mixing.mixup, n=2800, a=0.4)
    shares = targets.gather(1, labels[:, None])[:, 0].double().numpy()
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 1e-4


def test_cutmix_pastes_one_box_of_the_next_image():
    inputs, _, mixed, _ = mix(mixing.cutmix)
    changed = (mixed != inputs).any(dim=1)
    assert ((mixed == inputs) | (mixed == inputs.roll(-1, 0))).all()
    for image in changed:
        rows, columns = image.any(dim=1), image.any(dim=0)
        assert torch.equal(image, rows[:, None] & columns[None, :])
        assert (rows.int().diff() == 1).sum() <= 1


def test_cutmix_boxes_cover_what_was_drawn_before_clipping():
    _, labels, _, targets = mix(mixing.cutmix, n=2800, a=1.0, size=(64, 64))
    own = targets.gather(1, labels[:, None])[:, 0].double().numpy()
    # of a box of side s about a uniform centre s - s*s/4 lies inside on average; its area s*s is uniform
    side = np.sqrt(np.random.default_rng(0).random(100_000))
    assert abs((1 - own).mean() - ((side - side**2 / 4) ** 2).mean()) < 0.03


@pytest.mark.parametrize("method", [mixing.mixup, mixing.cutmix])
def test_a_batch_of_one_class_keeps_whole_labels(method):
    labels = torch.full((9,), 2)
    inputs = torch.rand(9, 1, 8, 8)
    _, targets = method(inputs, labels, num_classes=4, a=0.5, seed=0, epoch=0, indices=np.arange(9))
    torch.testing.assert_close(targets, torch.tensor([0.0, 0.0, 1.0, 0.0]).expand(9, 4))


# preview


@pytest.mark.parametrize("preset", RANDOM)
def test_preview_shows_variants_of_one_image(preset):
    image = some_images(1)[0].numpy()
    shown = preview(image, preset, seed=1, count=20)
    assert shown.shape == (20, *image.shape)
    assert shown.dtype == np.uint8
    assert variants(torch.from_numpy(shown)) >= 10
    np.testing.assert_array_equal(shown, preview(image, preset, seed=1, count=20))
    assert (shown != preview(image, preset, seed=2, count=20)).any()
