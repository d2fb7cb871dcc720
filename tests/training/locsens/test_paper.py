"""The thesis's image models: trained from pixels, asked in an experiment, published and served whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import ResNet50_Weights

from interplay.media.images import decode, encode_png
from interplay.models.image_embedding import ResNet50Features
from interplay.models.locsens import LocSensConfig
from interplay.models.tag_head import TagHead, TagHeadConfig
from interplay.predictors.locsens.image import ImageTagger
from interplay.predictors.locsens.retriever import ImageRanker
from interplay.predictors.locsens.tagger import PlaceTagger
from interplay.predictors.pictures import PictureInput
from interplay.store import Preprocessing, resolve
from training.checkpoints import latest_checkpoint
from training.datasets.captions import CaptionedImage
from training.datasets.yfcc import GeotaggedPhoto, write_split
from training.embedding.text.glove import train_glove
from training.engine import EngineConfig, train
from training.locsens import experiment, export, paper
from training.locsens.data import TaggedPhotos, load_photos
from training.locsens.features import photo_items
from training.locsens.methods import read_words
from training.locsens.paper_photos import Centres, PaperOptions, TrainingPhotos, as_input

pytestmark = pytest.mark.timeout(600)

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}
VOCABULARY = (*COLOURS, "wall", "paint", "north", "south", "street", "door", "bright", "plain", "flat")
SIZES = {"train": 24, "val": 6, "test": 33}
# So the middle of a photo is cut out without being resized.
HEIGHT, WIDTH, SIDE, SHORT_SIDE = 80, 100, 64, 80
SMALL = LocSensConfig(300, 300, 16, (64, 32), 4)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of one colour each, in two places."""
    root, rng = tmp_path_factory.mktemp("paper") / "world", np.random.default_rng(0)
    root.mkdir()
    for part, count in SIZES.items():
        photos = []
        for number in range(count):
            name, south = list(COLOURS)[number % 3], number % 2
            pixels = np.clip(rng.normal(COLOURS[name], 40, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
            file = root / f"{part}{number}.png"
            file.write_bytes(encode_png(pixels))
            more = ("south" if south else "north", *rng.choice(VOCABULARY[7:], number % 3, replace=False))
            place = (-33.9, 151.2) if south else (41.4, 2.2)
            photos.append(GeotaggedPhoto(file.stem, (name, "wall", *more), "", "", *place, str(file)))
        write_split(root / f"{part}.txt", photos)
    (root / "vocabulary.txt").write_text("\n".join(VOCABULARY) + "\n")
    (root / "world.json").write_text(json.dumps({"simulated": True}))
    return root


def call(module, *arguments: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        patch.setitem(experiment.CONFIGS, "paper", SMALL)
        module.main()


def train_paper(world: Path, out: Path, steps: int, *more: object, kind: str = "mcc") -> None:
    call(
        paper, "--world", world, "--kind", kind, "--out", out, "--weights", "none", "--steps", steps,
        "--batch-size", 6, "--rate", 0.5, "--side", SIDE, "--short-side", SHORT_SIDE, "--workers", 0,
        "--device", "cpu", "--evaluate-every", 1, "--evaluate-photos", 3, *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(world: Path) -> Path:
    """A folder with a run, and the features that its network gave."""
    root = world.parent
    train_paper(world, root / "run", 3, "--features", root / "features")
    return root


@pytest.fixture(scope="module")
def asked(trained: Path) -> Path:
    """The same folder, with an experiment on these features."""
    call(
        experiment, "--preset", "paper", "--world", trained / "world", "--features", trained / "features",
        "--out", trained / "out", "--image-steps", 40, "--steps", 5, "--tagging-steps", 2,
    )  # fmt: skip
    return trained


def normalised(pixels: np.ndarray) -> torch.Tensor:
    """(H, W, 3) RGB to (1, 3, H, W), worked out apart from the code."""
    of = ResNet50_Weights.IMAGENET1K_V1.transforms()
    mean, std = np.array(of.mean), np.array(of.std)
    return torch.from_numpy(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32))


def middle(file: str | Path) -> np.ndarray:
    top, left = (HEIGHT - SIDE) // 2, (WIDTH - SIDE) // 2
    return decode(Path(file).read_bytes())[top : top + SIDE, left : left + SIDE]


def test_the_input_is_rgb_as_torchvision_wants_it(tmp_path: Path) -> None:
    """Red alone: BGR, numbers up to 255 or Caffe's mean would give others."""
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    photo[..., 0] = 255
    items, options = [CaptionedImage("red", encode_png(photo), ())], PaperOptions(side=SIDE, short_side=80)
    shown = TrainingPhotos(items, [np.array([0])], options, seed=0)[0]["photo"]
    for picture in (shown, Centres(items, options)[0]):
        x = as_input(picture[None])
        assert x.shape == (1, 3, SIDE, SIDE) and x.dtype == torch.float32
        for channel, value in enumerate((2.2489, -2.0357, -1.8044)):
            np.testing.assert_allclose(x[0, channel], value, atol=1e-4)
    served = PictureInput(SIDE, Preprocessing(), device="cpu", dtype=torch.float32, short_side=80)
    torch.testing.assert_close(served.tensor([photo]), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised(middle_of(photo)), x, atol=1e-5, rtol=0)


def middle_of(photo: np.ndarray) -> np.ndarray:
    return photo[:SIDE, :SIDE]


def test_photos_are_cut_at_random_and_mirrored_by_a_coin() -> None:
    """Columns and rows say where they are: red rises to the right, green downwards."""
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    photo[..., 0], photo[..., 1] = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    items, options = [CaptionedImage("one", encode_png(photo), ())], PaperOptions(side=SIDE, short_side=80)
    one, other = (TrainingPhotos(items, [np.array([0])], options, seed) for seed in (4, 4))
    mirrored, lefts, tops = 0, set(), set()
    for number in range(60):
        picture = one[number]["photo"]
        assert picture.shape == (SIDE, SIDE, 3) and torch.equal(picture, other[number]["photo"])
        steps = np.unique(np.diff(picture[..., 0].numpy().astype(int), axis=1))
        assert steps.tolist() in ([1], [-1])
        mirrored += steps[0] < 0
        lefts.add(int(picture[..., 0].min()))
        tops.add(int(picture[..., 1].min()))
    assert 15 < mirrored < 45
    assert min(lefts) < 5 and max(lefts) > WIDTH - SIDE - 5 and max(tops) == HEIGHT - SIDE and min(tops) == 0


def test_what_each_kind_is_told() -> None:
    items = [CaptionedImage(str(n), encode_png(np.zeros((8, 8, 3), np.uint8)), ()) for n in range(2)]
    tags, words = [np.array([2, 5, 1]), np.array([4])], np.random.default_rng(1).normal(size=(6, 3))

    def told(kind: str) -> list[list]:
        options = PaperOptions(kind, side=4, short_side=4)
        photos = TrainingPhotos(items, tags, options, 0, words.astype(np.float32))
        return [photos[number]["target"].tolist() for number in range(40)]

    assert set(told("mcc")) == {1, 2, 4, 5}
    assert {tuple(row) for row in told("mlc")} == {(2, 5, 1), (4, 4, 4)}
    sums = np.unique(np.array(told("her")), axis=0)
    np.testing.assert_allclose(sums, sorted(words[own].sum(0).tolist() for own in tags), rtol=1e-5)


def small_task(kind: str, world: Path, words: np.ndarray | None = None) -> paper.PaperTask:
    photos = load_photos(world, "train")
    options = PaperOptions(kind, 0.01, 4, 8, side=32, short_side=40)
    return paper.PaperTask(options, photos, photo_items(photos), lambda network: {"one": 1.0}, 0, words)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlc", "her"])
def test_other_kinds_are_trained_whole(kind: str, world: Path, tmp_path: Path) -> None:
    words = np.random.default_rng(0).normal(size=(len(VOCABULARY), 5)).astype(np.float32)
    task = small_task(kind, world, words if kind == "her" else None)
    assert task.model.head.config.dimension == (5 if kind == "her" else 8)
    before = {key: value.clone() for key, value in task.model.named_parameters()}
    config = EngineConfig(
        out=tmp_path, steps=1, warmup_steps=1, optimizer="sgd", precision="bf16", workers=0, clip_norm=0,
        device="cpu",
    )  # fmt: skip
    train(task, config)
    same = [key for key, value in task.model.named_parameters() if torch.equal(value, before[key])]
    assert not [key for key in same if key.endswith("conv1.weight") or key.startswith("head")]


def test_mlc_counts_a_tag_that_fills_up_once(world: Path) -> None:
    task = small_task("mlc", world)
    answers = torch.zeros(2, len(VOCABULARY))
    batch = {"photo": torch.zeros(2, 8, 8, 3, dtype=torch.uint8), "target": torch.tensor([[1, 2], [3, 3]])}
    value, parts = task.loss(lambda _: answers, batch)
    assert value.item() == pytest.approx(len(VOCABULARY) * np.log(2)) and set(parts) == {"mlc"}
    answers[1, 3] = 100  # certain of its only tag
    certain, _ = task.loss(lambda _: answers, batch)
    assert certain.item() == pytest.approx(value.item() - np.log(2) / 2)


def test_her_needs_words(world: Path) -> None:
    with pytest.raises(ValueError, match="HER regresses word vectors"):
        small_task("her", world)


@pytest.mark.slow
def test_a_run_goes_on_where_it_was(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_paper(world, tmp_path / "run", 1, kind="her")
    first = latest_checkpoint(tmp_path / "run")
    assert first is not None and first.name == "step_1"
    words = (tmp_path / "run" / "words.safetensors").read_bytes()
    shown = []
    original = TrainingPhotos.__getitem__
    monkeypatch.setattr(
        TrainingPhotos, "__getitem__", lambda self, index: shown.append(index) or original(self, index)
    )
    train_paper(world, tmp_path / "run", 2, kind="her")
    second = latest_checkpoint(tmp_path / "run")
    assert second is not None and second.name == "step_2"
    assert shown == list(range(6, 12))  # the second batch
    assert (tmp_path / "run" / "words.safetensors").read_bytes() == words
    facts = json.loads((second / "state.json").read_text())
    assert facts["engine"]["momentum"] == 0.9 and facts["engine"]["weight_decay"] == 1e-4
    assert facts["task"]["head"]["dimension"] == 300 and facts["task"]["weights"] is None


@pytest.mark.slow
def test_features_are_those_of_the_trained_network(trained: Path) -> None:
    weights = load_file(latest_checkpoint(trained / "run") / "ema.safetensors")  # type: ignore[operator]
    backbone = ResNet50Features().eval()
    untrained = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.load_state_dict(
        {
            key.removeprefix("backbone."): value
            for key, value in weights.items()
            if key.startswith("backbone.")
        }
    )
    for part in SIZES:
        photos = load_photos(trained / "world", part)
        features = np.load(trained / "features" / f"{part}.npy")
        assert features.shape == (SIZES[part], 1, 2048) and features.dtype == np.float16
        assert np.isfinite(features).all()
        for row in (0, SIZES[part] - 1):
            with torch.inference_mode():
                expected = backbone(normalised(middle(photos.photos[row].url)))[0].numpy()
            np.testing.assert_allclose(features[row, 0], expected, rtol=2e-3, atol=2e-3 * expected.max())
    backbone.load_state_dict(untrained)
    with torch.inference_mode():
        other = backbone(normalised(middle(photos.photos[-1].url)))[0].numpy()
    assert not np.allclose(other, expected, rtol=0.1, atol=0.1 * expected.max())


@pytest.mark.slow
def test_features_of_another_network_are_not_mixed_in(trained: Path, tmp_path: Path) -> None:
    run, world = trained / "run", trained / "world"
    files = {file: file.stat().st_mtime_ns for file in (trained / "features").glob("*.npy")}
    paper.write_features(run, world, trained / "features", device="cpu")
    assert {file: file.stat().st_mtime_ns for file in files} == files  # they are there already
    (tmp_path / "network.json").write_text(json.dumps({"weights_sha256": "0" * 64, "photos": {}}))
    with pytest.raises(ValueError, match="has features of the network 000"):
        paper.write_features(run, world, tmp_path, device="cpu")
    (tmp_path / "network.json").unlink()
    np.save(tmp_path / "train.npy", np.zeros((1, 1, 1280), np.float16))
    with pytest.raises(ValueError, match="train.npy was not made by a network"):
        paper.write_features(run, world, tmp_path, device="cpu")


@pytest.mark.slow
def test_the_published_network_is_served(asked: Path, tmp_path: Path) -> None:
    store, out, world = tmp_path / "store", asked / "out", asked / "world"
    call(
        export, "--world", world, "--experiment", out, "--version", 1, "--store", store, "--paper",
        asked / "run",
    )  # fmt: skip
    image = resolve(store, "locsens-image").manifest
    assert image.config["backbone"] == "resnet50" and image.config["dimension"] == 300
    assert "backbone" not in image.details
    assert (image.details["side"], image.details["short_side"]) == (SIDE, SHORT_SIDE)
    assert image.training["backbone"]["step"] == 3

    photos = load_photos(world, "test")
    weights = load_file(latest_checkpoint(out / "images" / "mcc") / "ema.safetensors")  # type: ignore[operator]
    head = TagHead(TagHeadConfig("mcc", 2048, 300, len(VOCABULARY))).eval()
    head.load_state_dict(weights)
    features = torch.from_numpy(np.load(asked / "features" / "test.npy")[:, 0].astype(np.float32))
    with torch.inference_mode():
        expected = torch.softmax(head(features), 1).numpy()
    assert np.ptp(expected, axis=0).max() > 0.05  # photos differ in their tags

    tagger = ImageTagger.open(store, device="cpu", dtype="float32")
    found = tagger.predict([decode(Path(photo.url).read_bytes()) for photo in photos.photos])
    chances = np.stack([image.chances for image in found])
    np.testing.assert_allclose(chances, expected, atol=0.004)
    assert (chances.argmax(1) == expected.argmax(1)).mean() > 0.9
    np.testing.assert_allclose(ImageTagger.open_tag_vectors(store), tagger.tag_vectors)
    tagger.warm_up()
    ImageRanker.open(store, image, tagger.tag_vectors, device="cpu").warm_up()
    PlaceTagger.open(store, image, tagger.tag_vectors, device="cpu").warm_up()


@pytest.mark.slow
def test_only_the_network_of_the_features_is_published(asked: Path, tmp_path: Path) -> None:
    photos, results = (
        load_photos(asked / "world", "train"),
        json.loads((asked / "out/results.json").read_text()),
    )
    with pytest.raises(ValueError, match=r"made on features of the network .* \(--paper\)"):
        export.export(tmp_path, asked / "out", photos, results, version=1)
    results["features_of"] = None
    with pytest.raises(ValueError, match="made on features of the shared backbone, and .* has the network"):
        export.export(tmp_path, asked / "out", photos, results, version=1, paper=asked / "run")


def test_weights_of_torchvision_are_read_from_their_file(tmp_path: Path) -> None:
    first = ResNet50Features()
    state = first.trunk.state_dict() | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "resnet50.pth")
    loaded = paper.load_resnet50(str(tmp_path / "resnet50.pth")).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in first.state_dict().items())
    with pytest.raises(FileNotFoundError, match="there is no file imagnet"):
        paper.load_resnet50("imagnet")


def test_bad_settings_are_named(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--world", world, "--kind", "mcc", "--out", tmp_path]
    for more, message in (
        (("--weights", "nothing.pth"), "there is no file nothing.pth; give torchvision's file, or none"),
        (("--short-side", 100), "short_side must be 224 (side) or more, not 100"),
    ):
        with pytest.raises(SystemExit):
            call(paper, *arguments, *more)
        assert message in capsys.readouterr().err


def test_there_must_be_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        paper.read_run(tmp_path)


def test_words_are_read_in_gloves_format(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("the 1 2 3\nred 0.5 -1 2e-1\na b 1 2 3\nsea 4 5 6\n", encoding="utf-8")
    words = read_words(file, ("sea", "unknown", "red"))
    np.testing.assert_allclose(words, [[4, 5, 6], [0, 0, 0], [0.5, -1, 0.2]])
    with pytest.raises(ValueError, match="has none of the 1 tags"):
        read_words(file, ("nowhere",))
    file.write_text("the 1 2 3\nred 1 2\n")
    with pytest.raises(ValueError, match="line 2: not 'red' and 3 numbers"):
        read_words(file, ("red",))


def test_a_run_keeps_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = TaggedPhotos([], [np.array([0, 1])] * 4, np.zeros((4, 2)), ("red", "wall"))
    made = paper.words_of(tmp_path / "run", photos, None, 6, 0)
    np.testing.assert_allclose(made, train_glove([[0, 1]] * 4, 2, dimension=6), rtol=1e-4)
    file = tmp_path / "glove.txt"
    file.write_text("red 1 2\n")
    np.testing.assert_array_equal(paper.words_of(tmp_path / "run", photos, file, 6, 0), made)
    np.testing.assert_allclose(paper.words_of(tmp_path / "new", photos, file, 6, 0), [[1, 2], [0, 0]])
