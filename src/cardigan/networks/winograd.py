"""3 x 3 convolutions with 4/9 of the multiplications (Winograd 1980; Lavin & Gray 2016, F(2 x 2, 3 x 3)).

Y = A' [(G w G') * (B' d B)] A for every 2 x 2 tile Y of the output and the 4 x 4 pixels d that it sees, where * is a
product at each of 16 points, and so, summed over channels, 16 matrix products. The transforms are sums and differences
of neighbours, here of whole maps, which lie in memory channels last. In float32 the result is nearer to the exact one
than that of the direct sum.
"""

from typing import Any

import torch
from torch import Tensor, nn

from cardigan.networks.strided import Conv

POINTS = 16
CENTRE = 5
"""The point of which a number becomes that number at every pixel of a tile."""
MANY_CHANNELS = 192
MANY_TILES = 256


class Conv3(Conv):
    """(batch, inputs, height + 2, width + 2) to (batch, outputs, height, width): 3 x 3, by Winograd's where that is faster.

    Its output then lies in memory channels last, in which layout norms and paddings pass it on.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, 3, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        height, width = input.shape[2] - 2, input.shape[3] - 2
        if height % 2 or width % 2 or not is_faster(input, (height, width), min(self.weight.shape[:2])):
            return super().forward(input)
        return Winograd.apply(input, self.weight, self.bias)


def is_faster(images: Tensor, size: tuple[int, int], channels: int) -> bool:
    """Whether the products that are saved outweigh the transforms, at maps of a size, one for each image.

    It takes many channels, and many tiles for the transform of the kernel. bfloat16 has the hardware that makes products
    cheap, and a GPU has algorithms of its own to choose from.
    """
    ordinary = images.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return ordinary and channels >= MANY_CHANNELS and len(images) * (size[0] // 2) * (size[1] // 2) >= MANY_TILES


class Lay(nn.Module):
    """Images as they are, channels last in memory if the maps at a quarter of their size, of so many channels, will be."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if not is_faster(images, (height // 4, width // 4), self.channels):
            return images
        return images.contiguous(memory_format=torch.channels_last)


class Winograd(torch.autograd.Function):
    """`F.conv2d` without stride or padding, of a 3 x 3 kernel, where the output's sides are even."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(maps, weight)
        pixels = last(maps)
        tiles = (pixels.shape[0], pixels.shape[1] // 2 - 1, pixels.shape[2] // 2 - 1)
        products = torch.bmm(maps_points(pixels), kernel_points(weight).mT)
        if bias is not None:
            products[CENTRE] += bias
        return pixels_of_points(products, tiles).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = grad_outputs
        maps, weight = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient that is differentiated again
            return direct_gradients(gradient, maps, weight, ctx.needs_input_grad)
        points = points_of_pixels(last(gradient))
        to_maps = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            pixels = maps_of_points(torch.bmm(points, kernel_points(weight)), last(maps).shape)
            to_maps = pixels.permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            # Transformed anew: kept from before, the points would take four times the memory of the maps.
            to_weight = kernel_of_points(torch.bmm(points.mT, maps_points(last(maps))), weight)
        if ctx.needs_input_grad[2]:
            to_bias = points[CENTRE].sum(0)
        return to_maps, to_weight, to_bias


def direct_gradients(
    gradient: Tensor, maps: Tensor, weight: Tensor, needed: tuple[bool, ...]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    rest = (list(weight.shape[:1]), (1, 1), (0, 0), (1, 1), False, (0, 0), 1, list(needed))
    return torch.ops.aten.convolution_backward(gradient, maps, weight, *rest)


def last(maps: Tensor) -> Tensor:
    """(batch, channels, height, width) as (batch, height, width, channels), without gaps."""
    return maps.permute(0, 2, 3, 1).contiguous()


def kernel_matrix(like: Tensor) -> Tensor:
    """G on both axes: the nine numbers of a kernel to the 16 points."""
    line = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=like.dtype, device=like.device)
    return torch.kron(line, line)


def kernel_points(weight: Tensor) -> Tensor:
    """(outputs, inputs, 3, 3) to (16, outputs, inputs)."""
    points = kernel_matrix(weight) @ weight.flatten(2).flatten(0, 1).t()
    return points.view(POINTS, *weight.shape[:2])


def kernel_of_points(points: Tensor, weight: Tensor) -> Tensor:
    """The adjoint of `kernel_points`."""
    return (kernel_matrix(points).t() @ points.flatten(1)).t().contiguous().view(weight.shape)


def maps_points(pixels: Tensor) -> Tensor:
    """B' d B: (batch, height + 2, width + 2, channels) to (16, tiles, channels)."""
    columns = points_of_axis(pixels, 2)
    return points_of_axis(columns, 2).view(POINTS, -1, pixels.shape[3])


def points_of_axis(pixels: Tensor, axis: int) -> Tensor:
    """B' along an axis: of each four neighbours that begin at an even place, four points, on a new first axis."""
    tiles = pixels.shape[axis] // 2 - 1
    even, odd = pixels.unflatten(axis, (-1, 2)).unbind(axis + 1)
    first, second, third, fourth = (part.narrow(axis, start, tiles) for start in (0, 1) for part in (even, odd))
    points = pixels.new_empty(4, *first.shape)
    torch.sub(first, third, out=points[0])
    torch.add(second, third, out=points[1])
    torch.sub(third, second, out=points[2])
    torch.sub(second, fourth, out=points[3])
    return points


def maps_of_points(points: Tensor, shape: torch.Size) -> Tensor:
    """The adjoint of `maps_points`, to (batch, height + 2, width + 2, channels)."""
    batch, height, width, channels = shape
    grid = points.view(4, 4, batch, height // 2 - 1, width // 2 - 1, channels)
    return axis_of_points(axis_of_points(grid, 2), 2)


def axis_of_points(points: Tensor, axis: int) -> Tensor:
    """The adjoint of `points_of_axis`: what falls on one place is added up."""
    first, second, third, fourth = points
    tiles = first.shape[axis]
    shape = (*first.shape[:axis], tiles + 1, 2, *first.shape[axis + 1 :])
    pixels = points.new_empty(shape)
    even, odd = pixels.unbind(axis + 1)
    even.narrow(axis, 0, tiles).copy_(first)
    even.narrow(axis, tiles, 1).zero_()
    even.narrow(axis, 1, tiles).add_(second).sub_(third, alpha=-1).sub_(first)
    torch.sub(second, third, out=odd.narrow(axis, 0, tiles)).add_(fourth)
    odd.narrow(axis, tiles, 1).zero_()
    odd.narrow(axis, 1, tiles).sub_(fourth)
    return pixels.flatten(axis, axis + 1)


def pixels_of_points(points: Tensor, tiles: tuple[int, int, int]) -> Tensor:
    """A' M A: (16, tiles, channels) to (batch, height, width, channels)."""
    batch, rows, columns = tiles
    grid = points.view(4, 4, *tiles, points.shape[2])
    halfway = points.new_empty(2, *grid.shape[1:])
    sums(grid, halfway)
    pixels = points.new_empty(batch, rows, 2, columns, 2, points.shape[2])
    sums(halfway.transpose(0, 1), pixels.permute(4, 2, 0, 1, 3, 5))
    return pixels.flatten(3, 4).flatten(1, 2)


def sums(points: Tensor, out: Tensor) -> None:
    """A' along the first axis."""
    first, second, third, fourth = points
    torch.add(first, second, out=out[0]).add_(third)
    torch.sub(second, third, out=out[1]).sub_(fourth)


def points_of_pixels(pixels: Tensor) -> Tensor:
    """The adjoint of `pixels_of_points`."""
    tiled = pixels.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(4, 2, 0, 1, 3, 5)
    columns = pixels.new_empty(4, *tiled.shape[1:])
    unsums(tiled, columns)
    points = pixels.new_empty(4, *columns.shape[:1], *columns.shape[2:])
    unsums(columns.transpose(0, 1), points)
    return points.view(POINTS, -1, pixels.shape[3])


def unsums(pixels: Tensor, out: Tensor) -> None:
    """The adjoint of `sums`."""
    even, odd = pixels
    out[0].copy_(even)
    torch.add(even, odd, out=out[1])
    torch.sub(even, odd, out=out[2])
    torch.neg(odd, out=out[3])
