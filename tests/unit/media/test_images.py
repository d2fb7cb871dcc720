"""Untrusted images: every kind that is accepted, every trick that is refused, and nothing in between."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageFile

from interplay.errors import (
    InterplayError,
    InvalidParameter,
    PayloadTooLarge,
    UnreadableImage,
    UnsupportedMedia,
)
from interplay.media.images import (
    ImageHeader,
    ImageLimits,
    decode,
    encode_heatmap_png,
    encode_jpeg,
    encode_picture,
    encode_png,
    probe,
    sniff,
)

ORIENTATION = 0x112


def photo(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    """A smooth picture without symmetry, which JPEG keeps well."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = (255 * x / width, 255 * y / height, 255 * (x + 2 * y) / (width + 2 * height))
    return np.stack(planes, axis=-1).astype(np.uint8)


def encoded(image: PillowImage.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    if not isinstance(image, PillowImage.Image):
        image = PillowImage.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> PillowImage.Exif:
    data = PillowImage.Exif()
    data[ORIENTATION] = orientation
    return data


def png_of(width: int, height: int, *, data: bytes = b"") -> bytes:
    """A PNG that claims a size, whatever its data holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test if pixels are decoded."""

    def load(self: Any) -> None:
        pytest.fail("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_kind_is_found_from_the_content(kind: str) -> None:
    content = encoded(photo(), kind)
    assert sniff(content) == kind
    assert probe(content) == ImageHeader(kind, 40, 24)
    assert probe(content).pixels == 960
    image = decode(content)
    assert (image.shape, image.dtype) == ((24, 40, 3), np.uint8)
    assert np.abs(image.astype(int) - photo()).mean() < 6


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False, "quality": 95}])
def test_both_kinds_of_webp(options: dict[str, Any]) -> None:
    image = decode(encoded(photo(), "WEBP", **options))
    assert np.abs(image.astype(int) - photo()).max() <= (0 if options["lossless"] else 25)


OTHERS = {
    "empty": (b"", "empty"),
    "gif": (encoded(photo(), "GIF"), "a GIF"),
    "bmp": (encoded(photo(), "BMP"), "a BMP"),
    "tiff": (encoded(photo(), "TIFF"), "a TIFF"),
    "big-endian tiff": (b"MM\x00*" + bytes(20), "a TIFF"),
    "ico": (encoded(photo(), "ICO"), "an ICO"),
    "pdf": (b"%PDF-1.7\n1 0 obj", "a PDF"),
    "zip": (b"PK\x03\x04" + bytes(30), "a ZIP archive"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
    "svg after space": (b"\n  <svg/>", "an SVG"),
    "xml": (b'<?xml version="1.0"?><svg/>', "an XML document"),
    "html": (b"<!DOCTYPE html><html></html>", "an HTML document"),
    "json": (b'{"image": "..."}', "JSON"),
    "heic": (b"\x00\x00\x00\x18ftypheic" + bytes(40), "HEIF or AVIF"),
    "avif": (b"\x00\x00\x00\x18ftypavif" + bytes(40), "HEIF or AVIF"),
    "text": (b"hello, this is a picture", "not an image"),
    "base64": (b"iVBORw0KGgoAAAANSUhEUgAA", "not an image"),
    "zeros": (bytes(1000), "not an image"),
    "spaces": (b" " * 1000, "not an image"),
    "riff that is no webp": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not an image"),
    "half a png signature": (b"\x89PNG", "not an image"),
}


@pytest.mark.parametrize("content, seen", OTHERS.values(), ids=OTHERS.keys())
def test_other_kinds_are_refused_by_name(content: bytes, seen: str) -> None:
    for read in (sniff, probe, decode):
        with pytest.raises(UnsupportedMedia, match=seen) as caught:
            read(content)
        assert "JPEG" in caught.value.message
        assert caught.value.field == "image"


def test_bytes_are_counted_first(no_decoding: None) -> None:
    content = encoded(photo(), "PNG")
    assert probe(content, ImageLimits(max_bytes=len(content)))
    with pytest.raises(PayloadTooLarge, match=f"{len(content):,} bytes; the limit is {len(content) - 1:,}"):
        decode(content, ImageLimits(max_bytes=len(content) - 1))
    with pytest.raises(PayloadTooLarge):  # even of what is no image
        decode(b"hello", ImageLimits(max_bytes=4))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pixels_are_counted_before_decoding(kind: str, no_decoding: None) -> None:
    content = encoded(photo(24, 40), kind)
    assert probe(content, ImageLimits(max_pixels=960))
    with pytest.raises(PayloadTooLarge, match="40x24 = 960 pixels; the limit is 959") as caught:
        decode(content, ImageLimits(max_pixels=959))
    assert caught.value.metadata == {"limit": "959", "value": "960"}


@pytest.mark.parametrize("width, height", [(7_000, 7_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bomb_is_refused_by_its_header(width: int, height: int, no_decoding: None) -> None:
    for read in (probe, decode):
        with pytest.raises(PayloadTooLarge, match="limit of 40,000,000|limit is 40,000,000"):
            read(png_of(width, height, data=zlib.compress(bytes(1000))))


def test_side_is_limited_too(no_decoding: None) -> None:
    with pytest.raises(PayloadTooLarge, match=r"20001x1; the limit for a side is 20,000"):
        decode(png_of(20_001, 1))
    assert probe(png_of(20_000, 1)) == ImageHeader("PNG", 20_000, 1)


def test_compressed_text_bomb_in_a_png_is_no_way_in() -> None:
    body = b"Comment\x00\x00" + zlib.compress(bytes(80_000_000))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    content = encoded(photo(), "PNG")
    with pytest.raises(UnreadableImage):
        decode(content[:33] + chunk + content[33:])


# The stored picture of each orientation, made from the upright one; EXIF 2.32, tag 0x112.
STORED_AS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 3),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_exactly(orientation: int) -> None:
    stored = np.ascontiguousarray(STORED_AS[orientation](photo()))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        content = encoded(stored, kind, exif=exif(orientation), **options)
        np.testing.assert_array_equal(decode(content), photo(), err_msg=kind)
    upright = decode(encoded(stored, "JPEG", quality=95, exif=exif(orientation)))
    assert upright.shape == photo().shape
    assert np.abs(upright.astype(int) - photo()).max() <= 30


def test_header_has_the_size_before_orientation() -> None:
    content = encoded(photo(24, 40), "JPEG", exif=exif(6))
    assert probe(content) == ImageHeader("JPEG", 40, 24)
    assert decode(content).shape == (40, 24, 3)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_orientation_out_of_range_is_ignored(orientation: int) -> None:
    np.testing.assert_array_equal(decode(encoded(photo(), "PNG", exif=exif(orientation))), photo())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "junk", [b"Exif\x00\x00garbage", b"garbage", b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff"]
)
def test_broken_exif_does_not_cost_the_picture(kind: str, junk: bytes) -> None:
    if kind == "JPEG" and not junk.startswith(b"Exif"):
        junk = b"Exif\x00\x00" + junk
    assert decode(encoded(photo(), kind, exif=junk)).shape == photo().shape


def frames(count: int) -> list[PillowImage.Image]:
    return [PillowImage.fromarray(np.roll(photo(), i, axis=1)) for i in range(count)]


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_animation_is_refused(kind: str, no_decoding: None) -> None:
    content = encoded(frames(3)[0], kind, save_all=True, append_images=frames(3)[1:], duration=50)
    for read in (probe, decode):
        with pytest.raises(UnsupportedMedia, match=r"animated \(3 frames\)"):
            read(content)


def test_mpo_is_the_jpeg_of_its_first_frame() -> None:
    content = encoded(PillowImage.fromarray(photo()), "MPO", save_all=True, append_images=frames(2)[1:])
    assert probe(content).format == "JPEG"
    assert np.abs(decode(content).astype(int) - photo()).mean() < 6


def test_cmyk_jpeg() -> None:
    content = encoded(PillowImage.fromarray(photo()).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode(content).astype(int) - photo()).mean() < 6


def test_grey_jpeg() -> None:
    image = decode(encoded(photo()[:, :, 0], "JPEG", quality=95))
    assert image.shape == (24, 40, 3)
    assert (image[..., 0] == image[..., 2]).all()


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.array([[0, 128, 256, 257], [1000, 32768, 65278, 65535]], dtype=np.uint16)
    image = decode(encoded(values, "PNG"))
    np.testing.assert_array_equal(image[..., 0], [[0, 0, 1, 1], [4, 128, 254, 255]])
    assert (image[..., 0] == image[..., 1]).all()


def test_dark_16_bit_grey_stays_dark() -> None:
    assert decode(encoded(np.full((4, 4), 200, dtype=np.uint16), "PNG")).max() <= 1


def test_16_bit_grey_is_turned_upright() -> None:
    values = (np.arange(24, dtype=np.uint16).reshape(4, 6) * 257).astype(np.uint16)
    image = decode(encoded(values, "PNG", exif=exif(3)))
    np.testing.assert_array_equal(image[..., 0], (values // 257)[::-1, ::-1])


def test_16_bit_rgb() -> None:
    """Pillow cannot write one, so it is written by hand."""
    row = b"\x00" + struct.pack(">6H", 0, 32768, 65535, 65535, 256, 512)
    content = png_of(2, 1, data=zlib.compress(row))
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    content = content[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + content[33:]
    np.testing.assert_allclose(decode(content), [[[0, 128, 255], [255, 1, 2]]], atol=1)


def test_palette() -> None:
    image = PillowImage.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8), mode=None).convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    np.testing.assert_array_equal(
        decode(encoded(image, "PNG")), [[[255, 0, 0], [0, 0, 255]], [[0, 0, 255], [255, 0, 0]]]
    )


def test_palette_with_transparency_lies_over_white() -> None:
    image = PillowImage.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    for transparency in (0, b"\x00\xff"):
        content = encoded(image, "PNG", transparency=transparency)
        np.testing.assert_array_equal(decode(content), [[[255, 255, 255], [0, 0, 255]]])


def test_transparency_lies_over_white() -> None:
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    expected = [[[255, 0, 0], [255, 255, 255], [127, 127, 127]]]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        np.testing.assert_allclose(decode(encoded(rgba, kind, **options)), expected, atol=1)
    grey = np.array([[[100, 255], [100, 0]]], dtype=np.uint8)
    np.testing.assert_array_equal(decode(encoded(grey, "PNG")), [[[100] * 3, [255] * 3]])


@pytest.mark.parametrize("mode, key", [("L", 100), ("RGB", (100, 100, 100)), ("1", 255)])
def test_transparent_colour_lies_over_white(mode: str, key: Any) -> None:
    value = 255 if mode == "1" else 100
    image = PillowImage.fromarray(np.full((2, 2, 3), value, dtype=np.uint8)).convert(mode)
    assert (decode(encoded(image, "PNG", transparency=key)) == 255).all()


def test_one_bit() -> None:
    bits = np.array([[0, 255, 0], [255, 0, 255]], dtype=np.uint8)
    content = encoded(PillowImage.fromarray(bits).convert("1"), "PNG")
    np.testing.assert_array_equal(decode(content)[..., 1], bits)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("height, width", [(1, 1), (1, 16_000), (16_000, 1), (3, 2)])
def test_tiny_and_thin_pictures(kind: str, height: int, width: int) -> None:
    assert decode(encoded(photo(height, width), kind)).shape == (height, width, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_anywhere_is_unreadable(kind: str) -> None:
    content = encoded(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8), kind)
    for length in range(20, len(content) - 64, 61):
        with pytest.raises(UnreadableImage, match=f"{kind} data is truncated or corrupt"):
            decode(content[:length])


SEEDS = [
    *(encoded(photo(8, 12), kind) for kind in ("JPEG", "PNG", "WEBP")),
    encoded(photo(8, 12), "JPEG", exif=exif(6), progressive=True),
    encoded(PillowImage.fromarray(photo(8, 12)).convert("P"), "PNG", exif=exif(3)),
    encoded(frames(2)[0], "WEBP", save_all=True, append_images=frames(2)[1:]),
    encoded(frames(2)[0], "MPO", save_all=True, append_images=frames(2)[1:]),
]
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["set", "cut", "drop", "add"]),
        st.binary(max_size=6),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(seed=st.sampled_from(SEEDS), changes=CHANGES)
def test_damaged_files_never_escape_the_error_tree(
    seed: bytes, changes: list[tuple[float, str, bytes]]
) -> None:
    content = seed
    for place, what, data in changes:
        at = int(place * len(content))
        if what == "set":
            content = content[:at] + data + content[at + len(data) :]
        elif what == "cut":
            content = content[:at]
        elif what == "drop":
            content = content[:at] + content[at + len(data) :]
        else:
            content = content[:at] + data + content[at:]
    limits = ImageLimits(max_pixels=1_000_000)
    try:
        image = decode(content, limits)
    except InterplayError as error:
        assert error.row.http_status in {413, 415, 422}
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_judged(content: bytes) -> None:
    for prefix in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\x00\x00\x00WEBPVP8 "):
        with pytest.raises((UnsupportedMedia, UnreadableImage, PayloadTooLarge)):
            decode(prefix + content)


def test_no_metadata_in_what_is_encoded() -> None:
    image = decode(encoded(photo(), "JPEG", exif=exif(1), comment=b"secret"))
    for content in (encode_png(image), encode_jpeg(image)):
        with PillowImage.open(io.BytesIO(content)) as reopened:
            assert not reopened.getexif()
            assert b"secret" not in content


def test_png_round_trip_is_exact() -> None:
    np.testing.assert_array_equal(decode(encode_png(photo())), photo())
    np.testing.assert_array_equal(decode(encode_png(photo()[..., 0]))[..., 0], photo()[..., 0])


def test_jpeg_round_trip_is_close() -> None:
    low, high = encode_jpeg(photo(), quality=20), encode_jpeg(photo(), quality=95)
    assert len(low) < len(high)
    assert np.abs(decode(high).astype(int) - photo()).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_are_written_in_the_kind_asked_for(kind: str) -> None:
    image = decode(encoded(photo(), "JPEG", exif=exif(1), comment=b"secret"))
    content = encode_picture(image, kind)
    assert sniff(content) == kind and b"secret" not in content
    found = decode(content).astype(int)
    assert found.shape == image.shape
    assert np.abs(found - image).mean() <= (0 if kind == "PNG" else 4)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_quality_of_lossy_pictures(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sizes = [len(encode_picture(noise, kind, quality)) for quality in (1, 50, 92, 100)]
    assert sizes == sorted(sizes) and sizes[0] < 0.3 * sizes[-1]
    assert len(encode_picture(noise, kind)) == sizes[2]


def test_fine_jpegs_keep_the_colour_of_thin_strokes() -> None:
    image = np.full((40, 40, 3), (0, 0, 255), dtype=np.uint8)
    image[:, ::4] = (255, 0, 0)
    fine, coarse = (decode(encode_picture(image, "JPEG", quality)).astype(int) for quality in (90, 89))
    assert np.abs(fine - image)[:, ::4].mean() < 0.5 * np.abs(coarse - image)[:, ::4].mean()


def test_transparency_is_kept_where_the_kind_has_some() -> None:
    plate = np.zeros((20, 30, 4), dtype=np.uint8)
    plate[5:15, 5:25] = (200, 30, 30, 255)
    plate[5:15, 15:25, 3] = 128
    for kind in ("PNG", "WEBP"):
        with PillowImage.open(io.BytesIO(encode_picture(plate, kind))) as picture:
            assert picture.mode == "RGBA"
            np.testing.assert_array_equal(np.asarray(picture)[..., 3], plate[..., 3])
    flat = decode(encode_picture(plate, "JPEG", 100)).astype(int)
    np.testing.assert_allclose(flat[2, 2], (255, 255, 255), atol=3)
    np.testing.assert_allclose(flat[10, 10], (200, 30, 30), atol=6)
    np.testing.assert_allclose(flat[10, 20], (227, 142, 142), atol=6)


def test_webp_has_a_longest_side() -> None:
    assert decode(encode_picture(np.zeros((1, 16_383, 3), np.uint8), "WEBP")).shape == (1, 16_383, 3)
    for shape, size in (((1, 16_384, 3), "16384x1"), ((16_400, 2, 4), "2x16400")):
        with pytest.raises(
            InvalidParameter, match=f"is {size}; the limit for a side in WebP is 16,383"
        ) as caught:
            encode_picture(np.zeros(shape, np.uint8), "WEBP")
        assert caught.value.field == "format"
        assert encode_picture(np.zeros(shape, np.uint8), "JPEG")


def test_heatmap_png_is_255_times_the_probability() -> None:
    probability = np.array([[0.0, 0.5, 1.0], [0.1, -0.2, 1.2]], dtype=np.float32)
    with PillowImage.open(io.BytesIO(encode_heatmap_png(probability))) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), [[0, 128, 255], [26, 0, 255]])
