"""Losses of TextFCN.

`text_loss` is for the three classes of the `compact` preset: cross-entropy over all
text pixels and the hardest background (Shrivastava et al., "OHEM", 2016; ratio as in
DBNet), plus Dice on the text and on the core so that thin words count as much as
large ones. `paper_loss` is the thesis's plain per-pixel softmax cross-entropy.
"""

import torch
import torch.nn.functional as F

from interplay.models.textfcn import BACKGROUND, CORE

IGNORED = 255


def text_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, negatives_per_positive: float = 3.0
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Cross-entropy with hard background, and Dice.

    Args:
        logits: (N, 3, H, W) float.
        labels: (N, H, W) integer: background, border, core, or 255 where nothing counts.
        weights: (N, H, W) float, weight of each pixel.
        negatives_per_positive: hard background pixels for every text pixel.

    Returns:
        The loss and its parts.
    """
    logits = logits.float()
    labels = labels.long()
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")  # (N, H, W)
    valid = labels != IGNORED
    text = valid & (labels != BACKGROUND)
    ground = valid & ~text
    ground_losses = losses[ground] * weights[ground]
    count = int(
        min(ground_losses.numel(), max(negatives_per_positive * int(text.sum()), valid.sum() // 50, 1))
    )
    hardest = (
        ground_losses.topk(count, sorted=False).values.sum() if ground_losses.numel() else losses.sum() * 0
    )
    text_weights = weights[text]
    entropy = ((losses[text] * text_weights).sum() + hardest) / (text_weights.sum() + count).clamp(min=1)
    average = ground_losses.mean() if ground_losses.numel() else losses.sum() * 0
    probabilities = logits.softmax(1)
    dice_text = dice_loss(1 - probabilities[:, BACKGROUND], text, valid, weights)
    dice_core = dice_loss(probabilities[:, CORE], labels == CORE, valid, weights)
    loss = entropy + average + 0.5 * dice_text + dice_core
    return loss, {"entropy": entropy, "ground": average, "dice_text": dice_text, "dice_core": dice_core}


def dice_loss(
    probability: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """1 - Dice coefficient over the valid pixels of the whole batch (Milletari et al. 2016).

    Args:
        probability: (N, H, W) float in [0, 1].
        target: (N, H, W) bool.
        valid: (N, H, W) bool, pixels that count.
        weights: (N, H, W) float.
    """
    counted = valid * weights
    overlap = (probability * target * counted).sum()
    total = (probability * counted).sum() + (target * counted).sum()
    return 1 - (2 * overlap + 1) / (total + 1)


def paper_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Per-pixel softmax cross-entropy without class weights (thesis 3.1.3), averaged.

    The original sums over the pixels; the learning rate is converted accordingly.
    `weights` is accepted so that both losses are called alike, and not used.
    """
    loss = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORED)
    return loss, {"entropy": loss}
