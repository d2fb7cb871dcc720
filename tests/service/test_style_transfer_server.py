"""The style transfer server as a process beside a text detection server: methods, refusals, ends."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay import errors
from interplay.launcher.ports import free_port
from interplay.media.images import decode, encode_png, sniff
from interplay.rpc.common.v1 import common_pb2, models_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from interplay.settings import MAX_IMAGE_BYTES
from interplay.store import resolve
from tests.fake_text_detection import FakeTextDetection
from tests.service.runtimes import RUNTIMES, running
from tests.service.style_transfer_process import CAPABILITY, StyleTransferProcess
from tests.style_models import STYLES, make_style_store

# A server takes a few seconds to start, and many on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MAX_PIXELS, MAX_STYLED = 120_000, 200_000
WORD = ((50, 30), (150, 30), (150, 70), (50, 70))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_style_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def running_detection() -> Iterator[FakeTextDetection]:
    fake = FakeTextDetection(free_port())
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def detection(running_detection: FakeTextDetection) -> Iterator[FakeTextDetection]:
    """The text detection server, to stop or slow down; it is well again afterwards."""
    yield running_detection
    running_detection.delay_s = 0.0
    running_detection.stop()
    running_detection.start()


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    store: Path,
    running_detection: FakeTextDetection,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StyleTransferProcess]:
    """One server for the module, once with each runtime; tests of endings start their own."""
    folder = tmp_path_factory.mktemp("server")
    with running(request.param, store, folder / "ts", "style_transfer") as settings:
        process = StyleTransferProcess(
            folder,
            store,
            running_detection.target,
            max_image_pixels=MAX_PIXELS,
            max_styled_pixels=MAX_STYLED,
            **settings,
        )
        process.wait_until_serving()
        yield process
        assert process.end() == 0
    assert all(line["level"] != "error" for line in process.log_lines())  # and every line is JSON


def photo(word: str = "HOTEL", width: int = 200, height: int = 101) -> np.ndarray:
    """A word in full red, which the detection server takes for text, on a ground without red."""
    page = PillowImage.new("RGB", (width, height))
    if word:
        font = ImageFont.load_default(30)
        ImageDraw.Draw(page).text((100, 50), word, fill=(255, 230, 200), font=font, anchor="mm")
    pixels = np.array(page)
    ground = pixels[..., 0] == 0
    rng = np.random.default_rng(0)
    pixels[ground] = np.dstack([np.zeros((height, width)), rng.integers(40, 70, (height, width, 2))])[ground]
    return pixels


def message(picture: np.ndarray | bytes) -> common_pb2.Image:
    return common_pb2.Image(content=picture if isinstance(picture, bytes) else encode_png(picture))


def mix(*parts: tuple[str, float] | str) -> pb.StyleMix:
    pairs = [(part, 1.0) if isinstance(part, str) else part for part in parts]
    return pb.StyleMix(parts=[pb.StyleWeight(style=name, weight=weight) for name, weight in pairs])


def polygon(points: Sequence[tuple[float, float]]) -> common_pb2.Polygon:
    return common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in points])


def stylize(server: StyleTransferProcess, picture: np.ndarray | bytes, **fields: Any) -> pb.StylizeResponse:
    fields.setdefault("mixes", [mix("gold")])
    request = pb.StylizeRequest(image=message(picture), **fields)
    return server.client.call(server.client.stub.Stylize, request)


def render(server: StyleTransferProcess, text: str, **fields: Any) -> pb.RenderTextResponse:
    request = pb.RenderTextRequest(text=text, **fields)
    return server.client.call(server.client.stub.RenderText, request)


def pixels(content: bytes) -> np.ndarray:
    """As they are stored, transparency and all."""
    with PillowImage.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


# Styles


def test_styles_are_listed_with_thumbnails(server: StyleTransferProcess, store: Path) -> None:
    client = server.client
    response = client.call(client.stub.ListStyles, pb.ListStylesRequest())
    domains = {name: model for model in ("scene", "print", "handwriting") for name in STYLES[model]}
    assert {style.name: style.domain for style in response.styles} == domains
    assert [style.name for style in response.styles] == list(domains)
    for style in response.styles:
        assert style.end_to_end == (style.domain == "scene")
        manifest = resolve(store, f"style-{style.domain}").manifest
        assert (style.model.name, style.model.version, style.model.digest) == (
            manifest.name,
            "1",
            manifest.digest,
        )
        assert sniff(style.thumbnail) == "PNG"
        height, width = decode(style.thumbnail).shape[:2]
        assert 56 < height < width < 400
    assert len({style.thumbnail for style in response.styles}) == len(domains)
    bare = client.call(client.stub.ListStyles, pb.ListStylesRequest(without_thumbnails=True))
    assert [style.name for style in bare.styles] == list(domains)
    assert not any(style.thumbnail for style in bare.styles)


def test_models_are_listed(server: StyleTransferProcess) -> None:
    reply = server.client.call(server.client.models.ListModels, models_pb2.ListModelsRequest())
    assert [model.info.name for model in reply.models] == [*CAPABILITY.models, "perceptual-vgg19"]
    assert {model.capability for model in reply.models} == {CAPABILITY.name}
    assert list(reply.models[0].labels) == list(STYLES["scene"])


# Modes


def test_whole_photo(server: StyleTransferProcess, store: Path) -> None:
    response = stylize(server, photo(), mode=pb.STYLE_MODE_WHOLE)
    (content,) = response.images
    assert response.format == pb.PICTURE_FORMAT_PNG and sniff(content) == "PNG"
    assert (response.width, response.height) == (200, 101) and decode(content).shape == (101, 200, 3)
    assert (decode(content) != photo()).any(axis=2).mean() > 0.9
    assert response.styled_ratio == 1.0 and not response.HasField("detector")
    assert response.model.digest == resolve(store, "style-scene").manifest.digest
    assert min(response.timings.decode_ns, response.timings.infer_ns, response.timings.postprocess_ns) > 0


def test_only_text_by_default(server: StyleTransferProcess) -> None:
    image = photo()
    whole = decode(stylize(server, image, mode=pb.STYLE_MODE_WHOLE).images[0])
    for mode in (pb.STYLE_MODE_UNSPECIFIED, pb.STYLE_MODE_SELECTIVE):
        response = stylize(server, image, mode=mode)
        found, heat = decode(response.images[0]), image[..., 0] / 255
        np.testing.assert_array_equal(found[heat < 0.3], image[heat < 0.3])
        np.testing.assert_array_equal(found[heat == 1], whole[heat == 1])
        between = (heat >= 0.3) & (heat < 1)
        blended = image + (whole.astype(float) - image) * heat[..., None]
        assert between.any() and np.abs(found - blended)[between].max() <= 0.51
        assert response.styled_ratio == pytest.approx((heat >= 0.3).mean(), abs=1e-6)
        assert response.detector.name == "fake" and response.model.name == "style-scene"


def test_heat_floor_of_the_request(server: StyleTransferProcess) -> None:
    image = photo("")
    image[20:40, 20:90, 0] = 102  # heat 0.4
    assert stylize(server, image).styled_ratio == pytest.approx(20 * 70 / (200 * 101))
    assert stylize(server, image, heat_floor=0.41).styled_ratio == 0
    assert stylize(server, image, heat_floor=0.0).styled_ratio == pytest.approx(20 * 70 / (200 * 101))


def test_photo_without_text_stays_as_it_is(server: StyleTransferProcess) -> None:
    response = stylize(server, photo(""))
    np.testing.assert_array_equal(decode(response.images[0]), photo(""))
    assert response.styled_ratio == 0 and response.detector.name == "fake"


def test_end_to_end_asks_no_detector(server: StyleTransferProcess) -> None:
    image = photo()
    response = stylize(server, image, mode=pb.STYLE_MODE_END_TO_END)
    found = decode(response.images[0])
    changed = (found != image).any(axis=2)
    assert response.styled_ratio == pytest.approx(changed.mean(), abs=1e-6) and changed.any()
    assert response.model.name == "style-selective" and not response.HasField("detector")


def test_polygons_alone_are_restyled(server: StyleTransferProcess) -> None:
    image = photo()
    shapes = [polygon([(10, 10), (60, 10), (60, 50), (10, 50)]), polygon([(150, 60), (230, 60), (150, 140)])]
    response = stylize(server, image, mode=pb.STYLE_MODE_POLYGONS, polygons=shapes)
    found = decode(response.images[0])
    y, x = np.mgrid[0:101, 0:200] + 0.5
    inside = ((x > 10) & (x < 60) & (y > 10) & (y < 50)) | ((x > 150) & (y > 60) & (x - 150 + y - 60 < 80))
    np.testing.assert_array_equal(found[~inside], image[~inside])
    assert (found != image).any(axis=2)[inside].mean() > 0.9
    assert response.styled_ratio == pytest.approx(inside.mean(), abs=2e-3)
    assert not response.HasField("detector")


@pytest.mark.parametrize(
    "mode", [pb.STYLE_MODE_WHOLE, pb.STYLE_MODE_SELECTIVE, pb.STYLE_MODE_END_TO_END], ids=pb.StyleMode.Name
)
def test_several_mixes_are_several_results(server: StyleTransferProcess, mode: int) -> None:
    mixes = [mix("gold"), mix(("gold", 0.5), ("neon", 0.8)), mix("chalk"), mix(("gold", 0.0))]
    if mode != pb.STYLE_MODE_END_TO_END:
        mixes += [mix("serif", "mono"), mix("writer-2")]
    response = stylize(server, photo(), mode=mode, mixes=mixes)
    assert len(response.images) == len(set(response.images)) == len(mixes)
    for index, one in enumerate(mixes):
        assert stylize(server, photo(), mode=mode, mixes=[one]).images[0] == response.images[index]


def test_formats(server: StyleTransferProcess) -> None:
    exact = decode(stylize(server, photo()).images[0]).astype(int)
    sizes = {}
    for form, kind in ((pb.PICTURE_FORMAT_JPEG, "JPEG"), (pb.PICTURE_FORMAT_WEBP, "WEBP")):
        for quality in (20, 95):
            response = stylize(server, photo(), format=form, quality=quality)
            content = response.images[0]
            assert response.format == form and sniff(content) == kind
            sizes[kind, quality] = len(content)
        assert np.abs(decode(content) - exact).mean() < 6
        assert sizes[kind, 20] < sizes[kind, 95]


@pytest.mark.parametrize("size", [(1, 1), (3, 150), (150, 2), (33, 47)])
def test_photos_of_odd_sizes(server: StyleTransferProcess, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 255, np.uint8)
    for mode in (pb.STYLE_MODE_WHOLE, pb.STYLE_MODE_SELECTIVE, pb.STYLE_MODE_END_TO_END):
        response = stylize(server, image, mode=mode)
        assert (response.height, response.width) == size
        assert decode(response.images[0]).shape == (*size, 3)


def test_rotated_photo_is_answered_upright(server: StyleTransferProcess) -> None:
    """The heatmap and the result belong to the photo as it is seen, not as it is stored."""
    exif = PillowImage.Exif()
    exif[0x112] = 6
    stored = io.BytesIO()
    PillowImage.fromarray(np.rot90(photo()).copy()).save(stored, format="PNG", exif=exif)
    response = stylize(server, stored.getvalue())
    assert (response.width, response.height) == (200, 101)
    assert response.images[0] == stylize(server, photo()).images[0]


# Words


def test_words_alone_have_transparency_around_them(server: StyleTransferProcess) -> None:
    response = render(server, "Open", mix=mix("gold", ("neon", 0.5)))
    picture = pixels(response.image)
    assert picture.shape == (response.height, response.width, 4) and picture.dtype == np.uint8
    assert 30 < response.height < 90 and response.width > response.height
    alpha = picture[..., 3]
    assert (alpha == 0).any() and (alpha == 255).any()
    assert response.mix == mix("gold", ("neon", 0.5)) and response.model.name == "style-scene"
    assert not response.HasField("region") and not response.HasField("detector")
    assert response.timings.infer_ns > 0
    tall = render(server, "Open\nClosed", mix=mix("serif"), line_height=120)
    assert tall.height > 2 * 100 and tall.model.name == "style-print"
    flat = render(server, "Open", mix=mix("gold"), format=pb.PICTURE_FORMAT_JPEG)
    assert sniff(flat.image) == "JPEG" and decode(flat.image)[:2, :2].min() > 200
    webp = render(server, "Open", mix=mix("gold"), format=pb.PICTURE_FORMAT_WEBP, quality=50)
    assert sniff(webp.image) == "WEBP" and pixels(webp.image).shape[2] == 4


def check_only_the_word_changed(response: pb.RenderTextResponse, image: np.ndarray) -> None:
    found = decode(response.image)
    assert (response.width, response.height) == (200, 101) and found.shape == image.shape
    rows, columns = np.nonzero((found != image).any(axis=2))
    assert rows.min() > 5 and rows.max() < 95 and columns.min() > 20 and columns.max() < 180
    points = np.array([[p.x, p.y] for p in response.region.points])
    assert points.shape == (4, 2)
    assert points[:, 0].min() > 40 and points[:, 0].max() < 160
    assert points[:, 1].min() > 25 and points[:, 1].max() < 75
    assert response.detector.name == "fake" and response.model.name.startswith("style-")


def test_words_into_a_region_in_a_style(server: StyleTransferProcess) -> None:
    image = photo()
    response = render(server, "EXIT", image=message(image), region=polygon(WORD), mix=mix("chalk"))
    check_only_the_word_changed(response, image)
    assert response.mix == mix("chalk")


def test_words_into_a_region_in_its_own_style(server: StyleTransferProcess) -> None:
    image = photo()
    response = render(server, "EXIT", image=message(image), region=polygon(WORD))
    check_only_the_word_changed(response, image)
    (part,) = response.mix.parts
    assert part.style in STYLES["scene"] and part.weight == 1.0
    found = decode(response.image)
    ink, paper = np.median(image[image[..., 0] == 255], axis=0), np.median(image[:20], axis=(0, 1))
    # The same style asked for by name keeps its own colours: fewer pixels have the region's.
    named = decode(render(server, "EXIT", image=message(image), region=polygon(WORD), mix=response.mix).image)
    own, other = (np.abs(result[30:70, 50:150] - ink).max(axis=2) < 60 for result in (found, named))
    assert own.any() and own.sum() > 1.2 * other.sum()
    assert (np.abs(found[30:70, 50:150] - paper).max(axis=2) < 60).mean() > 0.3


def test_words_in_place_of_the_largest_word(server: StyleTransferProcess) -> None:
    image = photo()
    image[4:10, 4:16] = (255, 230, 200)  # a smaller one
    response = render(server, "EXIT", image=message(image), format=pb.PICTURE_FORMAT_PNG)
    check_only_the_word_changed(response, image)


def test_without_a_word_there_is_no_place(server: StyleTransferProcess) -> None:
    with pytest.raises(errors.NotFound, match="no text was found in the photo; name a region") as caught:
        render(server, "EXIT", image=message(photo("")))
    assert caught.value.field == "region"
    response = render(server, "EXIT", image=message(photo("")), region=polygon(WORD))
    assert (decode(response.image) != photo("")).any()


# The text detection server away


def test_without_the_detection_server(server: StyleTransferProcess, detection: FakeTextDetection) -> None:
    detection.stop()
    image = photo()
    for needing in (
        lambda: stylize(server, image),
        lambda: render(server, "EXIT", image=message(image)),
        lambda: render(server, "EXIT", image=message(image), region=polygon(WORD), mix=mix("gold")),
    ):
        text = (
            "text detection server, which finds the text, is not available .*WHOLE, END_TO_END and POLYGONS"
        )
        with pytest.raises(errors.Unavailable, match=text) as caught:
            needing()
        assert caught.value.retry_after_s and caught.value.retry_after_s > 0
    shape = polygon([(10, 10), (60, 10), (60, 50)])
    for fields in (
        {"mode": pb.STYLE_MODE_WHOLE},
        {"mode": pb.STYLE_MODE_END_TO_END},
        {"mode": pb.STYLE_MODE_POLYGONS, "polygons": [shape]},
    ):
        assert (decode(stylize(server, image, **fields).images[0]) != image).any()
    assert render(server, "Open", mix=mix("gold")).width
    detection.start()
    deadline = threading.Event()
    for _ in range(100):  # the channel takes a moment to find it again
        try:
            assert stylize(server, image).detector.name == "fake"
            break
        except errors.Unavailable:
            deadline.wait(0.1)
    else:
        pytest.fail("the detection server is not found again")


def test_slow_detection_server_and_the_caller_s_deadline(
    server: StyleTransferProcess, detection: FakeTextDetection
) -> None:
    detection.delay_s = 2.0
    request = pb.StylizeRequest(image=message(photo()), mixes=[mix("gold")])
    with pytest.raises(errors.DeadlineExceeded):
        server.client.call(server.client.stub.Stylize, request, timeout_s=0.5)


# Refusals

PHOTO = message(photo())
TRUNCATED = message(encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))[:3000])
GOLD = [mix("gold")]
BAD_STYLIZE: dict[str, tuple[dict[str, Any], type[errors.InterplayError], str, str]] = {
    "no image": ({"image": None}, errors.UnsupportedMedia, "image", "empty"),
    "gif": ({"image": message(b"GIF89a")}, errors.UnsupportedMedia, "image", "a GIF"),
    "truncated": ({"image": TRUNCATED}, errors.UnreadableImage, "image", "truncated"),
    "truncated, whole": (
        {"image": TRUNCATED, "mode": pb.STYLE_MODE_WHOLE},
        errors.UnreadableImage,
        "image",
        "truncated",
    ),
    "many bytes": (
        {"image": message(encode_png(photo()) + bytes(MAX_IMAGE_BYTES))},
        errors.PayloadTooLarge,
        "image",
        "the limit is 20,971,520",
    ),
    "many pixels": (
        {"image": message(np.zeros((301, 400, 3), np.uint8))},
        errors.PayloadTooLarge,
        "image",
        "400x301 = 120,400 pixels; the limit is 120,000",
    ),
    "many results": (
        {"image": message(np.zeros((200, 300, 3), np.uint8)), "mixes": GOLD * 4},
        errors.PayloadTooLarge,
        "mixes",
        "60,000 pixels, which makes 240,000 in 4 styles; the limit of one call is 200,000",
    ),
    "no mix": ({"mixes": []}, errors.InvalidParameter, "mixes", "there are 0 mixes"),
    "many mixes": ({"mixes": GOLD * 17}, errors.InvalidParameter, "mixes", "there are 17 mixes"),
    "no parts": ({"mixes": [mix()]}, errors.InvalidParameter, "mixes[0]", "has 0 parts"),
    "unknown style": (
        {"mixes": [mix("gold"), mix("golf")]},
        errors.InvalidParameter,
        "mixes[1].parts[0]",
        "there is no style 'golf'; do you mean gold",
    ),
    "weight": ({"mixes": [mix(("gold", 5))]}, errors.InvalidParameter, "mixes[0].parts[0]", "weight is 5"),
    "domains": (
        {"mixes": [mix("gold", "serif")]},
        errors.InvalidParameter,
        "mixes[0]",
        "several domains",
    ),
    "not end to end": (
        {"mode": pb.STYLE_MODE_END_TO_END, "mixes": [mix("gold"), mix("serif")]},
        errors.InvalidParameter,
        "mixes[1]",
        "the end-to-end model has no style 'serif'",
    ),
    "mode": ({"mode": 9}, errors.InvalidParameter, "mode", "unknown mode 9"),
    "format": ({"format": 9}, errors.InvalidParameter, "format", "unknown format 9"),
    "quality": ({"quality": 0}, errors.InvalidParameter, "quality", "quality is 0; it must be 1 to 100"),
    "heat floor": ({"heat_floor": 1}, errors.InvalidParameter, "heat_floor", "heat_floor is 1;"),
    "no polygons": ({"mode": pb.STYLE_MODE_POLYGONS}, errors.InvalidParameter, "polygons", "at least one"),
    "polygons": (
        {"polygons": [polygon(WORD)]},
        errors.InvalidParameter,
        "polygons",
        "for the mode POLYGONS alone",
    ),
    "two points": (
        {"mode": pb.STYLE_MODE_POLYGONS, "polygons": [polygon(WORD), polygon(WORD[:2])]},
        errors.InvalidParameter,
        "polygons[1]",
        "has 2 points; it must have 3 to 64",
    ),
    "outside": (
        {"mode": pb.STYLE_MODE_POLYGONS, "polygons": [polygon([(210, 1), (220, 1), (220, 9)])]},
        errors.InvalidParameter,
        "polygons[0]",
        "outside the photo of 200x101 pixels",
    ),
}


@pytest.mark.parametrize("fields, error, field, text", BAD_STYLIZE.values(), ids=BAD_STYLIZE.keys())
def test_bad_photo_request_is_told_what_is_wrong(
    server: StyleTransferProcess,
    fields: dict[str, Any],
    error: type[errors.InterplayError],
    field: str,
    text: str,
) -> None:
    request = pb.StylizeRequest(**{"image": PHOTO, "mixes": GOLD, **fields})
    with pytest.raises(error, match=text) as caught:
        server.client.call(server.client.stub.Stylize, request)
    assert type(caught.value) is error and caught.value.field == field


BAD_RENDER: dict[str, tuple[dict[str, Any], type[errors.InterplayError], str, str]] = {
    "no text": ({"text": "  "}, errors.InvalidParameter, "text", "text is empty"),
    "long text": ({"text": "x" * 81}, errors.InvalidParameter, "text", "text has 81 characters"),
    "many lines": ({"text": "a\n" * 4 + "a"}, errors.InvalidParameter, "text", "text has 5 lines"),
    "control": ({"text": "a\tb"}, errors.InvalidParameter, "text", r"control character U\+0009"),
    "letters": ({"text": "漢字"}, errors.InvalidParameter, "text", "cannot draw: 字 漢"),
    "no mix": ({"mix": None}, errors.InvalidParameter, "mix", "without a photo there must be a mix"),
    "unknown style": ({"mix": mix("golf")}, errors.InvalidParameter, "mix.parts[0]", "no style 'golf'"),
    "domains": ({"mix": mix("gold", "mono")}, errors.InvalidParameter, "mix", "several domains"),
    "line height": ({"line_height": 300}, errors.InvalidParameter, "line_height", "line_height is 300;"),
    "format": ({"format": 7}, errors.InvalidParameter, "format", "unknown format 7"),
    "quality": ({"quality": 101}, errors.InvalidParameter, "quality", "quality is 101;"),
    "region": ({"region": polygon(WORD)}, errors.InvalidParameter, "region", "a place in a photo"),
    "photo's lines": ({"image": PHOTO, "text": "a\nb"}, errors.InvalidParameter, "text", "the limit is 1"),
    "photo's line height": (
        {"image": PHOTO, "line_height": 64},
        errors.InvalidParameter,
        "line_height",
        "line_height is for words without a photo",
    ),
    "empty photo": ({"image": message(b"")}, errors.UnsupportedMedia, "image", "empty"),
    "truncated photo": ({"image": TRUNCATED}, errors.UnreadableImage, "image", "truncated"),
    "large photo": (
        {"image": message(np.zeros((400, 400, 3), np.uint8))},
        errors.PayloadTooLarge,
        "image",
        "the limit is 120,000",
    ),
    "three corners": (
        {"image": PHOTO, "region": polygon(WORD[:3])},
        errors.InvalidParameter,
        "region",
        "region has 3 points; it must have 4",
    ),
    "crossed": (
        {"image": PHOTO, "region": polygon([WORD[0], WORD[2], WORD[1], WORD[3]])},
        errors.InvalidParameter,
        "region",
        "convex shape",
    ),
}


@pytest.mark.parametrize("fields, error, field, text", BAD_RENDER.values(), ids=BAD_RENDER.keys())
def test_bad_words_request_is_told_what_is_wrong(
    server: StyleTransferProcess,
    fields: dict[str, Any],
    error: type[errors.InterplayError],
    field: str,
    text: str,
) -> None:
    request = pb.RenderTextRequest(**{"text": "Open", "mix": mix("gold"), **fields})
    with pytest.raises(error, match=text) as caught:
        server.client.call(server.client.stub.RenderText, request)
    assert type(caught.value) is error and caught.value.field == field


# Endings


def test_sigterm_finishes_what_runs_and_exits_0(
    store: Path, detection: FakeTextDetection, tmp_path: Path
) -> None:
    server = StyleTransferProcess(tmp_path, store, detection.target)
    server.wait_until_serving()
    detection.delay_s = 1.0
    answers: list[pb.StylizeResponse] = []
    caller = threading.Thread(target=lambda: answers.append(stylize(server, photo())))
    caller.start()
    threading.Event().wait(0.4)
    server.process.send_signal(signal.SIGTERM)
    caller.join(60)
    assert len(answers) == 1 and answers[0].detector.name == "fake"
    assert server.end() == 0
    assert [line["event"] for line in server.log_lines()][-1] == "stopped"


def test_missing_model_ends_the_process_with_a_clear_line(tmp_path: Path) -> None:
    server = StyleTransferProcess(tmp_path, tmp_path / "empty", "127.0.0.1:1")
    assert server.process.wait(200) == 1
    server.client.close()
    (line,) = [line for line in server.log_lines() if line["event"] == "start_failed"]
    assert "no model 'style-scene' in the store" in line["reason"]
