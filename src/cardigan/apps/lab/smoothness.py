"""Two parallel lines that come together: how divergences and distances see it (Arjovsky et al. 2017, Example 1).

However near the lines, they share no point: JSD stays at log 2 and KL at infinity, and neither tells a generator where
to go. W1 is the distance between them. It is continuous and almost everywhere smooth, with a kink where they meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cardigan.apps.lab import critics
from cardigan.apps.lab.drawing import FAKE, GREY, REAL, THIRD, label, panels
from cardigan.apps.lab.findings import Findings, Row
from cardigan.objectives import OBJECTIVES
from cardigan.theory.densities import Normal, UpwardLine
from cardigan.theory.divergences import jensen_shannon, kl, total_variation
from cardigan.theory.transport import emd
from cardigan.training.randomness import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG_2 = math.log(2)
OFFSETS = (0.1, 0.3, 1.0)
POINTS, STEPS, BATCH = 256, 600, 512
NOISE = 0.3


def run(seed: int, note: Callable[[str], None]) -> Findings:
    rows: list[Row] = []
    learnt: dict[float, float] = {}
    for offset in OFFSETS:
        note(f"lines at distance {offset:g}")
        data, model = UpwardLine(0.0), UpwardLine(offset)
        learnt[offset] = estimated_jsd(offset, seed)
        shared, separate, direction = transported(offset, seed)
        rows += [
            Row(
                f"JSD at θ = {offset:g}, by a trained discriminator", learnt[offset], jensen_shannon(data, model), 0.02
            ),
            Row(f"W1 at θ = {offset:g}, by points at equal heights", shared, offset, 1e-12),
            Row(f"W1 at θ = {offset:g}, by {POINTS} points each at random", separate, offset, 0.05),
            Row("  its gradient by θ", direction, 1.0, 0.05 if offset == 1 else None),
        ]
    apart, together = (UpwardLine(0.0), UpwardLine(0.3)), (UpwardLine(0.0), UpwardLine(0.0))
    blurred, exact = blurred_gradient(0.3)
    rows += [
        Row("KL at θ = 0.3", kl(*apart), math.inf, 0.0),
        Row("TV at θ = 0.3", total_variation(*apart), 1.0, 0.0),
        Row("JSD at θ = 0", jensen_shannon(*together), 0.0, 0.0),
        Row(f"dJSD/dθ at θ = 0.3 with noise of {NOISE:g} on both", blurred, exact, 1e-6),
    ]
    return Findings(
        tuple(rows),
        "JSD jumps from 0 to log 2 and is flat; W1 is |θ| and its slope is 1 everywhere but at 0; noise on both lines "
        "makes JSD smooth again",
        ("W1 is continuous and differentiable almost everywhere, not everywhere: |θ| has a kink at 0",),
        figures={"distances": draw(learnt)},
    )


def estimated_jsd(offset: float, seed: int) -> float:
    """log 2 minus the loss, on fresh points, of a discriminator trained to tell the lines apart."""
    stream = generator(seed, "lines", offset)
    data, model = UpwardLine(0.0), UpwardLine(offset)
    network, loss_of = critics.plain(2, seed), OBJECTIVES["minimax"].discriminator

    def loss(_: int) -> Tensor:
        return loss_of(network(data.sample(BATCH, stream).float()), network(model.sample(BATCH, stream).float()))

    critics.descend(network, loss, STEPS, rate=1e-2)
    with torch.no_grad():
        return LOG_2 - float(loss_of(*(network(line.sample(20_000, stream).float()) for line in (data, model))))


def transported(offset: float, seed: int) -> tuple[float, float, float]:
    """Exact W1 of samples: at the same heights, at heights of their own, and the latter's gradient by the offset."""
    stream = generator(seed, "heights", offset)
    data, model = (UpwardLine(0.0).sample(POINTS, stream) for _ in range(2))
    shift = torch.tensor([offset, 0.0], dtype=torch.float64)
    same = emd(data, data + shift).cost
    coupling = emd(data, model + shift).coupling
    place = torch.tensor(offset, dtype=torch.float64, requires_grad=True)
    moved = model + torch.stack([place, torch.zeros((), dtype=torch.float64)])
    cost = (coupling * (data[:, None] - moved[None]).norm(dim=2)).sum()  # the plan is held: the envelope theorem
    (slope,) = torch.autograd.grad(cost, place)
    return same, cost.item(), slope.item()


def blurred_gradient(offset: float) -> tuple[float, float]:
    """dJSD/dθ of the lines with Gaussian noise on both, by differences, and ½ θ/σ² ∫ pq/(p + q) by quadrature."""
    small = 1e-4
    at = [jensen_shannon(Normal(0, NOISE), Normal(x, NOISE)) for x in (offset - small, offset + small)]
    p, q = Normal(0, NOISE), Normal(offset, NOISE)
    x = torch.linspace(-4, 4, 200_001, dtype=torch.float64)[:, None]
    log_p, log_q = p.log_prob(x), q.log_prob(x)
    overlap = float((log_p + log_q - torch.logaddexp(log_p, log_q)).exp().sum() * (x[1, 0] - x[0, 0]))
    return (at[1] - at[0]) / (2 * small), offset / (2 * NOISE**2) * overlap


def draw(learnt: dict[float, float]) -> Figure:
    figure, axes = panels(2)
    theta = torch.linspace(-1, 1, 201).tolist()
    axes[0].plot(theta, [abs(t) for t in theta], color=THIRD, label="W1")
    jsd = [LOG_2 if abs(t) > 1e-9 else math.nan for t in theta]
    axes[0].plot(theta, jsd, color=FAKE, label="JSD")
    axes[0].plot([0], [0], "o", color=FAKE, markersize=4)
    axes[0].plot(list(learnt), list(learnt.values()), "x", color=REAL, label="JSD, trained discriminator")
    label(axes[0], "two parallel lines", "θ, the distance between them", ylim=(-0.05, 1.05))
    for noise, colour in ((0.05, FAKE), (0.3, REAL), (1.0, GREY)):
        values = [jensen_shannon(Normal(0, noise), Normal(t, noise)) for t in theta[::4]]
        axes[1].plot(theta[::4], values, color=colour, label=f"noise {noise:g}")
    label(axes[1], "JSD with Gaussian noise on both lines", "θ")
    return figure
