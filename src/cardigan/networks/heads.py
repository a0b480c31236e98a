"""What all players are put together from: a generator's start, and what stands on a discriminator's body."""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from cardigan.networks.layers import LabelledLatent, required


class Generator(nn.Module):
    """Latent vector (and class code) through layers to examples.

    Args:
        latent: appends the class code.
        layers: (batch, latent.width) to (batch, channels, height, width).
    """

    def __init__(self, latent: LabelledLatent, layers: nn.Sequential):
        super().__init__()
        self.latent = latent
        self.layers = layers

    def forward(
        self, latent: Float[Tensor, "batch latent"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        return self.layers(self.latent(latent, labels))


class Body(nn.Module):
    """Something on features of images."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def features(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """What the last layer is given: the penultimate features."""
        return self.body(images)

    @property
    def couples_batch(self) -> bool:
        """Whether in training one sample's output depends on the others (batch normalisation).

        Where it does, real and generated samples must go through in calls of their own, and penalties on per-sample
        gradients are not defined.
        """
        return any(isinstance(module, _BatchNorm) for module in self.modules())


class Discriminator(Body):
    """Scores of realness, higher is more real: w'h(x) + b, and with classes + <embed(y), h(x)>.

    The projection discriminator of Miyato & Koyama (2018).

    Args:
        body: images to (batch, features).
        linear: the layer from features to one number.
        embed: the layer from labels to (batch, features); None for an unconditional game, where labels are ignored.
    """

    def __init__(self, body: nn.Module, linear: nn.Linear, embed: nn.Embedding | None):
        super().__init__(body)
        self.linear = linear
        self.embed = embed

    def forward(
        self, images: Float[Tensor, "batch channels height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, " batch"]:
        features = self.features(images)
        scores = self.linear(features).squeeze(1)
        if self.embed is None:
            return scores
        return scores + (self.embed(required(labels)) * features).sum(1)


class Direction(nn.Linear):
    """<h(x), w / |w|>, whose direction learns by a loss of its own (Takida et al. 2024, SAN).

    The scores give the direction no gradient, and `along` gives the features none: the features are to tell real from
    generated ones, the direction to be the one in which their means are farthest apart.
    """

    def __init__(self, features: int):
        super().__init__(features, 1, bias=False)

    @property
    def unit(self) -> Tensor:
        return self.weight / self.weight.norm()

    def forward(self, input: Float[Tensor, "batch features"]) -> Float[Tensor, "batch 1"]:
        return F.linear(input, self.unit.detach())

    def along(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, " batch"]:
        """Features, taken as constants, along the direction."""
        return F.linear(features.detach(), self.unit).squeeze(1)


class Encoder(Body):
    """A discriminator's body with a linear layer to (batch, outputs)."""

    def __init__(self, body: nn.Module, linear: nn.Module):
        super().__init__(body)
        self.linear = linear

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch outputs"]:
        return self.linear(self.features(images))


def class_vectors(classes: int, features: int, std: float) -> nn.Embedding | None:
    """The projection head's embedding from N(0, std^2), or None without classes."""
    if not classes:
        return None
    embed = nn.Embedding(classes, features)
    nn.init.normal_(embed.weight, 0.0, std)
    return embed
