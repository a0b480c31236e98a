"""What a game is: players, and the moves of one round.

A page in this room reads like its paper's algorithm box. It knows no device, precision, rank, optimiser or file:
`training.trainer` plays any game, because a round is a generator of moves, and the trainer takes each move (gradients
of that player only, its optimiser's step) before the round goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec

if TYPE_CHECKING:
    from cardigan.data.dataset import Splits

NO_PENALTY = (
    "a gradient penalty needs scores that do not depend on the rest of the batch, and batch normalisation couples them: "
    "add --set {}=layer"
)


@dataclass(frozen=True)
class Move:
    """One player's turn.

    Attributes:
        player: the networks that move; nothing else gets a gradient.
        loss: the scalar that the player minimises.
        log: named scalars worth a curve; the loss itself is logged under the player's name.
    """

    player: nn.Module
    loss: Tensor
    log: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """What a game asks of its trainer for some rounds.

    Attributes:
        stage: when it changes, every optimiser begins anew.
        halvings: how often the images that the round is given are halved.
        batch: examples of a batch; the recipe's number where it is None.
        rate: factor of the learning rates.
    """

    stage: int = 0
    halvings: int = 0
    batch: int | None = None
    rate: float = 1.0


class Game(nn.Module):
    """A training problem for one or more players.

    Everything that a resumed training must find again is a parameter or a persistent buffer. The trainer sets
    `progress` (share of the training done, 0 to 1) and `rounds` (rounds played) before each round.
    """

    players: tuple[str, ...]
    """Attribute names of the modules that move, each with an optimiser of its own."""

    deployed: tuple[str, ...]
    """Attribute names of the modules that a trained model needs; their weights are averaged over training."""

    opponent: str = ""
    """Attribute name of the module that a trained model is kept with, as it is, to ask how real a picture looks."""

    largest_loss: float = math.inf
    """A loss beyond this, either way, is an explosion: the trainer goes back as it does from one that is not finite."""

    batch_multiple: int = 1
    """What a batch, and each micro-batch of it, must be a multiple of."""

    validated: int = 256
    """Examples of a split that it is validated on."""

    milestones: tuple[float, ...] = (0.0,)
    """Shares of the training at which the cost of a round changes."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.progress = 0.0
        self.rounds = 0

    def equip(self, splits: Splits) -> None:
        """Take over, once before the first round, what the data comes with: the weights of the encoder of its sentences.

        A game that is told sentences has the encoder, frozen, as `text`.
        """
        text = getattr(self, "text", None)
        if text is not None and splits.text is not None:
            text.load_state_dict(splits.text.state_dict())

    def phase(self, progress: float) -> Phase:
        """What the round at a share of the training is to be given."""
        return Phase()

    @property
    def stored(self) -> tuple[str, ...]:
        """Attribute names of all modules that a model folder holds."""
        return (*self.deployed, self.opponent) if self.opponent else self.deployed

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        """Yield the moves of one round, drawing as many batches as it needs.

        The trainer has stepped the player's optimiser by the time the generator resumes, so whatever follows a
        `yield` (clipping, for example) sees the new weights.
        """
        raise TypeError(f"{type(self).__name__} defines no round")

    def heed(self, readings: Mapping[str, float], share: float) -> None:
        """What a game does about the trainer's readings, if anything; `share` of the training has passed since the last."""

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars on examples that no player has been trained on, averaged over the batch."""
        raise TypeError(f"{type(self).__name__} defines no validation")

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        """Pictures of the state of play: float of shape (n, channels, height, width), in rows of what belongs together."""
        raise TypeError(f"{type(self).__name__} defines no preview")

    def picture(self, batch: Batch, latents: Tensor) -> Tensor:
        """The preview beside a batch of test images, which may be fewer than latents; by default of its images alone."""
        return self.preview(batch.images, latents)


class LatentConfig(Config):
    """Where a generator's input comes from: `size` independent N(0, 1) or U(-1, 1) numbers."""

    size: PositiveInt = 64
    distribution: Literal["normal", "uniform"] = "normal"


class Generative(Game):
    """A game whose outcome turns latents into examples."""

    latent: LatentConfig
    conditional: bool = False
    choices: int = 0
    """How many numbers at the end of a latent choose one of several things, between which there is nothing."""

    def draw_latents(self, n: int, generator: torch.Generator | None = None, *, like: Tensor | None = None) -> Tensor:
        """Latents of shape (n, latent.size), on the device of `like`.

        Without a `generator` they come from torch's global stream, which the trainer seeds anew for each round.
        """
        device = None if like is None else like.device
        latents = torch.empty(n, self.latent.size, device=device if generator is None else generator.device)
        if self.latent.distribution == "normal":
            latents.normal_(generator=generator)
        else:
            latents.uniform_(-1.0, 1.0, generator=generator)
        return latents.to(device)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Examples of shape (n, channels, height, width) for latents (n, latent.size) and, if conditional, labels (n,)."""
        raise TypeError(f"{type(self).__name__} defines no decoder")

    def realness(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The opponent's scores (n,) of images (n, channels, height, width), the higher the more real."""
        raise TypeError(f"{type(self).__name__} has no opponent")

    def preview_labels(self, n: int, like: Tensor) -> Tensor | None:
        """Each class in turn, for a grid that shows them all; None where the game is not conditional."""
        return torch.arange(n, device=like.device) % len(self.spec.classes) if self.conditional else None

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        return self.decode(latents, self.preview_labels(len(latents), latents))


class Encoding(Game):
    """A game whose outcome turns examples into codes and codes into examples."""

    def encode(self, images: Tensor) -> Tensor:
        """Codes of shape (n, code size) for images (n, channels, height, width)."""
        raise TypeError(f"{type(self).__name__} defines no encoder")

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images of the same shape, passed through the code."""
        raise TypeError(f"{type(self).__name__} defines no reconstruction")

    def validated_loss(self, validated: Mapping[str, float]) -> float:
        """The loss, as the player minimises it, that `validate` has reported on."""
        raise TypeError(f"{type(self).__name__} defines no validated loss")

    def constant_loss(self, known: Tensor, images: Tensor) -> Tensor:
        """The same loss on `images` of a model that ignores its code and has learnt from `known` what it can: a scalar.

        Both are images (n, channels, height, width). Whoever does no better has learnt nothing worth a code.
        """
        raise TypeError(f"{type(self).__name__} defines no constant model")


@contextmanager
def frozen(player: nn.Module) -> Iterator[None]:
    """What is computed within the context takes the player for a fixed function: no graph is kept for its weights."""
    parameters = [parameter for parameter in player.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def spread(*sides: Tensor) -> Tensor:
    """Standard deviation of scores about the mean of their own side, each (n,): the unit where a score has none."""
    return torch.stack([scores.float().var(correction=0) for scores in sides]).mean().sqrt()


def side_by_side(*columns: Tensor) -> Tensor:
    """Interleave equally long batches, so that a grid of len(columns) pictures a row shows what belongs together."""
    return torch.stack(columns, dim=1).flatten(0, 1)
