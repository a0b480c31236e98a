"""Why the minimax generator stops learning: its gradient as the discriminator approaches D*.

Two parallel lines at distance 1, as in the WGAN paper's Example 1: the generator has one parameter, the place of its
line. At the optimal discriminator JSD is log 2 wherever the line is, so its gradient is nought; Wasserstein's is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cardigan.apps.lab import critics
from cardigan.apps.lab.drawing import FAKE, GREY, REAL, THIRD, label, panels
from cardigan.apps.lab.findings import Findings, Row
from cardigan.objectives import OBJECTIVES
from cardigan.theory.densities import Normal, UpwardLine
from cardigan.theory.divergences import jensen_shannon, kl
from cardigan.theory.quadrature import rule_for
from cardigan.training.randomness import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OFFSET, BATCH, SMALL = 1.0, 512, 1e-4
LOOKS = (0, 10, 30, 100, 300, 1000, 2000)
SHIFTS = (0.5, 1.0, 2.0, 4.0, 8.0)
LOSSES = {"saturating": "minimax", "non-saturating": "non-saturating", "Wasserstein": "wasserstein"}


@dataclass(frozen=True)
class Look:
    """The generator's gradient by its parameter, for each loss at the same discriminator.

    Attributes:
        ratio: largest |∂saturating/∂s ÷ ∂non-saturating/∂s - e^s|/e^s over the fakes, at realness s.
        wasserstein: of a critic that is 1-Lipschitz by construction, trained for as long.
    """

    steps: int
    gradients: dict[str, float]
    ratio: float
    wasserstein: float


def run(seed: int, note: Callable[[str], None]) -> Findings:
    note(f"a discriminator and a 1-Lipschitz critic of two parallel lines, {LOOKS[-1]} steps")
    looks = watch(seed)
    at = {look.steps: look for look in looks}
    early, late = at[100].gradients, at[1000].gradients
    rows = [
        Row("saturating gradient after 100 steps", early["saturating"]),
        Row("saturating gradient after 1000 steps", late["saturating"], early["saturating"] / 10, 0.0, "<="),
        Row("non-saturating gradient after 100 steps", early["non-saturating"]),
        Row("non-saturating gradient after 1000 steps", late["non-saturating"], 1.0, 0.0, ">="),
        Row("saturating over non-saturating, against e^s", max(look.ratio for look in looks), 0.0, 1e-4),
        Row("gradient of the 1-Lipschitz critic after 1000 steps", at[1000].wasserstein, 1.0, 0.05),
    ]
    for shift in SHIFTS:
        saturating, non_saturating = (gradient_at_optimum(name, shift) for name in ("minimax", "non-saturating"))
        rows += [
            Row(
                f"saturating gradient at D*, N({shift:g}, 1): is d 2JSD/dθ", saturating, slope_of(doubled, shift), 1e-6
            ),
            Row("  non-saturating: is d(KL(q‖p) - 2JSD)/dθ", non_saturating, slope_of(reversed_less, shift), 1e-6),
        ]
    return Findings(
        tuple(rows),
        "as the discriminator gets better the saturating gradient vanishes, the non-saturating one does not, and that "
        "of a 1-Lipschitz critic is 1",
        figures={"gradients": draw(looks)},
    )


def watch(seed: int) -> list[Look]:
    """Both opponents at the same fixed generator, looked at on the way."""
    stream = generator(seed, "lines")
    network = critics.plain(2, seed, activation=nn.Tanh)
    critic = critics.orthogonal(2, seed, (32, 32))
    data, model = UpwardLine(0.0), UpwardLine(OFFSET)
    looks: list[Look] = []

    def batches() -> tuple[Tensor, Tensor]:
        return data.sample(BATCH, stream).float(), model.sample(BATCH, stream).float()

    def look(step: int) -> None:
        if step in LOOKS:
            heights = UpwardLine(0.0).sample(4096, generator(seed, "fakes")).float()
            looks.append(examine(step, network, critic, heights))

    look(0)

    def loss(step: int) -> Tensor:
        real, fake = batches()
        both = OBJECTIVES["minimax"].discriminator(network(real), network(fake))
        return both + OBJECTIVES["wasserstein"].discriminator(critic(real), critic(fake))

    critics.descend(nn.ModuleList([network, critic]), loss, LOOKS[-1], after=look)
    return looks


def examine(step: int, network: critics.Critic, critic: critics.Critic, heights: Tensor) -> Look:
    """Gradients of the generator's losses by its one parameter."""
    place = torch.tensor(OFFSET, requires_grad=True)
    fakes = heights + torch.stack([place, torch.zeros(())])
    scores = network(fakes)
    losses = {shown: OBJECTIVES[name].generator(None, scores) for shown, name in LOSSES.items()}
    gradients = {shown: abs(slope(loss, place)) for shown, loss in losses.items()}
    by_score = [torch.autograd.grad(losses[n], scores, retain_graph=True)[0] for n in ("saturating", "non-saturating")]
    odds = scores.detach().exp()
    ratio = float(((by_score[0] / by_score[1]) / odds - 1).abs().max())
    return Look(step, gradients, ratio, abs(slope(OBJECTIVES["wasserstein"].generator(None, critic(fakes)), place)))


def slope(loss: Tensor, parameter: Tensor) -> float:
    return float(torch.autograd.grad(loss, parameter, retain_graph=True)[0])


def gradient_at_optimum(objective: str, shift: float) -> float:
    """d/dθ of a generator's loss for q = N(θ, 1) against p = N(0, 1), D* held: the library's loss under the integral.

    The frozen score s*(x) = θ²/2 - θx falls at the rate θ.
    """
    p, q = Normal(), Normal(shift)

    def integrand(x: Tensor) -> Tensor:
        score = (p.log_prob(x) - q.log_prob(x)).requires_grad_()
        (by_score,) = torch.autograd.grad(len(x) * OBJECTIVES[objective].generator(None, score), score)
        return q.log_prob(x).exp() * by_score * -shift

    return rule_for(p, q).integral(integrand)


def doubled(theta: float) -> float:
    return 2 * jensen_shannon(Normal(), Normal(theta))


def reversed_less(theta: float) -> float:
    return kl(Normal(theta), Normal()) - doubled(theta)


def slope_of(divergence: Callable[[float], float], theta: float) -> float:
    """By central differences."""
    return (divergence(theta + SMALL) - divergence(theta - SMALL)) / (2 * SMALL)


def draw(looks: list[Look]) -> Figure:
    figure, axes = panels(2)
    steps = [max(look.steps, 3) for look in looks]
    for shown, colour in zip(LOSSES, (FAKE, REAL, GREY), strict=True):
        name = "Wasserstein loss, same discriminator" if shown == "Wasserstein" else shown
        axes[0].plot(steps, [look.gradients[shown] for look in looks], "o-", color=colour, label=name, markersize=3)
    axes[0].plot(
        steps, [look.wasserstein for look in looks], "s-", color=THIRD, label="1-Lipschitz critic", markersize=3
    )
    label(
        axes[0],
        "gradient of the generator, lines at distance 1",
        "steps of the discriminator",
        xscale="log",
        yscale="log",
    )
    shifts = torch.linspace(0.25, 8, 32).tolist()
    for name, colour in (("minimax", FAKE), ("non-saturating", REAL)):
        shown = "saturating" if name == "minimax" else name
        axes[1].plot(shifts, [gradient_at_optimum(name, shift) for shift in shifts], color=colour, label=shown)
    axes[1].plot(shifts, [1.0] * len(shifts), color=THIRD, label="W1, which is θ")
    label(axes[1], "at D*: N(0, 1) and N(θ, 1)", "θ", yscale="log")
    return figure
