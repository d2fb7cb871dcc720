"""ImageNet weights for the `paper` preset, from a file of torchvision's."""

from pathlib import Path

import torch
from torch import nn

from interplay.models.textfcn import PaperTextFCN, transplant_vgg16


def load_vgg16(model: nn.Module, file: Path) -> None:
    """Starts a `PaperTextFCN` from VGG-16, fc6 and fc7 included.

    Args:
        model: the network.
        file: state dict as torchvision publishes it (`vgg16-397923af.pth`), read without
            running code in it.

    Raises:
        ValueError: the network is another one, or the weights do not fit.
    """
    if not isinstance(model, PaperTextFCN):
        raise ValueError("VGG-16 weights are for --preset paper")
    transplant_vgg16(model, torch.load(file, map_location="cpu", weights_only=True))
