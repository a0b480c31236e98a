"""StackGAN's discriminators (Zhang et al. 2017): is an image real, and is it what a sentence says?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.networks.heads import Body
from cardigan.networks.layers import Centre, Normalisation, Shape, batch_norm, layer_norm, stages
from cardigan.networks.spectral import spectral_norm
from cardigan.networks.stackgan import SLOPE, Images, Maps, Residual, Texts, initialised, tiled
from cardigan.networks.strided import Halve, Same


class MatchingDiscriminator(Body):
    """Scores of images being real and of what a sentence says, higher is more so.

    An image is encoded once, by `features`; what is said of it comes in afterwards, so that several sentences about one
    image take one encoding.
    """

    def __init__(self, body: nn.Sequential, text: nn.Linear, joint: nn.Sequential):
        super().__init__(body)
        self.text, self.joint = text, joint

    def forward(self, images: Images, texts: Texts) -> Float[Tensor, " batch"]:
        return self.match(self.features(images), texts)

    def features(self, images: Images) -> Maps:
        """What is to be known of the images whatever is said of them."""
        return self.body(images)

    def match(self, features: Maps, texts: Texts) -> Float[Tensor, " batch"]:
        """Scores of images with these features, of each of which one sentence is told."""
        return self.joint(tiled(F.leaky_relu(self.text(texts), SLOPE), features)).flatten()


class MatchingConfig(Config):
    """A matching-aware discriminator. 4,029,824 parameters at 64 x 64 and 48,603,520 at 256 x 256 with 3 channels and
    sentences of 1,024 numbers.

    Attributes:
        width: channels after the first halving, doubled at each further one; in the end they are brought to eight times
            this number.
        max_width: where the doubling ends.
        text: numbers that a sentence is reduced to.
        normalisation: "batch" as in the paper, "layer", "spectral" or "none"; the last two have biases.
    """

    width: PositiveInt = 64
    max_width: PositiveInt = 2048
    text: PositiveInt = 128
    normalisation: Normalisation = "batch"

    def build(self, shape: Shape, texts: int) -> MatchingDiscriminator:
        """Images (batch, *shape) and vectors of sentences (batch, texts) to scores (batch,).

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        plan = stages(shape)
        halved = plan.channels(self.width, self.max_width)[: plan.count]
        channels = [shape[0], *halved, *self.reductions(halved[-1])]
        # What the residual block is given has no activation, nor, in the paper's Stage I, has the layer before it.
        active = len(channels) - (2 if len(channels) > plan.count + 1 else 3)
        layers: list[nn.Module] = [Centre(plan.size)]
        for place, (inputs, outputs) in enumerate(pairwise(channels)):
            layers.append(self.halve(inputs, outputs) if place < plan.count else self.same(inputs, outputs, 1))
            layers += self.norm(outputs) if place else []
            layers += [leaky()] if place < max(active, 1) else []
        width = channels[-1]
        body = nn.Sequential(*layers, self.bottleneck(width))
        last = nn.Conv2d(width, 1, plan.base, bias=self.bias)
        joint = nn.Sequential(*self.active(self.same(width + self.text, width, 1)), last)
        network = initialised(MatchingDiscriminator(body, nn.Linear(texts, self.text), joint))
        return spectral_norm(network) if self.normalisation == "spectral" else network

    def reductions(self, channels: int) -> Iterator[int]:
        """Channels of the layers 1 x 1 that lead to eight times the width."""
        while channels > 8 * self.width:
            channels //= 2
            yield channels

    @property
    def bias(self) -> bool:
        return self.normalisation in ("none", "spectral")

    def norm(self, channels: int) -> list[nn.Module]:
        norms = {"batch": batch_norm, "layer": layer_norm}
        return [norms[self.normalisation](channels)] if self.normalisation in norms else []

    def halve(self, inputs: int, outputs: int) -> nn.Conv2d:
        return Halve(inputs, outputs, bias=self.bias)

    def same(self, inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
        return Same(inputs, outputs, kernel, bias=self.bias)

    def active(self, layer: nn.Conv2d) -> list[nn.Module]:
        return [layer, *self.norm(layer.out_channels), leaky()]

    def bottleneck(self, channels: int) -> Residual:
        quarter = max(1, channels // 4)
        layers = [*self.active(self.same(channels, quarter, 1)), *self.active(self.same(quarter, quarter))]
        layers += [self.same(quarter, channels), *self.norm(channels)]
        return Residual(nn.Sequential(*layers), leaky(inplace=False))


def leaky(inplace: bool = True) -> nn.LeakyReLU:
    return nn.LeakyReLU(SLOPE, inplace=inplace)
