"""What translators normalise by: each image's own statistics, or a batch's."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TranslatorNorm = Literal["instance", "batch", "none"]
Statistics = Literal["instance", "running", "batch"]


class InstanceNorm(nn.Module):
    """Each map of each image to mean 0 and variance 1, with nothing learnt (Ulyanov et al. 2016).

    It is group normalisation with a group for each channel, or batch normalisation of each image where channels lie
    last: unlike torch's own both have the right gradient in every memory layout, and each is fast in one of them.
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or input.is_contiguous():
            return F.group_norm(input, input.shape[1])
        return torch.cat([F.batch_norm(image, None, None, training=True) for image in input.split(1)])


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation with gains from N(1, .02), whose statistics in evaluation mode are chosen.

    Attributes:
        statistics: "instance" takes each image's own, which is what pix2pix does at test with its batches of one and
            depends on no other image; "running" takes the averages of training; "batch" those of the batch given.
    """

    def __init__(self, channels: int, statistics: Statistics, affine: bool = True):
        super().__init__(channels, affine=affine)
        self.statistics: Statistics = statistics
        if affine:
            nn.init.normal_(self.weight, 1.0, 0.02)

    def forward(self, input: Tensor) -> Tensor:
        if self.training or self.statistics == "running":
            return super().forward(input)
        if self.statistics == "batch":
            return F.batch_norm(input, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return F.group_norm(input, self.num_features, self.weight, self.bias, self.eps)


def norm(kind: TranslatorNorm, channels: int, statistics: Statistics) -> list[nn.Module]:
    """The layers, none or one, that follow a convolution."""
    match kind:
        case "instance":
            return [InstanceNorm()]
        case "batch":
            return [BatchNorm(channels, statistics)]
        case "none":
            return []


def statistics_of(network: nn.Module) -> set[Statistics]:
    """What a network normalises by in evaluation mode."""
    found: set[Statistics] = set()
    for module in network.modules():
        if isinstance(module, InstanceNorm):
            found.add("instance")
        elif isinstance(module, BatchNorm):
            found.add(module.statistics)
        elif isinstance(module, nn.BatchNorm2d):
            found.add("running")
    return found


def use_statistics(network: nn.Module, statistics: Statistics) -> None:
    """Which statistics a network's batch normalisation takes in evaluation mode."""
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.statistics = statistics
