"""A discriminator trained on known densities comes to D* = q/(p + q), and its loss gives back the divergence.

Labels are the lecture's: real 0, fake 1, so D is the probability of "fake" and its logit is minus our realness score.
With the factors of one half the value of the game at D* is JSD(p‖q) - log 2 exactly (Goodfellow et al. 2014, Th. 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from cardigan.apps.lab import critics
from cardigan.apps.lab.drawing import FAKE, GREY, INK, REAL, label, panels, picture
from cardigan.apps.lab.findings import Findings, Row
from cardigan.objectives import OBJECTIVES
from cardigan.theory.densities import Density, Gaussian, LineMixture, Normal, ring
from cardigan.theory.divergences import LOG_2, jensen_shannon
from cardigan.training.randomness import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BATCH, JUDGED, OWN_POINTS = 512, 200_000, 64
loss_of = OBJECTIVES["minimax"].discriminator


@dataclass(frozen=True)
class Case:
    """Two densities, and how long a network learns to tell them apart."""

    name: str
    p: Density
    q: Density
    steps: int
    widths: tuple[int, ...] = (64, 64)
    sharpness: float = 1.0


ROUND = Gaussian([0, 0], [[2.25, 0], [0, 2.25]])
CASES = (
    Case("N(0, 1) and N(1, 1)", Normal(), Normal(1.0), 800),
    Case("two bumps and N(0, 1.5²)", LineMixture([Normal(-2, 0.5), Normal(2, 0.5)]), Normal(0, 1.5), 1500),
    Case("ring of 8 and a Gaussian", ring(8, 2.0, 0.3), ROUND, 2500, (64, 64, 64), 3.0),
)


@dataclass(frozen=True)
class Judgement:
    """What fresh samples say of a discriminator.

    Attributes:
        estimate: log 2 minus its loss, never above JSD but by chance.
        error: the standard error of that.
        missing: E_m KL(D*‖D), by which the loss is above its least: what the estimate lacks of JSD.
        distance: mean |D - D*| over both.
    """

    estimate: float
    error: float
    missing: float
    distance: float


Look = tuple[int, Judgement]
"""How a discriminator stood after so many steps."""


def run(seed: int, note: Callable[[str], None]) -> Findings:
    rows: list[Row] = []
    curves: dict[str, list[Look]] = {}
    frames: list[Image.Image] = []
    for case in CASES:
        note(f"{case.name}: {case.steps} steps")
        exact = jensen_shannon(case.p, case.q)
        network, curve = train(case, seed, frames if case is CASES[0] else None)
        found = judge(case, network, seed)
        curves[case.name] = curve
        rows += [
            Row(f"JSD of {case.name}: log 2 - loss", found.estimate, exact, 0.004),
            Row("  with what the error of D hides", found.estimate + found.missing, exact, 3.5 * found.error),
            Row("  mean |D - D*|", found.distance, 0.0, 0.02),
        ]
    note(f"a discriminator of only {OWN_POINTS} + {OWN_POINTS} points")
    own, unseen = memorised(CASES[0], seed)
    truth = jensen_shannon(CASES[0].p, CASES[0].q)
    rows += [
        Row(f"JSD of {CASES[0].name} on {2 * OWN_POINTS} training points", own, truth + 0.05, 0.0, ">="),
        Row("  the same discriminator on fresh points", unseen, truth, 0.01, "<="),
    ]
    return Findings(
        tuple(rows),
        "the discriminator is D* and its loss is log 2 - JSD, less what its error hides; never believe a loss on "
        "points it has learnt",
        figures={"estimates": draw(curves)},
        movies={"approach": frames},
    )


def train(case: Case, seed: int, frames: list[Image.Image] | None) -> tuple[critics.Critic, list[Look]]:
    """A discriminator of fresh samples, and its estimates on the way."""
    stream = generator(seed, "discriminator", case.name)
    network = critics.plain(case.p.dimension, seed, case.widths, sharpness=case.sharpness)
    curve: list[Look] = []

    def loss(step: int) -> Tensor:
        real, fake = (density.sample(BATCH, stream).float() for density in (case.p, case.q))
        return loss_of(network(real), network(fake))

    def look(step: int) -> None:
        if step in {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, case.steps}:
            curve.append((step, judge(case, network, seed + step, 20_000)))
        if frames is not None and ((step < 60 and step % 3 == 0) or step % 40 == 0):
            frames.append(frame(case, network, step))

    critics.descend(network, loss, case.steps, rate=5e-3, after=look)
    return network, curve


@torch.no_grad()
def judge(case: Case, network: critics.Critic, seed: int, points: int = JUDGED) -> Judgement:
    """The discriminator on points it has not seen."""
    stream = generator(seed, "judged", case.name)
    scores, optimal = [], []
    for density in (case.p, case.q):
        x = density.sample(points, stream)
        scores.append(torch.cat([network(part.float()) for part in x.split(50_000)]).double())
        optimal.append(case.p.log_prob(x) - case.q.log_prob(x))
    losses = [torch.nn.functional.softplus(-scores[0]), torch.nn.functional.softplus(scores[1])]
    variance = sum(0.25 * each.var() / points for each in losses)
    s, best = torch.cat(scores), torch.cat(optimal)
    real = torch.sigmoid(best)
    missing = real * (torch.nn.functional.logsigmoid(best) - torch.nn.functional.logsigmoid(s))
    missing += (1 - real) * (torch.nn.functional.logsigmoid(-best) - torch.nn.functional.logsigmoid(-s))
    distance = (torch.sigmoid(-s) - torch.sigmoid(-best)).abs().mean()
    estimate = LOG_2 - loss_of(scores[0], scores[1])
    return Judgement(float(estimate), math.sqrt(float(variance)), float(missing.mean()), float(distance))


def memorised(case: Case, seed: int) -> tuple[float, float]:
    """The estimate of a discriminator on the few points it has learnt by heart, and on fresh ones."""
    stream = generator(seed, "few points")
    real, fake = (density.sample(OWN_POINTS, stream).float() for density in (case.p, case.q))
    network = critics.plain(1, seed, (128, 128, 128), sharpness=8.0)
    critics.descend(network, lambda step: loss_of(network(real), network(fake)), 800)
    with torch.no_grad():
        own = LOG_2 - float(loss_of(network(real), network(fake)))
        fresh = [network(density.sample(20_000, stream).float()) for density in (case.p, case.q)]
        return own, LOG_2 - float(loss_of(*fresh))


# ---- pictures --------------------------------------------------------------------------------------------------------


def draw(curves: dict[str, list[Look]]) -> Figure:
    figure, axes = panels(len(CASES))
    for axis, case in zip(axes, CASES, strict=True):
        steps, found = zip(*curves[case.name], strict=True)
        values, errors = [look.estimate for look in found], [2 * look.error for look in found]
        axis.errorbar(steps, values, errors, fmt="o-", label="log 2 - loss, fresh points", color=REAL, markersize=3)
        axis.axhline(jensen_shannon(case.p, case.q), color=INK, linestyle="--", linewidth=1, label="JSD, exact")
        label(axis, case.name, "steps of the discriminator", "nats", xscale="log")
    return figure


@torch.no_grad()
def frame(case: Case, network: critics.Critic, step: int) -> Image.Image:
    figure, (axis,) = panels(1)
    x = torch.linspace(-4, 5, 300, dtype=torch.float64)[:, None]
    log_p, log_q = case.p.log_prob(x), case.q.log_prob(x)
    axis.fill_between(x[:, 0], log_p.exp(), color=REAL, alpha=0.2, linewidth=0, label="data")
    axis.fill_between(x[:, 0], log_q.exp(), color=FAKE, alpha=0.2, linewidth=0, label="model")
    axis.plot(x, torch.sigmoid(log_q - log_p), "--", color=GREY, label="D*")
    axis.plot(x, torch.sigmoid(-network(x.float())), color=INK, label="D")
    label(axis, f"D, the probability of fake, after {step} steps", ylim=(0, 1.02))
    return picture(figure)
