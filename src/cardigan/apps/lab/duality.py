"""Kantorovich-Rubinstein duality on samples: what critics find of the exact Earth-Mover distance.

W1 = sup E_p f - E_q f over 1-Lipschitz f. A trained critic's value is only worth something beside its slope: divided by
its true Lipschitz constant on the pairs, it is a lower bound of W1 whatever was trained, and how much of W1 is left
says how good the critic's shape is. Clipping fixes neither the constant nor the shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cardigan.apps.lab import critics
from cardigan.apps.lab.drawing import FAKE, GREY, INK, REAL, label, panels
from cardigan.apps.lab.findings import Findings, Row
from cardigan.objectives import OBJECTIVES, clip_weights_, gradient_penalty
from cardigan.theory.densities import Gaussian, ring
from cardigan.theory.transport import emd, potentials
from cardigan.training.randomness import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS, PENALTY = 256, 10.0
WIDTHS = (64, 64, 64)
value_of = OBJECTIVES["wasserstein"].discriminator


@dataclass(frozen=True)
class Found:
    """A critic of the two samples.

    Attributes:
        raw: E f(real) - E f(fake).
        slope: its largest |f(x) - f(y)|/|x - y| over pairs of a real and a fake.
    """

    critic: nn.Module
    raw: float
    slope: float

    @property
    def certified(self) -> float:
        """Never above W1 of the samples: f divided by its slope is 1-Lipschitz on the pairs."""
        return self.raw / self.slope


def run(seed: int, note: Callable[[str], None]) -> Findings:
    real, fake = samples(seed)
    exact = emd(real, fake).cost
    dual = potentials(real, fake)
    rows = [Row("W1 by the network simplex's own potentials", float(dual[0].mean() + dual[1].mean()), exact, 1e-9)]
    found = {}
    for name, trained in TRAINED.items():
        note(name)
        found[name] = measure(trained(real.float(), fake.float(), seed), real, fake)
        rows += [
            Row(f"{name}: value", found[name].raw, exact),
            Row("  Lipschitz constant on the pairs", found[name].slope),
            Row("  certified: value over that constant", found[name].certified, exact, 1e-6 * exact, "<="),
        ]
    best, clipped = found["orthogonal MaxMin"].certified, [f for name, f in found.items() if name.startswith("clip")]
    rows += [
        Row("share of W1 that the orthogonal critic certifies", best / exact, 0.95, 0.0, ">="),
        Row("  that the best clipped critic does", max(f.certified for f in clipped) / exact, 0.85, 0.0, "<="),
        Row("value of the largest clip over that of the smallest", clipped[-1].raw / clipped[0].raw, 100.0, 0.0, ">="),
        Row("value of the gradient penalty, times W1", found["gradient penalty"].raw / exact, 1.0, 0.0, ">="),
    ]
    return Findings(
        tuple(rows),
        "no certified value is above W1 and the orthogonal critic's is nearly all of it; clipping gives an unknown "
        "multiple of a blunt share, and the gradient penalty's value is above W1",
        (
            f"{POINTS} + {POINTS} points: W1 of samples is itself above that of the densities; compare equal counts only",
        ),
        figures={"critics": draw(found, exact, real, fake)},
    )


def samples(seed: int) -> tuple[Tensor, Tensor]:
    """A ring and a Gaussian beside it: float64 (n, 2) each."""
    stream = generator(seed, "duality")
    shifted = Gaussian([0.5, 0.0], [[0.36, 0.0], [0.0, 0.36]])
    return ring(8, 2.0, 0.1).sample(POINTS, stream), shifted.sample(POINTS, stream)


@torch.no_grad()
def measure(critic: nn.Module, real: Tensor, fake: Tensor) -> Found:
    up, down = (critic(points.float()).double() for points in (real, fake))
    slope = ((up[:, None] - down[None]).abs() / torch.cdist(real, fake)).max().item()
    return Found(critic, (up.mean() - down.mean()).item(), slope)


# ---- critics ---------------------------------------------------------------------------------------------------------


def orthogonal(real: Tensor, fake: Tensor, seed: int) -> nn.Module:
    critic = critics.orthogonal(2, seed, WIDTHS)
    critics.descend(critic, lambda _: value_of(critic(real), critic(fake)), 500, rate=1e-2)
    return critic


def spectral(real: Tensor, fake: Tensor, seed: int) -> nn.Module:
    critic = critics.spectral(2, seed, WIDTHS)
    critics.descend(critic, lambda _: value_of(critic(real), critic(fake)), 1200, rate=5e-3)
    return critic.eval()


def penalised(real: Tensor, fake: Tensor, seed: int) -> nn.Module:
    critic = critics.plain(2, seed, WIDTHS, nn.LeakyReLU)
    stream = generator(seed, "mixes")

    def loss(_: int) -> Tensor:
        slopes = gradient_penalty(critic, real, fake, generator=stream)
        return value_of(critic(real), critic(fake)) + PENALTY * slopes

    critics.descend(critic, loss, 1000, rate=1e-2)
    return critic


def clipped(bound: float) -> Callable[[Tensor, Tensor, int], nn.Module]:
    def train(real: Tensor, fake: Tensor, seed: int) -> nn.Module:
        critic = critics.plain(2, seed, WIDTHS, nn.ReLU)
        optimiser = torch.optim.RMSprop(critic.parameters(), lr=5e-4)
        for _ in range(1000):
            optimiser.zero_grad(set_to_none=True)
            value_of(critic(real), critic(fake)).backward()
            optimiser.step()
            clip_weights_(critic, bound)
        return critic

    return train


TRAINED: dict[str, Callable[[Tensor, Tensor, int], nn.Module]] = {
    "orthogonal MaxMin": orthogonal,
    "spectral norm": spectral,
    "gradient penalty": penalised,
    "clip at 0.01": clipped(0.01),
    "clip at 0.03": clipped(0.03),
    "clip at 0.1": clipped(0.1),
}


# ---- pictures --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def draw(found: dict[str, Found], exact: float, real: Tensor, fake: Tensor) -> Figure:
    shown = ("orthogonal MaxMin", "gradient penalty", "clip at 0.03")
    figure, axes = panels(1 + len(shown), rows=2, height=3.2)
    across = range(len(found))
    axes[0].bar(across, [f.raw / exact for f in found.values()], color=GREY, label="value")
    axes[0].bar(across, [f.certified / exact for f in found.values()], width=0.4, color=REAL, label="certified")
    axes[0].axhline(1, color=INK, linestyle="--", linewidth=1)
    axes[0].set_xticks(across, [name.replace(" ", "\n", 1) for name in found], fontsize=7)
    label(axes[0], "share of the exact W1", yscale="log")
    side = torch.linspace(-2.6, 2.6, 120)
    places = torch.cartesian_prod(side, side)
    for axis, name in zip(axes[1:], shown, strict=True):
        levels = found[name].critic(places).view(120, 120).T / found[name].slope
        axis.contour(side, side, levels, levels=24, colors=GREY, linewidths=0.6)
        axis.plot(real[:, 0], real[:, 1], ".", color=REAL, markersize=2)
        axis.plot(fake[:, 0], fake[:, 1], ".", color=FAKE, markersize=2)
        label(axis, f"{name}, over its slope", legend=False, aspect="equal")
    return figure
