"""What the two players of an adversarial game are paid: functions of realness scores, each a scalar to minimise.

A score is a logit of REALNESS: the higher, the more real, and σ(score) is the probability of "real". Write p for the
data, q for the generator's distribution, s for a score, sp for softplus.

Two label conventions are about. Most papers, and this module, label real 1 and fake 0: D is the probability of
"real". The lecture labels real 0 and fake 1: its D is the probability of "fake" and its score is −s, so that its
optimal score is log q/p where ours is log p/q. Every loss here is the lecture's loss with the scores' signs turned.

The trap is the formula "log D(G(z))". With real = 1 it is Goodfellow's non-saturating payoff, which the generator
maximises. With real = 0 the same letters are the saturating payoff of the minimax game, which the generator
minimises, and the non-saturating loss reads −log(1 − D(G(z))). In scores there is no such choice to get wrong:
saturating is −sp(s) and non-saturating is sp(−s), and the former's gradient is e^s times the latter's, for each sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cardigan.objectives.divergences import DIVERGENCES, FDivergence
from cardigan.objectives.precision import at_least_float32

RealScores = Float[Tensor, " reals"]
FakeScores = Float[Tensor, " fakes"]
PairedScores = Float[Tensor, " pairs"]
Scalar = Float[Tensor, ""]

ObjectiveName = Literal[
    "minimax",
    "non-saturating",
    "least-squares",
    "hinge",
    "wasserstein",
    "relativistic",
    "relativistic-average",
    "f-kl",
    "f-reverse-kl",
    "f-pearson",
    "f-hellinger",
    "f-jensen-shannon",
    "f-gan",
    "f-total-variation",
]


@dataclass(frozen=True)
class Objective:
    """Both players' losses, each called as ``loss(real, fake)`` on realness scores of shape (n,).

    Attributes:
        name: its key in ``OBJECTIVES``.
        discriminator: the discriminator's (critic's) loss.
        generator: the generator's loss; ``real`` may be None unless ``paired``.
        divergence: what the generator minimises when the discriminator is optimal.
        paired: whether the generator's loss compares the fakes with real scores.
    """

    name: str
    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    divergence: str
    paired: bool = False


def minimax_discriminator(real: RealScores, fake: FakeScores, smoothing: float = 0.0) -> Scalar:
    """½ E_p sp(−s) + ½ E_q sp(s): binary cross-entropy with equal weight on real and fake (Goodfellow et al. 2014).

    The optimum is s* = log p/q, where the loss is log 2 − JSD(p‖q): log 2 in equilibrium (and for an ignorant
    discriminator), nought when it wins. For any discriminator, log 2 minus the loss is a lower bound of JSD.

    Args:
        real: realness of real examples.
        fake: realness of generated examples.
        smoothing: one-sided label smoothing (Salimans et al. 2016, section 3.4): the real target is 1 − smoothing,
            so that σ(s*) = (1 − smoothing) p/(p + q). Use ``functools.partial`` to make an ``Objective`` of it.
    """
    real, fake = at_least_float32(real), at_least_float32(fake)
    return 0.5 * ((F.softplus(-real) + smoothing * real).mean() + F.softplus(fake).mean())


def minimax_generator(fake: FakeScores) -> Scalar:
    """−E_q sp(s) = E_q log(1 − σ(s)): the saturating loss of the minimax game (Goodfellow et al. 2014, Eq. 1).

    In the lecture's labels it is E log D(G(z)). It lacks the ½ of the zero-sum game. At the optimal, frozen
    discriminator its gradient is that of 2 JSD(p‖q); it vanishes where the discriminator is sure of itself.
    """
    return -F.softplus(at_least_float32(fake)).mean()


def non_saturating_generator(fake: FakeScores) -> Scalar:
    """E_q sp(−s) = −E_q log σ(s) (Goodfellow et al. 2014, section 3); in the lecture's labels −E log(1 − D(G(z))).

    At the optimal, frozen discriminator its gradient is that of KL(q‖p) − 2 JSD(p‖q)
    (Arjovsky & Bottou 2017, Theorem 2.5), which seeks modes.
    """
    return F.softplus(-at_least_float32(fake)).mean()


def least_squares_discriminator(real: RealScores, fake: FakeScores) -> Scalar:
    """½ E_p (s − 1)² + ½ E_q s² (Mao et al. 2017, Eq. 2, with the codes of Eq. 9).

    The optimum is s* = p/(p + q), where the loss is ½ ∫ pq/(p + q).
    """
    return 0.5 * ((at_least_float32(real) - 1).square().mean() + at_least_float32(fake).square().mean())


def least_squares_generator(fake: FakeScores) -> Scalar:
    """½ E_q (s − 1)² (Mao et al. 2017, Eq. 2, with the codes of Eq. 9).

    With ½ E_p (s − 1)² added, it is ¼ + Δ/8 at the optimal discriminator, where
    Δ = ∫ (p − q)²/(p + q); with the discriminator frozen, its gradient is that of KL(p ‖ ½(p + q)) − Δ/8.
    """
    return 0.5 * (at_least_float32(fake) - 1).square().mean()


def hinge_discriminator(real: RealScores, fake: FakeScores) -> Scalar:
    """E_p max(0, 1 − s) + E_q max(0, 1 + s) (Lim & Ye 2017; Miyato et al. 2018, Eq. 16).

    The optimum is s* = sign(p − q), where the loss is 2 (1 − TV(p, q)).
    """
    return F.relu(1 - at_least_float32(real)).mean() + F.relu(1 + at_least_float32(fake)).mean()


def wasserstein_discriminator(real: RealScores, fake: FakeScores) -> Scalar:
    """E_q s − E_p s: minus the critic's estimate of K·W1(p, q) (Arjovsky et al. 2017, Eq. 2).

    It bounds W1 only for a critic that is held K-Lipschitz by clipping, a penalty or its architecture.
    """
    return at_least_float32(fake).mean() - at_least_float32(real).mean()


def linear_generator(fake: FakeScores) -> Scalar:
    """−E_q s, the generator's loss against a hinge or Wasserstein critic.

    With E_p s added it is K·W1(p, q) at the optimal K-Lipschitz critic and 2 TV(p, q) at the optimal hinge.
    """
    return -at_least_float32(fake).mean()


def relativistic_discriminator(real: PairedScores, fake: PairedScores) -> Scalar:
    """E sp(s(fake) − s(real)) over pairs (Jolicoeur-Martineau 2019, RpGAN; Huang et al. 2024, Eq. 2).

    The optimum is s* = log p/q + any constant, where the loss is log 2 − JSD(p⊗q ‖ q⊗p).
    """
    return F.softplus(-_margin(real, fake)).mean()


def relativistic_generator(real: PairedScores, fake: PairedScores) -> Scalar:
    """E sp(s(real) − s(fake)) over pairs: the discriminator's loss with the roles exchanged (non-saturating).

    It is the discriminator's loss plus E_p s − E_q s, for sp(t) = t + sp(−t). At the optimal, frozen discriminator its
    gradient is therefore that of KL(q‖p) − JSD(p⊗q ‖ q⊗p).
    """
    return F.softplus(_margin(real, fake)).mean()


def relativistic_average_discriminator(real: RealScores, fake: FakeScores) -> Scalar:
    """½ E_p sp(−(s − E_q s)) + ½ E_q sp(s − E_p s) (Jolicoeur-Martineau 2019, RaGAN).

    The most of log 2 minus it, over s, is a divergence of p and q without closed form (Jolicoeur-Martineau 2020).
    """
    real, fake = at_least_float32(real), at_least_float32(fake)
    return minimax_discriminator(real - fake.mean(), fake - real.mean())


def relativistic_average_generator(real: RealScores, fake: FakeScores) -> Scalar:
    """½ E_q sp(−(s − E_p s)) + ½ E_p sp(s − E_q s): the same loss with the roles exchanged.

    What it minimises against the optimal discriminator has no closed form (Jolicoeur-Martineau 2020).
    """
    return relativistic_average_discriminator(fake, real)


def f_objective(divergence: FDivergence, trick: bool = False) -> Objective:
    """The f-GAN game of a divergence: the two players share the value E_p g_f(s) − E_q f*(g_f(s)).

    Args:
        divergence: one of ``DIVERGENCES``.
        trick: the generator minimises −E_q g_f(s) instead of its part of the value, −E_q f*(g_f(s)): a stronger
            gradient where the fakes are obvious (Nowozin et al. 2016, section 3.2). It is that of another
            f-divergence, h with h(u) − u h'(u) = −f'(u): of KL(q‖p) where f is KL(p‖q).
    """

    def discriminator(real: RealScores, fake: FakeScores) -> Scalar:
        return -divergence.lower_bound(real, fake)

    def generator(fake: FakeScores) -> Scalar:
        payoff = divergence.activation if trick else divergence.conjugate_of_activation
        return -payoff(at_least_float32(fake)).mean()

    minimised = _F_DIVERGENCE_IN_WORDS[divergence.name]
    if trick:
        minimised = f"the divergence of h, h(u) − u h'(u) = −f'(u), where f is that of {minimised}"
    name = f"f-{divergence.name}" + ("-trick" if trick else "")
    return Objective(name, discriminator, _of_fakes(generator), minimised)


def _margin(real: Tensor, fake: Tensor) -> Tensor:
    if real.shape != fake.shape:
        raise ValueError(f"real and fake must be paired one to one, not {tuple(real.shape)} with {tuple(fake.shape)}")
    return at_least_float32(real) - at_least_float32(fake)


def _of_fakes(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor | None, Tensor], Tensor]:
    return lambda real, fake: loss(fake)


def _of_pairs(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor | None, Tensor], Tensor]:
    def paired_loss(real: Tensor | None, fake: Tensor) -> Tensor:
        if real is None:
            raise ValueError("real must be the scores of real examples: this generator's loss is paired")
        return loss(real, fake)

    return paired_loss


_F_DIVERGENCE_IN_WORDS = {
    "kl": "KL(p‖q)",
    "reverse-kl": "KL(q‖p)",
    "pearson": "Pearson χ²(p‖q) = ∫ (p − q)²/q",
    "hellinger": "squared Hellinger distance ∫ (√p − √q)²",
    "jensen-shannon": "2 JSD(p‖q)",
    "gan": "2 JSD(p‖q) − log 4",
    "total-variation": "total variation ½ ∫ |p − q|",
}

_PLAIN = (
    Objective(
        "minimax",
        minimax_discriminator,
        _of_fakes(minimax_generator),
        "2 JSD(p‖q), by its gradient at the frozen discriminator",
    ),
    Objective(
        "non-saturating",
        minimax_discriminator,
        _of_fakes(non_saturating_generator),
        "KL(q‖p) − 2 JSD(p‖q), by its gradient at the frozen discriminator",
    ),
    Objective(
        "least-squares",
        least_squares_discriminator,
        _of_fakes(least_squares_generator),
        "KL(p‖½(p + q)) − Δ/8 by its gradient at the frozen discriminator, ¼ + Δ/8 in value with the reals' term added; "
        "Δ = ∫ (p − q)²/(p + q)",
    ),
    Objective("hinge", hinge_discriminator, _of_fakes(linear_generator), "twice the total variation, ∫ |p − q|"),
    Objective(
        "wasserstein",
        wasserstein_discriminator,
        _of_fakes(linear_generator),
        "K·W1(p, q) for a K-Lipschitz critic",
    ),
    Objective(
        "relativistic",
        relativistic_discriminator,
        _of_pairs(relativistic_generator),
        "KL(q‖p) − JSD(p⊗q ‖ q⊗p), by its gradient at the frozen discriminator, which measures the latter over pairs",
        paired=True,
    ),
    Objective(
        "relativistic-average",
        relativistic_average_discriminator,
        _of_pairs(relativistic_average_generator),
        "no closed form; the discriminator measures a relativistic divergence (Jolicoeur-Martineau 2020)",
        paired=True,
    ),
)

OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {objective.name: objective for objective in (*_PLAIN, *map(f_objective, DIVERGENCES.values()))}
)
