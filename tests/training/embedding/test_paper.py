"""The thesis's GoogLeNet: trained from pixels, parts of it fixed, published and served as one network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from interplay.media.images import decode, encode_jpeg
from interplay.models.image_embedding import GoogLeNetFeatures, ImageEmbedding
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.predictors.embedding.text import TextEmbedder
from interplay.predictors.embedding.word_table import WordTable
from interplay.store import resolve
from training.datasets.captions import CaptionedImage
from training.embedding.paper import (
    FIXED,
    PaperOptions,
    PaperTask,
    PhotoSet,
    embed_items,
    load_googlenet,
    publish_run,
    read_paper_run,
    unit_table,
)
from training.embedding.text.train import SavedText
from training.embedding.train import prepare
from training.engine import EngineConfig, train

COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


@pytest.fixture(scope="module")
def items() -> list[CaptionedImage]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(12):
        name = list(COLOURS)[number % 3]
        photo = np.clip(rng.normal(COLOURS[name], 30, (60, 80, 3)), 0, 255).astype(np.uint8)
        found.append(CaptionedImage(str(number), encode_jpeg(photo), (f"a {name} wall", f"{name} paint")))
    return found


@pytest.fixture(scope="module")
def text(items: list[CaptionedImage]) -> SavedText:
    rng = np.random.default_rng(1)
    words = (*COLOURS, "wall", "paint")
    table = WordTable(words, rng.normal(size=(5, 6)).astype(np.float32), np.ones(5, np.float32))
    targets = [table.pool(table.rows(text.split())) for item in items for text in item.captions]
    return SavedText("glove-mean", table, np.stack(targets))


def run(items: list[CaptionedImage], text: SavedText, out: Path, options: PaperOptions, **more) -> PaperTask:
    task = PaperTask(options, items, prepare(text, "sigmoid")[1], lambda model: {"one": 1.0}, 0, **more)
    config = EngineConfig(out=out, steps=2, warmup_steps=1, optimizer="sgd", precision="fp32", workers=0,
                          ema_decay=0.5, evaluate_every=2, checkpoint_every=2, clip_norm=0.0)  # fmt: skip
    train(task, config)
    return task


def test_a_run_is_published_as_one_network(
    items: list[CaptionedImage], text: SavedText, tmp_path: Path
) -> None:
    run(items, text, tmp_path / "run", PaperOptions(batch_size=4))
    publish_run(tmp_path / "run", text, items, tmp_path / "store", 3)
    model, _ = read_paper_run(tmp_path / "run")
    expected = embed_items(model, items[:2])
    assert expected.shape == (2, 6) and expected.min() > 0 and expected.max() < 1
    embedder = ImageEmbedder.open(tmp_path / "store")
    assert embedder.manifest.version == 3 and embedder.manifest.config["backbone"] == "googlenet"
    served = embedder.predict([decode(item.content()) for item in items[:2]])
    for one, row in zip(served, expected, strict=True):
        np.testing.assert_allclose(one.vector, row / np.linalg.norm(row), atol=5e-3)
    words = TextEmbedder.load(resolve(tmp_path / "store", "embedding-words"))
    assert words.table.vectors.min() == 0 and words.table.vectors.max() == 1


def test_what_is_fixed_stays(items: list[CaptionedImage], text: SavedText, tmp_path: Path) -> None:
    torch.manual_seed(5)
    first = GoogLeNetFeatures()
    state = first.trunk.state_dict() | {"fc.weight": torch.zeros(1000, 1024), "fc.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "imagenet.pth")
    backbone = load_googlenet(str(tmp_path / "imagenet.pth"))
    options = PaperOptions(batch_size=4, rate=0.1, frozen=True, weights="imagenet.pth")
    task = run(items, text, tmp_path / "run", options, backbone=backbone)
    after = task.model.backbone.trunk.state_dict()
    moved = {name for name, value in first.trunk.state_dict().items() if not torch.equal(value, after[name])}
    assert not [name for name in moved if name.startswith(FIXED)]
    assert {"inception4e", "inception5a", "inception5b"} <= {name.split(".")[0] for name in moved}


def test_photos_are_functions_of_their_number(items: list[CaptionedImage], text: SavedText) -> None:
    one, other = (PhotoSet(items, text.targets, seed=4) for _ in range(2))
    seen = set()
    for number in range(24):
        photo = one[number]["photo"]
        assert photo.shape == (3, 224, 224) and torch.equal(photo, other[number]["photo"])
        seen.add(one[number]["target"].numpy().tobytes())
    assert len(seen) == len({row.tobytes() for row in text.targets})  # an epoch has every caption
    assert not torch.equal(one[0]["photo"], one[24]["photo"])


def test_biases_get_twice_the_rate_and_no_decay(items: list[CaptionedImage], text: SavedText) -> None:
    task = PaperTask(PaperOptions(rate=0.01), items, text.targets, lambda model: {}, 0)
    weights, biases = task.parameter_groups()
    assert (weights["lr"], biases["lr"], biases["weight_decay"]) == (0.01, 0.02, 0.0)
    assert all(parameter.ndim == 1 for parameter in biases["params"])


def test_the_loss_calls_the_network_it_is_given(items: list[CaptionedImage], text: SavedText) -> None:
    """Processes share gradients only of what went through the wrapped network."""
    task = PaperTask(PaperOptions(), items, text.targets, lambda model: {}, 0)
    task.set_train(task.model)
    called = []

    class Wrapped(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            called.append(x.shape)
            return task.model(x) * 0

    batch = {"photo": torch.zeros(2, 3, 224, 224), "target": torch.ones(2, 6)}
    value, _ = task.loss(Wrapped(), batch)
    assert called == [(2, 3, 224, 224)]
    assert float(value.detach()) == pytest.approx(6 * np.log(2), rel=1e-5)  # of logits of zero


def test_words_are_brought_to_zero_and_one(text: SavedText) -> None:
    table = unit_table(text)
    assert table.vectors.min(1).tolist() == [0] * 5 and table.vectors.max(1).tolist() == [1] * 5


def test_there_must_be_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        read_paper_run(tmp_path)


def test_the_network_is_whole() -> None:
    model = PaperTask(PaperOptions(), [], np.zeros((0, 6), np.float32), lambda model: {}, 0).model
    assert isinstance(model, ImageEmbedding) and model.head.dropout.p == 0.4
