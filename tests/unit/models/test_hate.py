"""The LSTM sees no padding; fusions see only their inputs; `paper` has the thesis's widths."""

import pytest
import torch

from interplay.models.hate import LstmConfig, PostLstm, build_lstm
from interplay.models.hate_fusion import (
    FUSED,
    Fusion,
    FusionConfig,
    InceptionE,
    InceptionFeatures,
    compact,
    paper,
)

SMALL = {"image": 12, "state": 6, "mapped": 8, "widths": (8,), "block": 32}


def test_state_is_that_of_the_last_word_whatever_follows() -> None:
    torch.manual_seed(0)
    lstm = PostLstm(LstmConfig(vector=4, hidden=5)).eval()
    words = torch.randn(1, 3, 4)
    padded = torch.cat([words, torch.randn(1, 6, 4)], dim=1)
    alone = lstm.states(words, torch.tensor([3]))
    among = lstm.states(torch.cat([padded, torch.randn(1, 9, 4)]), torch.tensor([3, 9]))
    assert torch.allclose(alone[0], among[0], atol=1e-6)
    assert torch.allclose(alone[0], lstm.lstm(words)[0][0, -1], atol=1e-6)


def test_text_without_words_has_the_state_zero() -> None:
    lstm = PostLstm(LstmConfig(vector=4, hidden=5)).eval()
    states = lstm.states(torch.randn(2, 3, 4), torch.tensor([0, 2]))
    assert not states[0].any() and states[1].any()
    assert not lstm.states(torch.zeros(1, 1, 4), torch.tensor([0])).any()


def test_unknown_field_of_a_configuration_is_named() -> None:
    with pytest.raises(ValueError, match="wide"):
        build_lstm({"wide": 3})


@pytest.mark.parametrize("kind", ["fcm", "scm", "tkm"])
@pytest.mark.parametrize("inputs", [("text",), ("text", "image_text"), ("image",), FUSED])
def test_only_the_given_inputs_count(kind: str, inputs: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model = Fusion(FusionConfig(kind, inputs, **SMALL)).eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    shape = (2, 12) if kind == "fcm" else (2, 12, 3, 3)
    given = {"text": torch.randn(2, 6), "image_text": torch.randn(2, 6), "image": torch.randn(*shape)}
    answer = model(**given)
    assert answer.shape == (2, 2)
    for name in FUSED:
        changed = model(**{**given, name: given[name] + 1})
        assert torch.equal(answer, changed) == (name not in inputs), name


def test_kernels_join_text_and_image() -> None:
    """With both texts' own paths cut, a tkm still tells texts apart by what the image answers to them."""
    torch.manual_seed(0)
    model = Fusion(FusionConfig("tkm", **SMALL)).eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    first = [model.blocks[0].one, model.blocks[0].two, model.blocks[0].three[0], model.blocks[0].pool]
    with torch.no_grad():
        for conv in first:
            conv[0].weight[:, -12:] = 0
    text, image = torch.randn(4, 6), torch.randn(4, 12, 3, 3)
    assert model(text, torch.zeros(4, 6), image).std() > 0
    assert not torch.allclose(model(text, torch.zeros(4, 6), image), model(-text, torch.zeros(4, 6), image))


@pytest.mark.parametrize(("kind", "channels"), [("fcm", 3072), ("scm", 2348), ("tkm", 2363)])
def test_paper_has_the_widths_of_the_thesis(kind: str, channels: int) -> None:
    with torch.device("meta"):
        model = Fusion(paper(kind))
    if kind == "fcm":
        assert [layer[0].in_features for layer in model.layers] == [channels, 2048, 1024]
    else:
        assert model.blocks[0].one[0].in_channels == channels
        assert [layer[0].in_features for layer in model.layers] == [2048, 1024]
    assert model.classes.in_features == 512


def test_block_at_full_width_is_inception_vs() -> None:
    from torchvision.models.inception import InceptionE as Published

    with torch.device("meta"):
        ours, theirs = InceptionE(1280, 2048), Published(1280)
    count = [sum(p.numel() for p in block.parameters()) for block in (ours, theirs)]
    assert count[0] == count[1]


def test_compact_fits_the_shared_backbone() -> None:
    model = Fusion(compact("tkm")).eval()
    assert model(torch.randn(1, 150), torch.randn(1, 150), torch.randn(1, 1280, 7, 7)).shape == (1, 2)


@pytest.mark.slow
def test_inception_gives_the_map_of_the_thesis() -> None:
    features = InceptionFeatures().eval()
    with torch.inference_mode():
        assert features(torch.zeros(1, 3, 299, 299)).shape == (1, 2048, 8, 8)


@pytest.mark.parametrize("bad", [{"kind": "sum"}, {"inputs": ()}, {"inputs": ("sound",)}])
def test_impossible_fusion_is_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        FusionConfig(**bad)
