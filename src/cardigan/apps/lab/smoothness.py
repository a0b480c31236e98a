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
from cardigan.theory.divergences import LOG_2, jensen_shannon, kl, total_variation, triangular
from cardigan.theory.transport import emd
from cardigan.training.randomness import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OFFSETS = (-0.3, 0.1, 0.3, 1.0)
POINTS, STEPS, BATCH = 256, 600, 512
NOISE, SMALL = 0.3, 1e-4
loss_of = OBJECTIVES["minimax"].discriminator


def run(seed: int, note: Callable[[str], None]) -> Findings:
    rows: list[Row] = []
    learnt: dict[float, float] = {}
    data = UpwardLine(0.0)
    for offset in OFFSETS:
        note(f"lines at θ = {offset:g}")
        model, discriminator = UpwardLine(offset), told_apart(offset, seed)
        learnt[offset], variation, flat = estimates(discriminator, offset, seed)
        same, slope, separate = transported(offset, seed)
        rows += [
            Row(f"θ = {offset:g}: JSD, by a trained discriminator", learnt[offset], jensen_shannon(data, model), 0.01),
            Row("  the generator's gradient by it", flat, 0.0, 0.05),
            Row("  TV, by the same", variation, total_variation(data, model), 0.01),
            Row("  W1, by points at equal heights", same, abs(offset), 1e-12),
            Row("  its gradient", slope, math.copysign(1, offset), 1e-9),
            Row(f"  W1, by {POINTS} points each at random", separate, abs(offset), 0.05),
        ]
    blurred, exact = blurred_gradient(0.3)
    rows.append(Row(f"θ = 0.3 with noise of {NOISE:g} on both: dJSD/dθ", blurred, exact, 1e-6))
    return Findings(
        tuple(rows),
        "however near the lines, JSD is log 2 and gives no gradient; W1 is |θ| with the gradient sign θ; noise on both "
        "lines makes JSD smooth again",
        (
            f"KL is {kl(data, UpwardLine(0.1)):g} at every θ but 0, where all of them are 0",
            "W1 is continuous and differentiable almost everywhere, not everywhere: |θ| has a kink at 0",
        ),
        figures={"distances": draw(learnt)},
    )


def told_apart(offset: float, seed: int) -> critics.Critic:
    """A discriminator trained on fresh points of both lines."""
    stream = generator(seed, "lines", offset)
    data, model = UpwardLine(0.0), UpwardLine(offset)
    network = critics.plain(2, seed)

    def loss(_: int) -> Tensor:
        return loss_of(network(data.sample(BATCH, stream).float()), network(model.sample(BATCH, stream).float()))

    critics.descend(network, loss, STEPS, rate=1e-2)
    return network


def estimates(network: critics.Critic, offset: float, seed: int) -> tuple[float, float, float]:
    """log 2 minus the loss on fresh points, ½ the saturating gradient by the offset after the TV between the verdicts."""
    stream = generator(seed, "fresh", offset)
    place = torch.tensor(offset, requires_grad=True)
    heights = UpwardLine(0.0).sample(20_000, stream).float()
    real = network(UpwardLine(0.0).sample(20_000, stream).float())
    fake = network(heights + torch.stack([place, torch.zeros(())]))
    (slope,) = torch.autograd.grad(0.5 * OBJECTIVES["minimax"].generator(None, fake), place, retain_graph=True)
    variation = (real > 0).float().mean() - (fake > 0).float().mean()
    return LOG_2 - loss_of(real, fake).item(), variation.item(), slope.item()


def transported(offset: float, seed: int) -> tuple[float, float, float]:
    """Exact W1 of samples at the same heights and its gradient by the offset, and W1 at heights of their own."""
    stream = generator(seed, "heights", offset)
    data, others = (UpwardLine(0.0).sample(POINTS, stream) for _ in range(2))
    place = torch.tensor(offset, dtype=torch.float64, requires_grad=True)
    moved = data + torch.stack([place, torch.zeros((), dtype=torch.float64)])
    plan = emd(data, moved.detach())
    cost = (plan.coupling * (data[:, None] - moved[None]).norm(dim=2)).sum()  # the plan is held: the envelope theorem
    (slope,) = torch.autograd.grad(cost, place)
    shift = torch.tensor([offset, 0.0], dtype=torch.float64)
    return plan.cost, slope.item(), emd(data, others + shift).cost


def blurred_gradient(offset: float) -> tuple[float, float]:
    """dJSD/dθ of the lines with Gaussian noise on both, by differences, and ½ θ/σ² ∫ pq/(p + q) in closed form.

    That integral is (2 - Δ)/4 for the triangular discrimination Δ.
    """
    at = [jensen_shannon(Normal(0, NOISE), Normal(x, NOISE)) for x in (offset - SMALL, offset + SMALL)]
    overlap = (2 - triangular(Normal(0, NOISE), Normal(offset, NOISE))) / 4
    return (at[1] - at[0]) / (2 * SMALL), offset / (2 * NOISE**2) * overlap


def draw(learnt: dict[float, float]) -> Figure:
    figure, axes = panels(2)
    theta = torch.linspace(-1, 1, 201).tolist()
    axes[0].plot(theta, [abs(t) for t in theta], color=THIRD, label="W1")
    jsd = [LOG_2 if abs(t) > 1e-9 else math.nan for t in theta]
    axes[0].plot(theta, jsd, color=FAKE, label="JSD")
    axes[0].plot([0], [0], "o", color=FAKE, markersize=4)
    axes[0].plot(list(learnt), list(learnt.values()), "x", color=REAL, label="JSD, trained discriminator")
    axes[0].plot([], [], " ", label="KL: ∞ at every θ but 0")
    label(axes[0], "two parallel lines", "θ, the distance between them", ylim=(-0.05, 1.05))
    for noise, colour in ((0.05, FAKE), (0.3, REAL), (1.0, GREY)):
        values = [jensen_shannon(Normal(0, noise), Normal(t, noise)) for t in theta[::4]]
        axes[1].plot(theta[::4], values, color=colour, label=f"noise {noise:g}")
    label(axes[1], "JSD with Gaussian noise on both lines", "θ")
    return figure
