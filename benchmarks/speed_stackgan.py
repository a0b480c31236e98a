"""A round of StackGAN's Stage II, 64 to 256 pixels with the paper's networks: a plain training step against Cardigan's.

Each candidate has a process of its own; they take turns. The plain step does what public code does: torch's own layers on
contiguous float32; four captions of each image go through the character network in every step; the discriminator encodes
real images, other real images of which the sentence is wrong, generated ones, and these once more for the generator; its
weights' gradients are taken then as well; Adam's loop; each loss is read at the end of the step. Both sides draw an image
once and use it for both players.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # has to be said before torch is imported

import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from cardigan.data import Dataset, DataSpec, Splits
from cardigan.data.sentences import sentences_of
from cardigan.text import PAPER
from cardigan.training.recipe import build_recipe, merge, recipe_table
from cardigan.training.trainer import Trainer
from common import Results, Row, new_trainer, options, table
from turns import compared, lacking, rounds

TARGET = 1.5
SIZE = 256
WIDTHS = {"generator": 128, "discriminator": 64}
CODE, NOISE, SYMBOLS, LENGTH, SENTENCES = 128, 100, 70, 201, 4


# ---- the plain networks ----------------------------------------------------------------------------------------------


class CharacterNetwork(nn.Module):
    """The encoder of Reed et al. (2016), on one-hot characters."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *(nn.Conv1d(SYMBOLS, 384, 4), nn.ReLU(), nn.MaxPool1d(3)),
            *(nn.Conv1d(384, 512, 4), nn.ReLU(), nn.MaxPool1d(3)),
            *(nn.Conv1d(512, 256, 4), nn.ReLU(), nn.MaxPool1d(3, 2)),
        )
        self.recurrence = nn.RNN(256, 256, nonlinearity="relu", batch_first=True)
        self.output = nn.Linear(256, PAPER.dims)

    def forward(self, characters: Tensor) -> Tensor:
        maps = self.convolutions(F.one_hot(characters, SYMBOLS).float().transpose(1, 2))
        return self.output(self.recurrence(maps.transpose(1, 2))[0].mean(1))


class Sum(nn.Module):
    def __init__(self, layers: list[nn.Module], activation: nn.Module) -> None:
        super().__init__()
        self.layers, self.activation = nn.Sequential(*layers), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.layers(x))


def convolved(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    padding = 1 if kernel > 1 else 0
    return [nn.Conv2d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm2d(after)]


def active(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [*convolved(before, after, kernel, stride), nn.ReLU(True)]


def leaky(before: int, after: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [*convolved(before, after, kernel, stride), nn.LeakyReLU(0.2, True)]


def upsampled(before: int, after: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2), *active(before, after)]


class Augmentation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(PAPER.dims, 2 * CODE)

    def forward(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = F.leaky_relu(self.linear(texts), 0.2).chunk(2, 1)
        code = mean + log_deviation.exp() * torch.randn_like(mean)
        return code, (0.5 * (mean.square() + (2 * log_deviation).exp() - 1) - log_deviation).mean()


class PlainStageOne(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        w = WIDTHS["generator"]
        self.augmentation = Augmentation()
        self.first = nn.Sequential(nn.Linear(NOISE + CODE, 16 * 8 * w), nn.BatchNorm1d(16 * 8 * w))
        narrow = lambda c: [*active(c, c // 4, 1), *active(c // 4, c // 4), *convolved(c // 4, c)]  # noqa: E731
        layers = [Sum(narrow(8 * w), nn.ReLU()), nn.Upsample(scale_factor=2), *convolved(8 * w, 4 * w)]
        layers += [Sum(narrow(4 * w), nn.ReLU()), *upsampled(4 * w, 2 * w), *upsampled(2 * w, w)]
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(w, 3, 3, 1, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, texts: Tensor) -> Tensor:
        code, _ = self.augmentation(texts)
        maps = self.first(torch.cat([torch.randn(len(texts), NOISE), code], 1))
        return self.layers(maps.unflatten(1, (-1, 4, 4)))


class PlainStageTwo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        w = WIDTHS["generator"]
        self.augmentation = Augmentation()
        first = nn.Conv2d(3, w, 3, 1, 1, bias=False)
        self.encoder = nn.Sequential(first, nn.ReLU(True), *active(w, 2 * w, 4, 2), *active(2 * w, 4 * w, 4, 2))
        layers = active(4 * w + CODE, 4 * w)
        layers += [Sum([*active(4 * w, 4 * w), *convolved(4 * w, 4 * w)], nn.ReLU()) for _ in range(4)]
        for before in (4 * w, 2 * w, w, w // 2):
            layers += upsampled(before, before // 2)
        self.layers = nn.Sequential(*layers, nn.Conv2d(w // 4, 3, 3, 1, 1, bias=False), nn.Tanh())

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        code, divergence = self.augmentation(texts)
        maps = self.encoder(images)
        return self.layers(torch.cat([maps, code[:, :, None, None].expand(-1, -1, *maps.shape[2:])], 1)), divergence


class PlainDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        w = WIDTHS["discriminator"]
        last = 8 * w
        layers: list[nn.Module] = [nn.Conv2d(3, w, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        for level in range(5):
            layers += leaky(w << level, w << (level + 1), 4, 2)
        layers += [*leaky(32 * w, 16 * w, 1), *leaky(16 * w, last, 1)]
        quarter = [*leaky(last, last // 4, 1), *leaky(last // 4, last // 4), *convolved(last // 4, last)]
        self.encoder = nn.Sequential(*layers[:-1], Sum(quarter, nn.LeakyReLU(0.2)))
        self.text = nn.Linear(PAPER.dims, CODE)
        self.joint = nn.Sequential(*leaky(last + CODE, last, 1), nn.Conv2d(last, 1, 4, bias=False))

    def forward(self, images: Tensor, texts: Tensor) -> Tensor:
        maps = self.encoder(images)
        told = F.leaky_relu(self.text(texts), 0.2)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return self.joint(torch.cat([maps, told], 1)).flatten()


# ---- the plain step --------------------------------------------------------------------------------------------------


def logistic(scores: Tensor, goal: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, goal))


def adam(network: nn.Module) -> optim.Optimizer:
    return optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), foreach=False, fused=False)


class Plain:
    def __init__(self) -> None:
        self.reader, self.one, self.two = CharacterNetwork(), PlainStageOne(), PlainStageTwo()
        self.critic = PlainDiscriminator()
        for network in (self.reader, self.one):
            network.requires_grad_(False)
        self.optimisers = adam(self.critic), adam(self.two)

    def step(self, real: Tensor, other: Tensor, characters: Tensor) -> list[float]:
        texts = self.reader(characters.flatten(0, 1)).unflatten(0, characters.shape[:2]).mean(1)
        fake, divergence = self.two(self.one(texts), texts)
        self.optimisers[0].zero_grad()
        right, wrong = logistic(self.critic(real, texts), 1.0), logistic(self.critic(other, texts), 0.0)
        made = logistic(self.critic(fake.detach(), texts), 0.0)
        (right + 0.5 * (wrong + made)).backward()
        self.optimisers[0].step()
        self.optimisers[1].zero_grad()
        fooled = logistic(self.critic(fake, texts), 1.0)
        (fooled + 2.0 * divergence).backward()
        self.optimisers[1].step()
        return [each.item() for each in (right, wrong, made, fooled, divergence)]


# ---- the candidates --------------------------------------------------------------------------------------------------


def plain(batch: int) -> Callable[[], object]:
    game = Plain()
    real, other = torch.rand(2, batch, 3, SIZE, SIZE) * 2 - 1
    characters = torch.randint(0, SYMBOLS, (batch, SENTENCES, LENGTH))
    return lambda: game.step(real, other, characters)


def noise_told(count: int) -> Splits:
    """Random images of which random vectors are told, each of a kind of its own: the arithmetic does not look at them."""
    spec = DataSpec(channels=3, height=SIZE, width=SIZE)
    pixels = torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8)
    told = sentences_of([[f"image {i}, sentence {j}" for j in range(10)] for i in range(count)])
    noise = Dataset("noise", "train", spec, pixels, "noise").described(told, PAPER)
    noise = noise.embedded(torch.randn(len(told.table), PAPER.dims))
    return Splits(noise, noise)


def trainer(batch: int, precision: str) -> Trainer:
    """One that stands where Stage II begins."""
    widths = {player: {"width": width} for player, width in WIDTHS.items()}
    changes: dict[str, Any] = {"precision": precision, "batch": batch, "images": 10**9}
    recipe = build_recipe(merge(recipe_table("stackgan"), {**changes, "game": {"reuse_fake": True, **widths}}))
    made = new_trainer(recipe, noise_told(4 * batch), "noise")
    made.images = 10**9 // 2
    return made


def cardigan(batch: int, precision: str) -> Callable[[], object]:
    return trainer(batch, precision).play_round


def measured(batch: int, threads: int, steps: int) -> list[Row]:
    candidates = rounds(partial(plain, batch), partial(cardigan, batch))
    return [{"batch": batch, **row} for row in compared(candidates, threads, steps)]


def summary(rows: list[Row]) -> str:
    header = ["candidate", "CPU s, median", "times the plain step", "target", "peak MiB"]
    lines = []
    for row, target in zip(rows, itertools.chain([""], itertools.repeat(f"≥ {TARGET}")), strict=False):
        lines.append([row["label"], f"{row['median']:.2f}", f"{row['ratio']:.2f}", target, f"{row['peak']:,.0f}"])
    return table(header, lines) + lacking()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measured(args.batch, args.threads, args.steps)
    results = Results(args.results, "speed_stackgan")
    results.append_all(rows)
    title = (
        f"A round of StackGAN's Stage II, {SIZE // 4} to {SIZE} pixels, batch {args.batch}, {args.threads} thread(s)"
    )
    results.publish(f"{title}, {args.steps} interleaved steps", summary(rows))


if __name__ == "__main__":
    main()
