"""Decode untrusted images under limits, and encode results.

The order matters: bytes are counted, the kind is found from the content, the header's size is
checked, and only then are pixels decoded. Every rejection names the limit and the value.
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags
from PIL import Image as PillowImage

from interplay.errors import InvalidParameter, PayloadTooLarge, UnreadableImage, UnsupportedMedia
from interplay.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from interplay.types import Image

ACCEPTED = ("JPEG", "PNG", "WEBP")
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}

# Of the format itself: a side is written in 14 bits.
_LONGEST_WEBP_SIDE = 16_383

# Kinds people send by mistake, so that the refusal can name what came.
_KNOWN_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x00\x00\x01\x00", "an ICO"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "an HTML document"),
    (b"<html", "an HTML document"),
    (b"{", "JSON"),
)

# How to turn a picture upright, by the value of its EXIF orientation; 1 is upright.
_UPRIGHT_TURNS = {
    2: PillowImage.Transpose.FLIP_LEFT_RIGHT,
    3: PillowImage.Transpose.ROTATE_180,
    4: PillowImage.Transpose.FLIP_TOP_BOTTOM,
    5: PillowImage.Transpose.TRANSPOSE,
    6: PillowImage.Transpose.ROTATE_270,
    7: PillowImage.Transpose.TRANSVERSE,
    8: PillowImage.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageLimits:
    """What is accepted.

    Attributes:
        max_bytes: Encoded size.
        max_pixels: Width times height after decoding.
        max_side: Width or height.
    """

    max_bytes: int = MAX_IMAGE_BYTES
    max_pixels: int = MAX_IMAGE_PIXELS
    max_side: int = 20_000


@dataclass(frozen=True)
class ImageHeader:
    """What the header says; ``width`` and ``height`` before EXIF orientation."""

    format: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


DEFAULT_LIMITS = ImageLimits()


def sniff(content: bytes) -> str:
    """Kind of image by its first bytes: ``JPEG``, ``PNG`` or ``WEBP``.

    Raises:
        UnsupportedMedia: Anything else, also an empty body.
    """
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if not content:
        raise UnsupportedMedia("the image is empty (0 bytes); send a JPEG, PNG or WebP file", field="image")
    if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif"):
        seen = "a HEIF or AVIF image"
    else:
        start = content[:64].lstrip()
        seen = next((name for magic, name in _KNOWN_OTHERS if start.startswith(magic)), "not an image")
    raise UnsupportedMedia(f"the content is {seen}; accepted are JPEG, PNG and WebP", field="image")


def probe(content: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> ImageHeader:
    """Check everything that can be checked without decoding pixels.

    Raises:
        PayloadTooLarge: Too many bytes or pixels, or too long a side.
        UnsupportedMedia: Not JPEG, PNG or WebP, or animated.
        UnreadableImage: The header is broken.
    """
    with _opened(content, limits) as image:
        # Pillow calls a JPEG with further frames (of phones and stereo cameras) MPO; its first is the photo.
        return ImageHeader("JPEG" if image.format == "MPO" else image.format or "", *image.size)


def decode(content: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Image:
    """Decode to upright RGB.

    EXIF orientation is applied; CMYK is converted; palettes are resolved; transparency is laid
    over white; 16-bit grey is scaled to 8 bits. No metadata survives.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PayloadTooLarge, UnsupportedMedia, UnreadableImage: As ``probe``; ``UnreadableImage`` also
            for truncated or corrupt pixel data.
    """
    with _opened(content, limits) as image:
        image.load()
        return np.asarray(_to_rgb(_upright(image)))


def _upright(image: PillowImage.Image) -> PillowImage.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken metadata says nothing about the pixels
        return image
    turn = _UPRIGHT_TURNS.get(int(orientation or 1))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: PillowImage.Image) -> PillowImage.Image:
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip at 255 instead of scaling
        values = np.asarray(image).astype(np.float32)
        scale = 257.0 if image.mode != "I" or values.max(initial=0) > 255 else 1.0
        return PillowImage.fromarray(np.clip(values / scale + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = PillowImage.new("RGBA", layered.size, (255, 255, 255, 255))
        return PillowImage.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _opened(content: bytes, limits: ImageLimits) -> Iterator[PillowImage.Image]:
    if len(content) > limits.max_bytes:
        raise PayloadTooLarge(
            f"the image has {len(content):,} bytes; the limit is {limits.max_bytes:,}",
            field="image",
            metadata={"limit": str(limits.max_bytes), "value": str(len(content))},
        )
    kind = sniff(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of sizes; our own limit below is stricter
            with PillowImage.open(io.BytesIO(content), formats=(kind,)) as image:
                _check_size(image, limits)
                yield image
    except (PayloadTooLarge, UnsupportedMedia):
        raise
    except PillowImage.DecompressionBombError as error:
        raise PayloadTooLarge(
            f"the image has more pixels than the limit of {limits.max_pixels:,}", field="image"
        ) from error
    except Exception as error:  # Pillow raises many types on broken data: OSError, ValueError, struct.error …
        raise UnreadableImage(
            f"the {kind} data is truncated or corrupt and cannot be decoded", field="image"
        ) from error


def _check_size(image: PillowImage.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise PayloadTooLarge(
            f"the image has {width}x{height} = {width * height:,} pixels; the limit is {limits.max_pixels:,}",
            field="image",
            metadata={"limit": str(limits.max_pixels), "value": str(width * height)},
        )
    if max(width, height) > limits.max_side:
        raise PayloadTooLarge(
            f"the image is {width}x{height}; the limit for a side is {limits.max_side:,} pixels",
            field="image",
            metadata={"limit": str(limits.max_side), "value": str(max(width, height))},
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise UnsupportedMedia(f"the image is animated ({frames} frames); send a single frame", field="image")


def shrink(image: Image, longest_px: int) -> Image:
    """A picture with no side longer than this; a smaller one stays as it is."""
    small = PillowImage.fromarray(image)
    small.thumbnail((longest_px, longest_px))
    return np.asarray(small)


def encode_png(image: NDArray[np.uint8], *, runs: bool = False) -> bytes:
    """PNG of (H, W, 3) RGB or (H, W) grey, lightly compressed: encoding time matters more than size.

    Args:
        image: Pixels.
        runs: Look for runs alone, which is faster and smaller where most of a picture is flat.
    """
    buffer = io.BytesIO()
    strategy = zlib.Z_RLE if runs else zlib.Z_DEFAULT_STRATEGY
    PillowImage.fromarray(image).save(buffer, format="PNG", compress_level=1, compress_type=strategy)
    return buffer.getvalue()


def encode_jpeg(image: Image, quality: int = 90) -> bytes:
    """JPEG of (H, W, 3) RGB."""
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def encode_picture(image: NDArray[np.uint8], kind: str, quality: int = 92) -> bytes:
    """A picture in one of the kinds that are accepted, too.

    Args:
        image: (H, W, 3) RGB or (H, W, 4) RGBA; transparency is laid over white where JPEG has none.
        kind: ``PNG``, ``JPEG`` or ``WEBP``.
        quality: Of the lossy kinds, 1 to 100.

    Raises:
        InvalidParameter: The picture has a longer side than WebP can have.
    """
    if kind == "PNG":
        return encode_png(image)
    height, width = image.shape[:2]
    if kind == "WEBP" and max(height, width) > _LONGEST_WEBP_SIDE:
        raise InvalidParameter(
            f"the picture is {width}x{height}; the limit for a side in WebP is {_LONGEST_WEBP_SIDE:,} pixels",
            field="format",
        )
    picture = PillowImage.fromarray(image)
    buffer = io.BytesIO()
    if kind == "WEBP":
        picture.save(buffer, format=kind, quality=quality, method=2)
    else:
        # From quality 90 on colours are not halved in resolution: thin coloured strokes would fade.
        sampling = 0 if quality >= 90 else 2
        _to_rgb(picture).save(buffer, format=kind, quality=quality, subsampling=sampling)
    return buffer.getvalue()


def encode_heatmap_png(probability: NDArray[np.float32]) -> bytes:
    """8-bit grey PNG of (H, W) probabilities: ``round(255 * p)`` (facts 1.1)."""
    return encode_png(np.rint(np.clip(probability, 0.0, 1.0) * 255.0).astype(np.uint8), runs=True)
