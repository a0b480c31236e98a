"""Convolutions that halve, double or keep the size of feature maps, faster where a CPU's own are slow.

Some of torch's kernels run far below the processor's rate. The weight gradient of a deep layer (many channels, few
pixels) gains from being written as matrix products, one a tap. A weight with far more numbers than the maps have
positions, as at the bottom of a U-Net, is rearranged by them for longer than it is used: one product that reads it once
takes a half to a seventh of the time. Doubling to a few channels, which is what ends a
generator and what begins the way back to a discriminator's images, takes a third of the time as a 2 x 2 convolution
whose channels are then laid out as pixels. And the threads of a weight gradient in bfloat16 wait for each other by
spinning: beside one other busy process a step took up to thirty times as long. Where there are several threads it is
taken in float32, for a fifth of a step on a quiet machine. Elsewhere these layers are torch's own.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE, PADDING = (2, 2), (1, 1)
FEW_CHANNELS = 4
MANY_CHANNELS = 128
FEW_POSITIONS = {torch.bfloat16: 4096, torch.float32: 2048}
LARGE_IMAGE = 1 << 19
"""Numbers in the maps of one image from which torch's weight gradient in channels-last is slow."""
HEAVY_WEIGHT = 1 << 16
"""Numbers of a weight, for each position of the coarse maps, from which reading it is most of the work."""


def halve(fine: Tensor, weight: Tensor) -> Tensor:
    """(batch, fine channels, 2 height, 2 width) to (batch, coarse channels, height, width), with 4 x 4 or 3 x 3 taps."""
    height, width = fine.shape[2] // 2, fine.shape[3] // 2
    if not is_heavy(weight, len(fine) * height * width):
        return F.conv2d(fine, weight, None, STRIDE, PADDING)
    return F.linear(columns(fine, weight).mT, weight.flatten(1)).mT.unflatten(2, (height, width))


def double(coarse: Tensor, weight: Tensor) -> Tensor:
    """The adjoint of `halve` for the same weight (coarse channels, fine channels, taps, taps)."""
    if is_heavy(weight, coarse[:, 0].numel()):
        fine = (coarse.flatten(2).mT @ weight.flatten(1)).mT
        height, width = 2 * coarse.shape[2], 2 * coarse.shape[3]
        return F.fold(fine, (height, width), weight.shape[2:], padding=PADDING, stride=STRIDE)
    if not is_thin(weight):
        return F.conv_transpose2d(coarse, weight, None, STRIDE, PADDING, output_padding(weight))
    # A 2 x 2 block of fine pixels, shifted by one, sees 2 x 2 coarse ones: four kernels, one for each of its pixels.
    kernels = weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4).permute(3, 5, 1, 0, 2, 4).flatten(0, 2)
    blocks = F.conv2d(coarse, kernels.contiguous(memory_format=torch.channels_last), padding=1).permute(0, 2, 3, 1)
    pixels = blocks.unflatten(3, (2, 2, -1)).transpose(2, 3).flatten(1, 2).flatten(2, 3)
    return pixels[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def columns(fine: Tensor, weight: Tensor) -> Tensor:
    """What each coarse position sees: (batch, fine channels * taps, positions)."""
    return F.unfold(fine, weight.shape[2:], padding=PADDING, stride=STRIDE)


def output_padding(weight: Tensor) -> tuple[int, int]:
    """What makes a doubling exact: three taps end one pixel early."""
    return 4 - weight.shape[2], 4 - weight.shape[3]


def weight_gradient(fine: Tensor, coarse: Tensor, weight: Tensor) -> Tensor:
    """The gradient of <halve(fine, weight), coarse> by the weight."""
    heavy, deep = is_heavy(weight, coarse[:, 0].numel()), is_deep(weight, coarse)
    if not (heavy or deep):
        return kernel_gradient(fine, coarse, weight, STRIDE, PADDING)
    if heavy:
        seen = columns(fine, weight).transpose(0, 1).flatten(1)
        return (coarse.transpose(0, 1).flatten(1) @ seen.t()).view(weight.shape)
    height, width = coarse.shape[2:]
    by_channel = coarse.permute(0, 2, 3, 1).flatten(0, 2).t().contiguous()
    padded = F.pad(fine.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    taps = [
        by_channel @ padded[:, row : row + 2 * height : 2, column : column + 2 * width : 2].flatten(0, 2)
        for row in range(weight.shape[2])
        for column in range(weight.shape[3])
    ]
    return torch.stack(taps, 1).unflatten(1, weight.shape[2:]).permute(0, 3, 1, 2)


def kernel_gradient(
    maps: Tensor, gradient: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """The gradient of <conv2d(maps, weight), gradient> by the weight."""
    rest = (None, stride, padding, (1, 1), False, (0, 0), 1, (False, True, False))
    operands = [gradient, maps, weight]
    if spins(gradient.dtype):
        operands = [operand.float() for operand in operands]
    if is_scattered(maps) or is_scattered(gradient):
        operands = [operand.contiguous() for operand in operands]
    return torch.ops.aten.convolution_backward(*operands, *rest)[1].to(weight.dtype)


def maps_gradient(
    maps: Tensor, gradient: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """The gradient of <conv2d(maps, weight), gradient> by the maps."""
    rest = (None, stride, padding, (1, 1), False, (0, 0), 1, (True, False, False))
    return torch.ops.aten.convolution_backward(gradient, maps, weight, *rest)[0]


def spins(dtype: torch.dtype) -> bool:
    """Whether the threads of a weight gradient would wait for each other without giving up their cores."""
    return dtype == torch.bfloat16 and torch.get_num_threads() > 1


def is_scattered(maps: Tensor) -> bool:
    """Whether maps lie so far apart, channels last, that a weight gradient is worth a copy."""
    return maps.dim() == 4 and maps[0].numel() >= LARGE_IMAGE and not maps.is_contiguous()


def is_thin(weight: Tensor) -> bool:
    """Whether a doubling has so few fine channels that its pixels are better computed as channels."""
    return weight.shape[1] <= FEW_CHANNELS and weight.shape[2:] == (4, 4)


def is_heavy(weight: Tensor, positions: int) -> bool:
    """Whether a weight is so large, and the maps so small, that it is better read once, by a matrix product."""
    ordinary = weight.dtype != torch.bfloat16 and weight.is_contiguous()
    return ordinary and weight.numel() >= HEAVY_WEIGHT * positions


def is_deep(weight: Tensor, coarse: Tensor) -> bool:
    """Whether a weight gradient has so many channels and so few positions that matrix products are faster."""
    # MKL's float32 products, which torch takes at the precision "highest", are no faster than the convolution, and those
    # of oneDNN are not either where the result is then copied, because the weight does not lie channels last.
    fast = torch.get_float32_matmul_precision() != "highest" and not weight.is_contiguous()
    few = FEW_POSITIONS.get(coarse.dtype, 0)
    return (fast or coarse.dtype == torch.bfloat16) and weight.shape[1] >= MANY_CHANNELS and coarse[:, 0].numel() <= few


class _Strided(torch.autograd.Function):
    """Halving, or doubling if `transposed`; its backward is made of differentiable operations, for penalties' sake."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, transposed: bool) -> Tensor:
        ctx.transposed = transposed
        ctx.save_for_backward(maps, weight)
        return double(maps, weight) if transposed else halve(maps, weight)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = grad_outputs
        maps, weight = ctx.saved_tensors
        to_maps = to_weight = None
        if ctx.needs_input_grad[0]:
            to_maps = (halve if ctx.transposed else double)(gradient, weight)
        if ctx.needs_input_grad[1]:
            fine, coarse = (gradient, maps) if ctx.transposed else (maps, gradient)
            to_weight = weight_gradient(fine, coarse, weight)
        return to_maps, to_weight, None


class _Convolved(torch.autograd.Function):
    """A convolution whose weight gradient is `kernel_gradient`."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        ctx.stride, ctx.padding = stride, padding
        ctx.save_for_backward(maps, weight)
        return F.conv2d(maps, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        (gradient,) = grad_outputs
        maps, weight = ctx.saved_tensors
        to_maps = to_weight = None
        if ctx.needs_input_grad[0]:
            to_maps = maps_gradient(maps, gradient, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            to_weight = kernel_gradient(maps, gradient, weight, ctx.stride, ctx.padding)
        return to_maps, to_weight, None, None


def strided(maps: Tensor, weight: Tensor, transposed: bool) -> Tensor:
    """`_Strided` in autocast's precision on a CPU, torch's own elsewhere."""
    if maps.device.type != "cpu":
        return (F.conv_transpose2d if transposed else F.conv2d)(maps, weight, None, STRIDE, PADDING)
    return _Strided.apply(*autocast(maps, weight), transposed)


def autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In autocast's precision; the casts are made here, outside a function, so that second derivatives go through them."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)


def with_bias(maps: Tensor, bias: Tensor | None) -> Tensor:
    return maps if bias is None else maps + bias.to(maps.dtype)[:, None, None]


class Conv(nn.Conv2d):
    """A convolution of any kernel, stride and padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, bias: bool = True):
        super().__init__(inputs, outputs, kernel, stride, padding, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        waits = torch.is_autocast_enabled("cpu") and spins(torch.bfloat16)
        if input.device.type != "cpu" or not (waits or is_scattered(input)):
            return super().forward(input)
        stride, padding = (self.stride[0], self.stride[1]), (int(self.padding[0]), int(self.padding[1]))
        return with_bias(_Convolved.apply(*autocast(input, self.weight), stride, padding), self.bias)


class Same(Conv):
    """(batch, inputs, height, width) to (batch, outputs, height, width); the kernel's side is odd."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, bias: bool = True):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)


class Halve(nn.Conv2d):
    """(batch, inputs, height, width) to (batch, outputs, height / 2, width / 2); the kernel's side is 4 or 3.

    An odd side is rounded down by a kernel of 4, up by one of 3.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 4, bias: bool = True):
        super().__init__(inputs, outputs, kernel, STRIDE, PADDING, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or input.shape[2] % 2 or input.shape[3] % 2:
            return super().forward(input)
        return with_bias(strided(input, self.weight, False), self.bias)


class Double(nn.ConvTranspose2d):
    """(batch, inputs, height, width) to (batch, outputs, 2 height, 2 width); the kernel's side is 4 or 3."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 4, bias: bool = True):
        super().__init__(inputs, outputs, kernel, STRIDE, PADDING, output_padding=4 - kernel, bias=bias)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if input.device.type != "cpu":
            return super().forward(input, output_size)
        return with_bias(strided(input, self.weight, True), self.bias)
