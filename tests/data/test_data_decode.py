import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from striate.data import decode
from striate.schemas import Preprocess


def settings(channels=3, height=8, width=8, fit="squash"):
    return Preprocess(
        channels=channels, height=height, width=width, fit=fit, mean=(0.0,) * channels, std=(1.0,) * channels
    )


def encode(image, format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(height=8, width=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("format", "options"), [
    ("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}),
])  # fmt: skip
def test_lossless_formats_give_the_pixels_that_were_saved(format, options):
    expected = noise()
    found = decode.pixels(encode(Image.fromarray(expected), format, **options), settings())
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("format", ["JPEG", "GIF"])
def test_lossy_formats_give_nearly_the_flat_colour_that_was_saved(format):
    image = Image.new("RGB", (8, 8), (200, 40, 90))
    found = decode.pixels(encode(image, format), settings())
    assert np.abs(found.astype(int).mean(axis=(1, 2)) - (200, 40, 90)).max() < 4


def test_a_format_outside_the_list_is_refused_by_content():
    for format in ("PPM", "TGA", "ICO"):
        with pytest.raises(decode.Undecodable):
            decode.load(encode(Image.fromarray(noise(16, 16)), format))


def test_grey_of_a_colour_image_is_itu_luma():
    colours = noise()
    found = decode.pixels(encode(Image.fromarray(colours)), settings(channels=1))
    luma = colours.astype(float) @ (0.299, 0.587, 0.114)
    assert np.abs(found[0] - luma).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_rotated_images_come_out_upright(orientation, format):
    # A dark image with one bright quarter says which way is up, even after JPEG.
    array = np.zeros((16, 24), np.uint8)
    array[:8, :12] = 255
    upright = Image.fromarray(array).convert("RGB")
    inverse = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if inverse is None else upright.transpose(Image.Transpose(inverse))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    facts, found = decode.load(encode(stored, format, exif=exif, **options))
    assert (facts.width, facts.height) == (24, 16)
    assert np.abs(np.asarray(found.convert("L")).astype(int) - array).max() < 40


def test_upright_agrees_with_pillow():
    exif = Image.Exif()
    exif[0x0112] = 7
    content = encode(Image.fromarray(noise(5, 9)), exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(np.asarray(decode.load(content)[1]), np.asarray(expected))


def test_broken_exif_leaves_the_image_as_it_is():
    content = encode(Image.fromarray(noise()), "JPEG", exif=b"Exif\0\0garbage that is no directory")
    facts, _ = decode.load(content)
    assert (facts.width, facts.height) == (8, 8)


@pytest.mark.parametrize(("format", "dtype"), [("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", np.int32)])
def test_sixteen_bits_are_scaled_not_clipped(format, dtype):
    ramp = np.linspace(0, 65535, 64).astype(dtype).reshape(8, 8)
    facts, found = decode.load(encode(Image.fromarray(ramp), format))
    assert facts.grey
    np.testing.assert_array_equal(np.asarray(found), np.rint(ramp / 257))


def test_sixteen_bits_of_which_zero_is_white_are_turned_round():
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    _, found = decode.load(encode(Image.fromarray(ramp), "TIFF", tiffinfo={262: 0}))
    np.testing.assert_array_equal(np.asarray(found), 255 - np.rint(ramp / 257))


def test_thirty_two_bits_without_a_sign_are_scaled():
    ramp = np.linspace(0, 2**32 - 1, 64).astype(np.uint32).reshape(8, 8)
    signed = encode(Image.fromarray(ramp.view(np.int32)), "TIFF")
    sample_format = struct.Struct("<HHIH")
    unsigned = signed.replace(sample_format.pack(339, 3, 1, 2), sample_format.pack(339, 3, 1, 1))
    assert unsigned != signed
    _, found = decode.load(unsigned)
    np.testing.assert_array_equal(np.asarray(found), np.rint(ramp * (255 / (2**32 - 1))))


def test_negative_numbers_are_refused():
    with pytest.raises(decode.Undecodable, match="negative"):
        decode.load(encode(Image.fromarray(np.full((4, 4), -3, np.int32)), "TIFF"))


def test_the_transparent_value_of_sixteen_bits_is_white():
    array = np.full((4, 4), 1000, np.uint16)
    array[0, 0] = 1001
    _, found = decode.load(encode(Image.fromarray(array), transparency=1001))
    np.testing.assert_array_equal(np.unique(np.asarray(found)), (round(1000 / 257), 255))
    assert np.asarray(found)[0, 0] == 255


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_are_scaled_by_the_range_they_fill(white):
    ramp = np.linspace(0, white, 64, dtype=np.float32).reshape(8, 8)
    _, found = decode.load(encode(Image.fromarray(ramp), "TIFF"))
    np.testing.assert_array_equal(np.asarray(found), np.rint(ramp * (255 / white)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -3.0])
def test_floats_without_a_brightness_are_refused(bad):
    with pytest.raises(decode.Undecodable, match=r"finite|negative"):
        decode.load(encode(Image.fromarray(np.full((4, 4), bad, np.float32)), "TIFF"))


def test_transparent_pixels_become_white_whatever_their_colour():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (10, 20, 30, 255)
    rgba[4:] = (10, 20, 30, 0)
    found = decode.pixels(encode(Image.fromarray(rgba)), settings())
    np.testing.assert_array_equal(found[:, 0, 0], (10, 20, 30))
    np.testing.assert_array_equal(found[:, 7, 7], (255, 255, 255))


def test_half_transparent_grey_is_laid_on_white_and_stays_grey():
    facts, found = decode.load(encode(Image.new("LA", (8, 8), (0, 128))))
    assert facts.grey
    assert found.mode == "L"
    assert abs(int(np.asarray(found)[0, 0]) - 127) <= 1


def test_palette_with_a_transparent_entry_is_laid_on_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (0, 0, 8, 4))
    found = decode.pixels(encode(image, transparency=0), settings())
    np.testing.assert_array_equal(found[:, 0, 0], (0, 0, 200))
    np.testing.assert_array_equal(found[:, 7, 7], (255, 255, 255))


@pytest.mark.parametrize(("palette", "grey"), [([0, 0, 0, 90, 90, 90], True), ([0, 0, 0, 90, 91, 90], False)])
def test_a_palette_is_grey_if_the_colours_in_use_are(palette, grey):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([*palette, 250, 0, 0])
    image.paste(1, (0, 0, 4, 4))
    assert decode.load(encode(image))[0].grey is grey


def test_cmyk_comes_out_as_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    found = decode.pixels(encode(image, "JPEG"), settings())
    assert np.abs(found[:, 4, 4].astype(int) - (255, 0, 0)).max() < 8


def test_one_bit_images_use_the_whole_range():
    array = np.zeros((8, 8), bool)
    array[2:5] = True
    found = decode.pixels(encode(Image.fromarray(array)), settings(channels=1))
    np.testing.assert_array_equal(found[0], array * 255)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first_is_taken(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    options = {"lossless": True} if format == "WEBP" else {}
    content = encode(frames[0], format, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode.pixels(content, settings())[:, 4, 4], (255, 0, 0))


def png_of_size(width, height):
    """A PNG that claims a size; its data would be a few bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = zlib.compress(b"\0" * 100)
    body = struct.pack(">I", len(data)) + b"IDAT" + data + struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return b"\x89PNG\r\n\x1a\n" + chunk + body


@pytest.mark.parametrize("size", [(10_001, 10_000), (12_000, 12_000), (60_000, 60_000)])
def test_decompression_bombs_are_refused_without_a_warning(size):
    with warnings.catch_warnings(), decode.quiet(), pytest.raises(decode.Undecodable, match="100 million"):
        decode.load(png_of_size(*size))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_files_are_refused_with_a_reason(format, share):
    content = encode(Image.fromarray(noise(64, 64)), format)
    with decode.quiet(), pytest.raises(decode.Undecodable) as caught:
        decode.load(content[: int(len(content) * share)])
    assert len(str(caught.value)) > 10


def decodes(content):
    """Whether `content` decodes; anything but `Undecodable` passes through."""
    try:
        decode.pixels(content, settings())
    except decode.Undecodable:
        return False
    return True


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
def test_damaged_files_raise_nothing_but_undecodable(format):
    random = np.random.default_rng(0)
    content = np.frombuffer(encode(Image.fromarray(noise(20, 20)), format), np.uint8)
    refused = 0
    with decode.quiet():
        for _ in range(100):
            damaged = content.copy()
            places = random.integers(0, min(len(content), 300), 8)
            damaged[places] = random.integers(0, 256, 8)
            refused += not decodes(damaged.tobytes())
    assert refused


def test_text_called_png_is_refused():
    with pytest.raises(decode.Undecodable, match="not a JPEG"):
        decode.load(b"hello, I am no picture")


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_an_image_of_the_right_size_is_not_changed_by_any_fit(fit):
    expected = noise(6, 10)
    found = decode.fit(Image.fromarray(expected), settings(height=6, width=10, fit=fit))
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


def test_crop_keeps_the_centre_in_proportion():
    array = np.zeros((20, 60), np.uint8)
    array[:, 18:42] = 255  # the filter looks a pixel or two beyond the square in the middle
    found = decode.fit(Image.fromarray(array), settings(1, 10, 10, "crop"))
    np.testing.assert_array_equal(found, 255)


def test_crop_with_a_share_agrees_with_torchvisions_resize_and_centre_crop():
    from torchvision.transforms import v2

    rng = np.random.Generator(np.random.PCG64(0))
    rough = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)).resize((400, 400))
    size, share = 224, 0.875
    theirs = v2.Compose([v2.Resize(256, v2.InterpolationMode.BICUBIC), v2.CenterCrop(size)])(rough)
    preprocess = settings(3, size, size, "crop").model_copy(
        update={"crop_share": share, "interpolation": "bicubic"}
    )
    ours = decode.fit(rough, preprocess).transpose(1, 2, 0)
    difference = np.abs(ours.astype(int) - np.asarray(theirs))
    assert difference.mean() < 0.5  # of 255: at the border theirs looks a pixel further out


def test_interpolation_changes_pixels_and_a_share_cuts_the_border():
    image = Image.new("RGB", (100, 100))
    image.paste((255, 255, 255), (10, 10, 90, 90))
    whole = settings(3, 40, 40, "crop")
    cut = whole.model_copy(update={"crop_share": 0.75})
    assert decode.fit(image, whole).min() == 0
    assert decode.fit(image, cut).min() == 255
    bicubic = whole.model_copy(update={"interpolation": "bicubic"})
    rough = Image.fromarray(noise(100, 100))
    assert not np.array_equal(decode.fit(rough, whole), decode.fit(rough, bicubic))


def test_pad_shows_everything_centred_on_black():
    found = decode.fit(Image.fromarray(np.full((20, 40), 255, np.uint8)), settings(1, 10, 10, "pad"))[0]
    np.testing.assert_array_equal(found[:2], 0)
    np.testing.assert_array_equal(found[-3:], 0)
    np.testing.assert_array_equal(found[2:7], 255)


def test_squash_ignores_proportions_and_averages_when_it_shrinks():
    checks = (np.indices((64, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = decode.fit(Image.fromarray(checks), settings(1, 8, 8))
    assert np.abs(found.astype(int) - 127).max() <= 2  # without antialiasing: 0 or 255


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_extreme_proportions_work(fit):
    for size in ((1, 500), (500, 1), (1, 1)):
        found = decode.fit(Image.new("RGB", size, (9, 9, 9)), settings(fit=fit))
        assert found.shape == (3, 8, 8)


def test_reduced_decoding_of_a_large_jpeg_loses_little():
    base = Image.fromarray(noise(30, 40)).resize((800, 600), Image.Resampling.BICUBIC)
    content = encode(base, "JPEG", quality=95)
    fast = decode.pixels(content, settings(height=32, width=32)).astype(int)
    facts, full = decode.load(content)
    slow = decode.fit(full, settings(height=32, width=32)).astype(int)
    assert (facts.width, facts.height) == (800, 600)
    assert np.abs(fast - slow).mean() < 1


def test_small_images_never_decode_reduced():
    content = encode(Image.fromarray(noise(64, 64)), "JPEG")
    full = decode.fit(decode.load(content)[1], settings())
    np.testing.assert_array_equal(decode.pixels(content, settings()), full)


def test_quiet_nests_and_restores_the_filters():
    before = list(warnings.filters)
    with decode.quiet(), decode.quiet():
        pass
    assert warnings.filters == before
