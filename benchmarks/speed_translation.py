"""A CycleGAN round at 128 x 128 and a pix2pix round at 256 x 256, batch 1: a plain training step against Cardigan's.

Each candidate has a process of its own; they take turns. The plain steps do what the authors' public PyTorch code does:
torch's own layers on contiguous float32, every network on every batch by itself (CycleGAN: six passes of generators and
six of discriminators; pix2pix: the discriminator on real, on generated and again for the generator), each loss read at
the end of the step, Adam's loop.
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
from cardigan.data.sides import Pairs, Unpaired
from cardigan.data.spec import Side
from cardigan.games.pool import ImagePool
from cardigan.training.recipe import build_recipe, merge, recipe_table
from cardigan.training.trainer import Trainer
from common import Results, Row, new_trainer, options, table
from turns import compared, lacking, rounds

SIZES = {"cyclegan": 128, "pix2pix": 256}
TARGETS = {"float32": 1.3, "bfloat16": 1.8}
WIDTH = 64


# ---- the plain networks ----------------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]  # noqa: E731
        self.layers = nn.Sequential(*half(), nn.ReLU(True), *half())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def residual_generator(blocks: int = 6) -> nn.Sequential:
    def active(layer: nn.Module, width: int) -> list[nn.Module]:
        return [layer, nn.InstanceNorm2d(width), nn.ReLU(True)]

    w = WIDTH
    layers = [nn.ReflectionPad2d(3), *active(nn.Conv2d(3, w, 7), w)]
    layers += active(nn.Conv2d(w, 2 * w, 3, 2, 1), 2 * w) + active(nn.Conv2d(2 * w, 4 * w, 3, 2, 1), 4 * w)
    layers += [Residual(4 * w) for _ in range(blocks)]
    layers += active(nn.ConvTranspose2d(4 * w, 2 * w, 3, 2, 1, 1), 2 * w)
    layers += active(nn.ConvTranspose2d(2 * w, w, 3, 2, 1, 1), w)
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, 3, 7), nn.Tanh())


class Level(nn.Module):
    """One level of a U-Net around what lies below it."""

    def __init__(
        self, outer: int, inner: int, below: nn.Module | None, inputs: int | None = None, dropout: bool = False
    ):
        super().__init__()
        self.outermost = inputs is not None
        down: list[nn.Module] = [] if self.outermost else [nn.LeakyReLU(0.2)]
        down.append(nn.Conv2d(inputs or outer, inner, 4, 2, 1, bias=False))
        if not self.outermost and below is not None:
            down.append(nn.BatchNorm2d(inner))
        doubled = inner if below is None else 2 * inner
        up: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(doubled, outer, 4, 2, 1, bias=self.outermost)]
        up.append(nn.Tanh() if self.outermost else nn.BatchNorm2d(outer))
        if dropout:
            up.append(nn.Dropout(0.5))
        self.layers = nn.Sequential(*down, *([] if below is None else [below]), *up)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) if self.outermost else torch.cat([x, self.layers(x)], 1)


def u_net(depth: int = 8) -> nn.Module:
    w = WIDTH
    network = Level(8 * w, 8 * w, None)
    for _ in range(depth - 5):
        network = Level(8 * w, 8 * w, network, dropout=True)
    for outer, inner in ((4 * w, 8 * w), (2 * w, 4 * w), (w, 2 * w)):
        network = Level(outer, inner, network)
    return Level(3, w, network, inputs=3)


def patches(inputs: int, norm: Callable[[int], nn.Module], bias: bool) -> nn.Sequential:
    w = WIDTH
    layers: list[nn.Module] = [nn.Conv2d(inputs, w, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for before, after, stride in ((w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 8 * w, 1)):
        layers += [nn.Conv2d(before, after, 4, stride, 1, bias=bias), norm(after), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 4, 1, 1))


def adam(*networks: nn.Module) -> optim.Optimizer:
    parameters = itertools.chain.from_iterable(network.parameters() for network in networks)
    return optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), foreach=False, fused=False)


def requires_gradients(networks: tuple[nn.Module, ...], wanted: bool) -> None:
    for network in networks:
        network.requires_grad_(wanted)


# ---- the plain steps -------------------------------------------------------------------------------------------------


class PlainCycleGAN:
    def __init__(self) -> None:
        self.to_b, self.to_a = residual_generator(), residual_generator()
        self.critic_a, self.critic_b = (patches(3, nn.InstanceNorm2d, bias=True) for _ in range(2))
        self.generators, self.critics = adam(self.to_b, self.to_a), adam(self.critic_a, self.critic_b)
        size = SIZES["cyclegan"]
        self.pools = [ImagePool(50, (3, size, size)) for _ in range(2)]

    def step(self, a: Tensor, b: Tensor) -> list[float]:
        fake_b = self.to_b(a)
        again_a = self.to_a(fake_b)
        fake_a = self.to_a(b)
        again_b = self.to_b(fake_a)
        requires_gradients((self.critic_a, self.critic_b), False)
        self.generators.zero_grad()
        same_a, same_b = F.l1_loss(self.to_a(a), a), F.l1_loss(self.to_b(b), b)
        fooled = [square(critic(fake), 1.0) for critic, fake in ((self.critic_a, fake_a), (self.critic_b, fake_b))]
        cycle = F.l1_loss(again_a, a) + F.l1_loss(again_b, b)
        loss = sum(fooled) + 10 * cycle + 5 * (same_a + same_b)
        loss.backward()
        self.generators.step()
        requires_gradients((self.critic_a, self.critic_b), True)
        self.critics.zero_grad()
        losses = [fooled[0], fooled[1], cycle, same_a, same_b]
        for critic, pool, real, fake in (
            (self.critic_a, self.pools[0], a, fake_a),
            (self.critic_b, self.pools[1], b, fake_b),
        ):
            one = 0.5 * (square(critic(real), 1.0) + square(critic(pool.exchanged(fake)), 0.0))
            one.backward()
            losses.append(one)
        self.critics.step()
        return [each.item() for each in losses]


def square(scores: Tensor, goal: float) -> Tensor:
    return F.mse_loss(scores, torch.full_like(scores, goal))


class PlainPix2Pix:
    def __init__(self) -> None:
        self.generator, self.critic = u_net(), patches(6, nn.BatchNorm2d, bias=False)
        self.optimisers = adam(self.critic), adam(self.generator)

    def step(self, a: Tensor, b: Tensor) -> list[float]:
        fake = self.generator(a)
        requires_gradients((self.critic,), True)
        self.optimisers[0].zero_grad()
        on_fake = logistic(self.critic(torch.cat([a, fake], 1).detach()), 0.0)
        on_real = logistic(self.critic(torch.cat([a, b], 1)), 1.0)
        (0.5 * (on_fake + on_real)).backward()
        self.optimisers[0].step()
        requires_gradients((self.critic,), False)
        self.optimisers[1].zero_grad()
        fooled = logistic(self.critic(torch.cat([a, fake], 1)), 1.0)
        l1 = 100 * F.l1_loss(fake, b)
        (fooled + l1).backward()
        self.optimisers[1].step()
        return [each.item() for each in (on_fake, on_real, fooled, l1)]


def logistic(scores: Tensor, goal: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, goal))


# ---- the candidates --------------------------------------------------------------------------------------------------


def noise_images(size: int, paired: bool, count: int = 16) -> Splits:
    """Random images in memory: the arithmetic does not look at them."""
    sides = tuple(Side(name=name, channels=3) for name in "ab")
    spec = DataSpec(channels=6, height=size, width=size, sides=sides, paired=paired)
    one = spec.model_copy(update={"channels": 3, "sides": ()})
    halves = [Dataset("noise", "train", one, noise, "noise") for noise in (random_pixels(size, count) for _ in "ab")]
    both = (Pairs if paired else Unpaired)(*halves, spec)
    return Splits(both, both)


def random_pixels(size: int, count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def plain(name: str) -> Callable[[], object]:
    game = PlainCycleGAN() if name == "cyclegan" else PlainPix2Pix()
    images = noise_images(SIZES[name], name == "pix2pix").train.images(torch.arange(1))
    a, b = images.split(3, 1)
    return lambda: game.step(a, b)


def trainer(name: str, precision: str) -> Trainer:
    changes: dict[str, Any] = {"precision": precision, "images": 10**9}
    if name == "cyclegan":
        changes["game"] = {"generator": {"blocks": 6}}
    recipe = build_recipe(merge(recipe_table(name), changes))
    return new_trainer(recipe, noise_images(SIZES[name], name == "pix2pix"), "noise")


def cardigan(name: str, precision: str) -> Callable[[], object]:
    return trainer(name, precision).play_round


def measured(name: str, threads: int, steps: int) -> list[Row]:
    candidates = rounds(partial(plain, name), partial(cardigan, name))
    return [{"game": name, **row} for row in compared(candidates, threads, steps)]


def summary(rows: list[Row]) -> str:
    header = ["round", "candidate", "CPU s, median", "times the plain step", "target", "peak MiB"]
    lines = []
    for row in rows:
        target = next((f"≥ {goal}" for kind, goal in TARGETS.items() if row["label"] == f"Cardigan, {kind}"), "")
        size = SIZES[row["game"]]
        numbers = [f"{row['median']:.2f}", f"{row['ratio']:.2f}", target, f"{row['peak']:,.0f}"]
        lines.append([f"{row['game']}, {size} x {size}", row["label"], *numbers])
    return table(header, lines) + lacking()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--games", nargs="+", default=list(SIZES))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = [row for name in args.games for row in measured(name, args.threads, args.steps)]
    results = Results(args.results, "speed_translation")
    results.append_all(rows)
    results.publish(f"Rounds of translation, {args.threads} thread(s), {args.steps} interleaved steps", summary(rows))


if __name__ == "__main__":
    main()
