"""Learned perceptual distance of two images (Zhang et al. 2018), where its two files of weights are at hand."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cardigan.errors import RunError
from cardigan.evaluation.features import in_chunks, weights_digest
from cardigan.evaluation.weights import read_weights

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of the channels of images in [-1, 1], so that they lie as those that AlexNet was trained on."""
WIDTHS = (64, 192, 384, 256, 256)
LEAST_SIDE = 31
EPSILON = 1e-10


class AlexNet(nn.Module):
    """The five convolutions of AlexNet (Krizhevsky 2014), with the layers' numbers of the public weights."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU()),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """What each convolution finds, after its rectifier."""
        found = []
        for layer in self.features:
            images = layer(images)
            if isinstance(layer, nn.ReLU):
                found.append(images)
        return found


class Lpips:
    """The distance: squared differences of unit feature vectors, weighed by channel, averaged over places, summed.

    Args:
        backbone: AlexNet's weights by their public names; what is of its classifier is passed over.
        calibration: the weight of each channel of the five layers, public names "lin0.model.1.weight" and so on.

    Raises:
        RunError: they are weights of something else.
    """

    def __init__(
        self, backbone: dict[str, Tensor], calibration: dict[str, Tensor], device: str | torch.device = "cpu"
    ) -> None:
        with torch.device("meta"):
            network = AlexNet()
        wanted = {name: value.shape for name, value in network.state_dict().items()}
        state = {name: value.float() for name, value in backbone.items() if name in wanted}
        if {name: value.shape for name, value in state.items()} != wanted:
            raise RunError(
                "lpips: the first file does not hold AlexNet's convolutions: give torchvision's alexnet weights"
            )
        weights = [calibration.get(f"lin{i}.model.1.weight") for i in range(len(WIDTHS))]
        if any(w is None or w.numel() != width for w, width in zip(weights, WIDTHS, strict=True)):
            raise RunError(
                "lpips: the second file does not hold the calibration of AlexNet: give lpips v0.1's alex weights"
            )
        network.load_state_dict(state, assign=True)
        self.device = torch.device(device)
        self.network = network.to(device).eval().requires_grad_(False)
        self.weights = [w.float().view(1, -1, 1, 1).to(device) for w in weights if w is not None]
        self.digest = weights_digest({**state, **{f"lin{i}": w.cpu() for i, w in enumerate(self.weights)}})

    @torch.no_grad()
    def __call__(self, first: Float[Tensor, "n c h w"], second: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """The distance of each pair of images in [-1, 1], of one or three channels and at least 31 x 31 pixels."""
        pairs = zip(in_chunks(first), in_chunks(second), strict=True)
        return torch.cat([self.of_chunk(x, y) for x, y in pairs])

    def of_chunk(self, first: Tensor, second: Tensor) -> Tensor:
        total = torch.zeros(len(first), device=self.device)
        both = self.network(self.seen(torch.cat([first, second]).to(self.device)))
        for maps, weight in zip(both, self.weights, strict=True):
            unit = maps / (maps.square().sum(1, keepdim=True).sqrt() + EPSILON)
            x, y = unit.chunk(2)
            total += ((x - y).square() * weight).sum(1).mean((1, 2))
        return total.double().cpu()

    def seen(self, images: Tensor) -> Tensor:
        shift, scale = (torch.tensor(each, device=self.device).view(1, 3, 1, 1) for each in (SHIFT, SCALE))
        return (images.expand(-1, 3, -1, -1) - shift) / scale


def open_lpips(where: str, device: str | torch.device = "cpu") -> Lpips:
    """The distance by the two files that "ALEXNET+CALIBRATION" names.

    Raises:
        RunError: a file is missing or holds something else.
    """
    backbone, plus, calibration = where.partition("+")
    if not plus or not backbone or not calibration:
        raise RunError("lpips takes two files of weights: --metrics lpips:alexnet.pth+calibration.pth")
    first, second = (read_weights(Path(path).expanduser()) for path in (backbone, calibration))
    return Lpips(first, second, device)
