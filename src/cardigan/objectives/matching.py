"""What images and sentences are paid for knowing each other: functions of a square of scores.

Row i are the scores of image i with every sentence, column j those of sentence j with every image; the diagonal are the true
pairs. Where an image and a sentence off the diagonal belong together all the same, because the sentence is said of that
image too or of one of its kind, they are neither right nor wrong: they are left out.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

Scores = Float[Tensor, "batch batch"]


def contrastive(scores: Scores, alike: Bool[Tensor, "batch batch"]) -> Float[Tensor, ""]:
    """Cross-entropy of the true partner among all that are offered, in both directions (InfoNCE, van den Oord et al. 2018).

    Args:
        scores: of any size; the larger, the better they match.
        alike: True where two belong together; the diagonal does not matter.
    """
    offered = scores.masked_fill(off_diagonal(alike), -torch.inf)
    true = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(offered, true) + F.cross_entropy(offered.T, true)) / 2


def structured(scores: Scores, alike: Bool[Tensor, "batch batch"], margin: float = 1.0) -> Float[Tensor, ""]:
    """Mean over all wrong pairs of max(0, margin + wrong - true), in both directions (Reed et al. 2016).

    Zero where there is no wrong pair.
    """
    true = scores.diagonal()
    short = (margin + scores - true[:, None]).relu() + (margin + scores - true[None, :]).relu()
    wrong = ~(alike | torch.eye(len(scores), dtype=torch.bool, device=scores.device))
    return (short * wrong).sum() / (2 * wrong.sum().clamp(min=1))


def off_diagonal(pairs: Bool[Tensor, "batch batch"]) -> Bool[Tensor, "batch batch"]:
    return pairs & ~torch.eye(len(pairs), dtype=torch.bool, device=pairs.device)


MATCHING = {"contrastive": contrastive, "structured": structured}
