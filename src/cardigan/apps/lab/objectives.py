"""Every adversarial objective of the library against its closed form: divergence, optimal score, generator gradient.

The data are N(0, 1) and the model N(1, 1). The score is not a network here but a free number at each node of a
quadrature rule, so that the least loss is found exactly; the library's own loss functions are what is minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cardigan.apps.lab.drawing import FAKE, INK, label, panels
from cardigan.apps.lab.findings import Findings, Row
from cardigan.objectives import DIVERGENCES, OBJECTIVES
from cardigan.theory.densities import Normal
from cardigan.theory.divergences import (
    LOG_2,
    integrate,
    jensen_shannon,
    kl,
    pearson,
    relativistic,
    reverse_kl,
    squared_hellinger,
    total_variation,
    triangular,
)
from cardigan.theory.optimal import kantorovich_potential, optimal_score
from cardigan.theory.quadrature import Rule, rule_for
from cardigan.theory.transport import w1

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Distance = Callable[[Normal, Normal], float]

P, SHIFT, SMALL = Normal(), 1.0, 1e-3
PAIR_NODES = 160


def from_mixture(p: Normal, q: Normal) -> float:
    """KL(p ‖ ½(p + q))."""
    return integrate(p, q, lambda a, b: a.exp() * (a - torch.logaddexp(a, b) + LOG_2))


F_DIVERGENCES: Mapping[str, Distance] = {
    "kl": kl,
    "reverse-kl": reverse_kl,
    "pearson": pearson,
    "hellinger": squared_hellinger,
    "jensen-shannon": lambda p, q: 2 * jensen_shannon(p, q),
    "gan": lambda p, q: 2 * jensen_shannon(p, q) - 2 * LOG_2,
    "total-variation": total_variation,
}
"""By their own integrals, not by the library's f."""

LEAST: Mapping[str, Distance] = {
    "minimax": lambda p, q: LOG_2 - jensen_shannon(p, q),
    "non-saturating": lambda p, q: LOG_2 - jensen_shannon(p, q),
    "least-squares": lambda p, q: 0.25 - triangular(p, q) / 8,
    "hinge": lambda p, q: 2 * (1 - total_variation(p, q)),
    "relativistic": lambda p, q: LOG_2 - relativistic(p, q),
    **{f"f-{name}": lambda p, q, distance=distance: -distance(p, q) for name, distance in F_DIVERGENCES.items()},
}
"""The discriminator's least loss."""

MINIMISED: Mapping[str, Distance] = {
    "minimax": lambda p, q: 2 * jensen_shannon(p, q),
    "non-saturating": lambda p, q: kl(q, p) - 2 * jensen_shannon(p, q),
    "least-squares": lambda p, q: from_mixture(p, q) - triangular(p, q) / 8,
    "hinge": lambda p, q: 2 * total_variation(p, q),
    "wasserstein": w1,
    "relativistic": lambda p, q: reverse_kl(p, q) - relativistic(p, q),
    **{f"f-{name}": distance for name, distance in F_DIVERGENCES.items()},
}
"""What the generator's gradient is that of, where the discriminator is optimal and held."""


def run(seed: int, note: Callable[[str], None]) -> Findings:
    note("nothing is drawn at random")
    q = Normal(SHIFT)
    rows: list[Row] = []
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name in LEAST:
        rule = pair_rule() if name == "relativistic" else rule_for(P, q)
        log_p, log_q = P.log_prob(rule.points), q.log_prob(rule.points)
        least = least_of_pairs if name == "relativistic" else least_of_each
        loss, score = least(name, rule, log_p, log_q)
        closed = optimal_score(name, log_p - log_q)
        found[name] = rule.points[:, 0], score
        rows += [
            Row(f"{name}: least loss of the discriminator", loss, LEAST[name](P, q), 1e-6),
            Row("  mean distance from the optimal score", apart(name, score, closed, rule, log_p, log_q), 0.0, 1e-3),
        ]
        rows.append(Row("  gradient of the generator", *gradients(name, partial(frozen, name)), 1e-5))
    rows += wasserstein_rows(q)
    return Findings(
        tuple(rows),
        "each objective measures the divergence it is said to, at the score it is said to, and pays the generator its "
        "gradient",
        ("the relativistic average has no closed form and is left out",),
        figures={"scores": draw(found)},
    )


def one_by_one(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The discriminator's loss of single scores, elementwise: (n,), (n,) to (n,)."""
    loss = OBJECTIVES[name].discriminator
    return torch.func.vmap(lambda real, fake: loss(real[None], fake[None]))


def least_of_each(name: str, rule: Rule, log_p: Tensor, log_q: Tensor) -> tuple[float, Tensor]:
    """The least loss and its score at each node: E_p a(s) + E_q b(s) is least where each node's p a(s) + q b(s) is.

    Found by bisection of the slope, in asinh(s) so that scores of thousands are reached.
    """
    p, q, each = log_p.exp(), log_q.exp(), one_by_one(name)
    nought = torch.zeros_like(p)

    def loss(score: Tensor) -> Tensor:
        return p * each(score, nought) + q * each(nought, score) - (p + q) / 2 * each(nought, nought)

    low, high = torch.full_like(p, -9.0), torch.full_like(p, 9.0)
    for _ in range(90):
        middle = ((low + high) / 2).requires_grad_()
        (slope,) = torch.autograd.grad(loss(middle.sinh()).sum(), middle)
        low, high = torch.where(slope < 0, middle, low).detach(), torch.where(slope < 0, high, middle).detach()
    score = ((low + high) / 2).sinh()
    return float((rule.weights * loss(score)).sum()), score


def least_of_pairs(name: str, rule: Rule, log_p: Tensor, log_q: Tensor) -> tuple[float, Tensor]:
    """The same for a loss of pairs, by Newton-like descent over all nodes at once."""
    weights = (rule.weights * log_p.exp())[:, None] * (rule.weights * log_q.exp())[None]
    each = one_by_one(name)
    score = torch.zeros(len(log_p), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [score], max_iter=2000, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )
    n = len(score)

    def loss() -> Tensor:
        optimiser.zero_grad()
        pairs = each(score[:, None].expand(n, n).flatten(), score[None].expand(n, n).flatten())
        total = (weights.flatten() * pairs).sum()
        total.backward()
        return total

    optimiser.step(loss)
    return loss().item(), score.detach()


def pair_rule() -> Rule:
    """Few nodes that suit two unit Gaussians at distance 1, for sums over all pairs of them."""
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(PAIR_NODES))
    return Rule(0.5 + 7.5 * nodes[:, None], 7.5 * weights, torch.tensor([[-7.0], [8.0]], dtype=torch.float64))


def apart(name: str, score: Tensor, closed: Tensor, rule: Rule, log_p: Tensor, log_q: Tensor) -> float:
    """Mean distance of scores under ½(p + q): of what the players are paid by where the score itself is unbounded."""
    mass = rule.weights * (log_p.exp() + log_q.exp()) / 2
    if name == "relativistic":  # known up to a constant
        closed = closed + (mass * (score - closed)).sum()
    if name == "f-total-variation":
        score, closed = (DIVERGENCES["total-variation"].activation(s) for s in (score, closed))
    return float((mass * (score - closed).abs()).sum())


def frozen(name: str, x: Tensor) -> Tensor:
    """The optimal score against N(SHIFT, 1) at points (n, 1)."""
    return optimal_score(name, P.log_prob(x) - Normal(SHIFT).log_prob(x))


def gradients(name: str, score: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """d/dθ of the generator's loss with the score held, and of the divergence, both by central differences."""
    objective = OBJECTIVES[name]
    rule = pair_rule() if objective.paired else rule_for(P, Normal(SHIFT))
    held = score(rule.points)

    def loss(theta: float) -> float:
        fake = rule.weights * Normal(theta).log_prob(rule.points).exp()
        if not objective.paired:
            return float((fake * torch.func.vmap(lambda one: objective.generator(None, one[None]))(held)).sum())
        n, each = len(held), torch.func.vmap(lambda real, one: objective.generator(real[None], one[None]))
        paid = each(held[:, None].expand(n, n).flatten(), held[None].expand(n, n).flatten()).view(n, n)
        real = rule.weights * P.log_prob(rule.points).exp()
        return float(real @ paid @ fake)

    def slope(of: Callable[[float], float]) -> float:
        return (of(SHIFT + SMALL) - of(SHIFT - SMALL)) / (2 * SMALL)

    return slope(loss), slope(lambda theta: MINIMISED[name](P, Normal(theta)))


def wasserstein_rows(q: Normal) -> list[Row]:
    """Its optimal critic depends on more than the ratio of densities: Kantorovich's potential."""
    places, potential = (values.numpy() for values in kantorovich_potential(P, q))

    def critic(x: Tensor) -> Tensor:
        return torch.from_numpy(np.interp(x[:, 0].numpy(), places, potential))

    rule = rule_for(P, q)
    real, fake = (float((rule.weights * d.log_prob(rule.points).exp() * critic(rule.points)).sum()) for d in (P, q))
    loss = OBJECTIVES["wasserstein"].discriminator(torch.tensor([real]).double(), torch.tensor([fake]).double())
    return [
        Row("wasserstein: loss of Kantorovich's potential", float(loss), -w1(P, q), 1e-6),
        Row("  gradient of the generator", *gradients("wasserstein", critic), 1e-5),
    ]


def draw(found: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    figure, axes = panels(len(found), rows=3, width=2.6, height=2.2)
    for axis, (name, (x, score)) in zip(axes, found.items(), strict=True):
        near = (x > -2.5) & (x < 3.5)
        place = x[near]
        closed = optimal_score(name, P.log_prob(place[:, None]) - Normal(SHIFT).log_prob(place[:, None]))
        shown = score[near]
        if name == "relativistic":
            shown = shown - (shown - closed).mean()
        if name == "f-total-variation":
            shown, closed = (DIVERGENCES["total-variation"].activation(s) for s in (shown, closed))
        axis.plot(place, shown, color=FAKE, linewidth=3, alpha=0.5, label="found")
        axis.plot(place, closed, "--", color=INK, linewidth=1, label="closed form")
        label(axis, name, legend=name == "minimax")
    return figure
