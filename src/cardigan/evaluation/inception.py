"""The Inception-v3 of the Fréchet Inception Distance, as ported from TensorFlow's graph of 2015-12-05.

It differs from the Inception-v3 of picture libraries in its average pools, which do not count the border, in a maximum
pool in the last block, in 1008 logits and in the resize in front. Parameter names are those of pytorch-fid's
``pt_inception-2015-12-05`` weights, so that file (or a safetensors copy) fits; only with that very file are
distances called FID. Szegedy et al. 2016; Heusel et al. 2017.
"""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cardigan.errors import DataError, RunError
from cardigan.evaluation.features import NetworkFeatures
from cardigan.evaluation.weights import read_weights

SIDE = 299
DIMENSIONS = 2048
FILES_OF_FID = ("6726825d",)  # first digits of the SHA-256, as in pt_inception-2015-12-05-6726825d.pth


class Unit(nn.Module):
    """Convolution, batch normalisation (ε = 0.001), ReLU."""

    def __init__(
        self, inputs: int, outputs: int, size: int | tuple[int, int], stride: int = 1, pad: int | tuple[int, int] = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """35x35: 1x1, 5x5, double 3x3, pool."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(inputs, 64, 1)
        self.branch5x5_1 = Unit(inputs, 48, 1)
        self.branch5x5_2 = Unit(48, 64, 5, pad=2)
        self.branch3x3dbl_1 = Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, pad=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, pad=1)
        self.branch_pool = Unit(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class BlockB(nn.Module):
    """35x35 to 17x17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = Unit(inputs, 64, 1)
        self.branch3x3dbl_2 = Unit(64, 96, 3, pad=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)], 1)


class BlockC(nn.Module):
    """17x17: 1x1, factorised 7x7, double factorised 7x7, pool."""

    def __init__(self, width: int) -> None:
        super().__init__()
        across, down = {"size": (1, 7), "pad": (0, 3)}, {"size": (7, 1), "pad": (3, 0)}
        self.branch1x1 = Unit(768, 192, 1)
        self.branch7x7_1 = Unit(768, width, 1)
        self.branch7x7_2 = Unit(width, width, **across)
        self.branch7x7_3 = Unit(width, 192, **down)
        self.branch7x7dbl_1 = Unit(768, width, 1)
        self.branch7x7dbl_2 = Unit(width, width, **down)
        self.branch7x7dbl_3 = Unit(width, width, **across)
        self.branch7x7dbl_4 = Unit(width, width, **down)
        self.branch7x7dbl_5 = Unit(width, 192, **across)
        self.branch_pool = Unit(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], 1)


class BlockD(nn.Module):
    """17x17 to 8x8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Unit(768, 192, 1)
        self.branch3x3_2 = Unit(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Unit(768, 192, 1)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7), pad=(0, 3))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1), pad=(3, 0))
        self.branch7x7x3_4 = Unit(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, stride=2)], 1)


class BlockE(nn.Module):
    """8x8; the pool of the second one is a maximum, as in the TensorFlow graph."""

    def __init__(self, inputs: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Unit(inputs, 320, 1)
        self.branch3x3_1 = Unit(inputs, 384, 1)
        self.branch3x3_2a = Unit(384, 384, (1, 3), pad=(0, 1))
        self.branch3x3_2b = Unit(384, 384, (3, 1), pad=(1, 0))
        self.branch3x3dbl_1 = Unit(inputs, 448, 1)
        self.branch3x3dbl_2 = Unit(448, 384, 3, pad=1)
        self.branch3x3dbl_3a = Unit(384, 384, (1, 3), pad=(0, 1))
        self.branch3x3dbl_3b = Unit(384, 384, (3, 1), pad=(1, 0))
        self.branch_pool = Unit(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            1,
        )


class Inception(nn.Module):
    """Images in [-1, 1], one or three channels, any size, to 2048 pooled features; ``fc`` is kept for its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, pad=1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (BlockC(width) for width in (128, 160, 160, 192))
        self.Mixed_7a = BlockD()
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, maximum=False), BlockE(2048, maximum=True)
        self.fc = nn.Linear(DIMENSIONS, 1008)

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, 2048)."""
        x = prepare(images)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, stride=2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, stride=2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def prepare(images: Tensor) -> Tensor:
    """8-bit values as in a saved picture, three channels, 299x299, then (v - 128) / 128 as in the graph."""
    if images.shape[1] not in (1, 3):
        raise DataError(f"Inception features take 1 or 3 channels, not {images.shape[1]}: use --features random")
    values = ((images + 1) * 127.5).round().clamp(0, 255).expand(-1, 3, -1, -1)
    return (resize_bilinear(values, SIDE, SIDE) - 128) / 128


def resize_bilinear(
    images: Float[Tensor, "n c h w"], height: int, width: int
) -> Float[Tensor, "n c new_height new_width"]:
    """Bilinear as TensorFlow 1 did it: output i reads input i·(in/out), no half-pixel shift, no antialiasing."""
    for axis, size in ((2, height), (3, width)):
        old = images.shape[axis]
        position = torch.arange(size, device=images.device) * (old / size)
        low = position.floor().long().clamp(max=old - 1)
        high = (low + 1).clamp(max=old - 1)
        share = (position - low).to(images.dtype)
        share = share[:, None] if axis == 2 else share
        images = images.index_select(axis, low) * (1 - share) + images.index_select(axis, high) * share
    return images


def inception_features(path: Path, device: str | torch.device = "cpu") -> NetworkFeatures:
    """Features for the one number called FID; named "inception-like" when the file is not the published one.

    Raises:
        RunError: no such file, a TorchScript archive (opening it would run code), or weights of another network.
    """
    state = read_weights(path)
    with torch.device("meta"):
        network = Inception()
    expected = {name: value.shape for name, value in network.state_dict().items()}
    for name in expected:
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, torch.zeros((), dtype=torch.int64))
    found = {name: value.shape for name, value in state.items()}
    odd = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if odd:
        raise RunError(
            f"{path} does not hold the FID Inception-v3 ({len(odd)} tensors differ, first '{odd[0]}'): "
            "give the weights known as pt_inception-2015-12-05"
        )
    network.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in state.items()}, assign=True
    )
    with path.open("rb") as file:
        published = hashlib.file_digest(file, "sha256").hexdigest().startswith(FILES_OF_FID)
    name = "inception" if published else "inception-like"
    return NetworkFeatures(name, network, DIMENSIONS, {"resize": "299x299 bilinear, TensorFlow 1"}, device)
