"""Multilayer perceptrons: Goodfellow's game, Kingma's autoencoder, points in the plane."""

from itertools import pairwise
from math import prod
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt
from torch import nn

from cardigan.config import Config
from cardigan.networks.heads import Discriminator, Encoder, Generator, class_vectors
from cardigan.networks.layers import LabelledLatent, Maxout, Reshape, Shape, initialise
from cardigan.networks.spectral import Network, spectral_norm

Activation = Literal["relu", "leaky-relu", "tanh", "silu", "maxout"]
Probability = Annotated[float, Field(ge=0, lt=1)]

ACTIVATIONS = {"relu": nn.ReLU, "leaky-relu": lambda: nn.LeakyReLU(0.2), "tanh": nn.Tanh, "silu": nn.SiLU}


class DefaultInit(Config):
    """PyTorch's own: weights and biases uniform in +-1 / sqrt(inputs)."""

    name: Literal["default"] = "default"

    def __call__(self, module: nn.Module) -> nn.Module:
        return module


class NormalInit(Config):
    """Weights from N(0, std^2), biases zero (DCGAN: .02; Kingma & Welling: .01)."""

    name: Literal["normal"] = "normal"
    std: PositiveFloat = 0.02

    def __call__(self, module: nn.Module) -> nn.Module:
        return initialise(module, lambda weight: nn.init.normal_(weight, 0.0, self.std))


class UniformInit(Config):
    """Weights uniform in +-bound, biases zero (Goodfellow et al. 2014: .05 in the generator, .005 in its opponent)."""

    name: Literal["uniform"] = "uniform"
    bound: PositiveFloat = 0.05

    def __call__(self, module: nn.Module) -> nn.Module:
        return initialise(module, lambda weight: nn.init.uniform_(weight, -self.bound, self.bound))


Initialisation = Annotated[DefaultInit | NormalInit | UniformInit, Field(discriminator="name")]


class MLPGeneratorConfig(Config):
    """Hidden layers of `widths`.

    Goodfellow et al. (2014) on MNIST: widths (1200, 1200), relu, uniform initialisation of bound .05; their sigmoid on
    [0, 1] is our tanh on [-1, 1] at twice the argument. Kingma & Welling (2013): widths (500,), tanh, normal of
    std .01.

    Attributes:
        pieces: affine maps per maxout unit; unused by other activations.
        normalisation: "batch" puts batch normalisation before each activation.
    """

    name: Literal["mlp"] = "mlp"
    widths: tuple[PositiveInt, ...] = (256, 512)
    activation: Activation = "relu"
    pieces: PositiveInt = 5
    normalisation: Literal["none", "batch"] = "none"
    initialisation: Initialisation = DefaultInit()

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> Generator:
        """Latent (batch, latent) to (batch, *shape): in [-1, 1] if `squash`, else any real numbers."""
        start = LabelledLatent(latent, classes)
        widths = (start.width, *self.widths)
        layers = [part for pair in pairwise(widths) for part in self._hidden(*pair)]
        output = [nn.Linear(widths[-1], prod(shape)), nn.Tanh() if squash else nn.Identity(), Reshape(*shape)]
        network = Generator(start, nn.Sequential(*layers, *output))
        self.initialisation(network)
        return network

    def _hidden(self, inputs: int, outputs: int) -> list[nn.Module]:
        linear, *activation = _layer(inputs, outputs, self.activation, self.pieces)
        norm = [nn.BatchNorm1d(outputs)] if self.normalisation == "batch" else []
        return [linear, *norm, *activation]


class MLPDiscriminatorConfig(Config):
    """Hidden layers of `widths`.

    Goodfellow et al. (2014) on MNIST: widths (240, 240), maxout of 5 pieces, input_dropout .2, dropout .5, uniform
    initialisation of bound .005. Kingma & Welling's encoder (2013): widths (500,), tanh.

    Attributes:
        pieces: affine maps per maxout unit; unused by other activations.
        dropout: probability that a hidden unit is dropped.
        input_dropout: probability that an input number is dropped.
        normalisation: "spectral" divides every weight matrix by its largest singular value.
    """

    name: Literal["mlp"] = "mlp"
    widths: tuple[PositiveInt, ...] = (512, 256)
    activation: Activation = "leaky-relu"
    pieces: PositiveInt = 5
    dropout: Probability = 0.0
    input_dropout: Probability = 0.0
    normalisation: Literal["none", "spectral"] = "none"
    initialisation: Initialisation = DefaultInit()

    def build(self, shape: Shape, classes: int = 0) -> Discriminator:
        """Images (batch, *shape) to scores (batch,)."""
        features = (prod(shape), *self.widths)[-1]
        embed = class_vectors(classes, features, features**-0.5)
        return self._ready(Discriminator(self._body(shape), nn.Linear(features, 1), embed))

    def build_encoder(self, shape: Shape, outputs: int) -> Encoder:
        """Images (batch, *shape) to (batch, outputs)."""
        features = (prod(shape), *self.widths)[-1]
        return self._ready(Encoder(self._body(shape), nn.Linear(features, outputs)))

    def _body(self, shape: Shape) -> nn.Sequential:
        layers = [part for pair in pairwise((prod(shape), *self.widths)) for part in self._hidden(*pair)]
        return nn.Sequential(nn.Flatten(), *_dropout(self.input_dropout), *layers)

    def _hidden(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [*_layer(inputs, outputs, self.activation, self.pieces), *_dropout(self.dropout)]

    def _ready(self, network: Network) -> Network:
        self.initialisation(network)
        return spectral_norm(network) if self.normalisation == "spectral" else network


def _layer(inputs: int, outputs: int, activation: Activation, pieces: int) -> list[nn.Module]:
    if activation == "maxout":
        return [Maxout(inputs, outputs, pieces)]
    return [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]


def _dropout(probability: float) -> list[nn.Module]:
    return [nn.Dropout(probability)] if probability else []
