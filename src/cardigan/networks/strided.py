"""The 4 x 4 convolutions with stride 2 that halve and double feature maps, with a faster weight gradient when deep.

On a CPU the weight gradient of a deep layer (many channels, few pixels) is half as fast as the same sum written as one
matrix product over gathered patches. Elsewhere, and in shallow layers, these are torch's own convolutions.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL, STRIDE, PADDING = (4, 4), (2, 2), (1, 1)
FEWEST_TAPS = 4096
MOST_POSITIONS = 2048


def patches(maps: Tensor) -> Tensor:
    """The 4 x 4 patches that a halving convolution sees: (batch * height / 2 * width / 2, 16 * channels)."""
    padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows = padded.unfold(1, 4, 2).unfold(2, 4, 2)  # batch, rows, columns, channels, 4, 4
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def product_of_patches(fine: Tensor, coarse: Tensor) -> Tensor:
    """Sum over positions of coarse map times patch of the fine map: (coarse channels, fine channels, 4, 4)."""
    rows = coarse.permute(0, 2, 3, 1).flatten(0, 2)
    return (rows.t() @ patches(fine)).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)


class _Strided(torch.autograd.Function):
    """Halving, or doubling if `transposed`; its backward is made of differentiable operations, for penalties' sake."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, transposed: bool) -> Tensor:
        convolve = F.conv_transpose2d if transposed else F.conv2d
        output = convolve(maps, weight, None, STRIDE, PADDING)
        ctx.save_for_backward(maps.to(output.dtype), weight.to(output.dtype))
        ctx.dtypes, ctx.transposed = (maps.dtype, weight.dtype), transposed
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = grad_outputs
        maps, weight = ctx.saved_tensors
        to_maps = to_weight = None
        if ctx.needs_input_grad[0]:
            rest = (None, STRIDE, PADDING, (1, 1), ctx.transposed, (0, 0), 1, (True, False, False))
            to_maps = torch.ops.aten.convolution_backward(gradient, maps, weight, *rest)[0].to(ctx.dtypes[0])
        if ctx.needs_input_grad[1]:
            fine, coarse = (gradient, maps) if ctx.transposed else (maps, gradient)
            to_weight = product_of_patches(fine, coarse).to(ctx.dtypes[1])
        return to_maps, to_weight, None


def pays(fine_channels: int, coarse: tuple[int, int, int], device: torch.device) -> bool:
    """Whether the matrix product is faster: many taps, few positions of the coarse map (batch, height, width)."""
    onednn = torch.is_autocast_enabled("cpu") or torch.get_float32_matmul_precision() != "highest"
    if device.type != "cpu" or not onednn:  # MKL's float32 products are no faster than the convolution
        return False
    batch, height, width = coarse
    return 16 * fine_channels >= FEWEST_TAPS and batch * height * width <= MOST_POSITIONS


def with_bias(maps: Tensor, bias: Tensor | None) -> Tensor:
    return maps if bias is None else maps + bias.to(maps.dtype)[:, None, None]


class Halve(nn.Conv2d):
    """(batch, inputs, height, width) to (batch, outputs, height / 2, width / 2)."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, KERNEL, STRIDE, PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        batch, _, height, width = input.shape
        if not pays(self.in_channels, (batch, height // 2, width // 2), input.device):
            return super().forward(input)
        return with_bias(_Strided.apply(input, self.weight, False), self.bias)


class Double(nn.ConvTranspose2d):
    """(batch, inputs, height, width) to (batch, outputs, 2 height, 2 width)."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, KERNEL, STRIDE, PADDING, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        batch, _, height, width = input.shape
        if not pays(self.out_channels, (batch, height, width), input.device):
            return super().forward(input, output_size)
        return with_bias(_Strided.apply(input, self.weight, True), self.bias)
