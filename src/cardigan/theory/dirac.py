"""The Dirac-GAN: the smallest game there is, solved exactly (Mescheder, Geiger & Nowozin 2018).

The data are one point at 0, the generator one point at θ, the discriminator the line s(x) = −ψx of realness. One step
of play maps (θ, ψ) to new numbers; near the equilibrium (0, 0) it is a matrix, whose eigenvalues say whether it is
reached.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Payoff = Literal["minimax", "non-saturating", "wasserstein"]
Play = Literal["simultaneous", "alternating", "extragradient", "consensus"]
State = tuple[float, float]


def sigmoid(t: float) -> float:
    return 0.5 * (1 + math.tanh(t / 2))


@dataclass(frozen=True)
class DiracGAN:
    """A payoff and the weight γ of R1, ½γψ² here.

    The discriminator sees the fake at score −ψθ and the data at 0. Both cross-entropies carry weight 1, so that the
    slope of each player's payoff at equality is h = ½. The lecture and the library's objectives halve the
    discriminator's loss alone: there ψ' has the slope ¼ and θ' still ½, so that h² = ¼ · ½ = 1/8, without a penalty
    play turns √2 times as slowly, and an R1 of the same weight γ damps critically at γ = 2h = 1/√2 instead of 1.
    """

    payoff: Payoff = "minimax"
    r1: float = 0.0

    def velocity(self, state: State) -> State:
        """(θ', ψ') of gradient play: each player's steepest descent of its own loss."""
        theta, psi = state
        fakeness = psi * theta
        slope = 1.0 if self.payoff == "wasserstein" else sigmoid(-fakeness)  # of the discriminator's gain by fakeness
        chase = sigmoid(fakeness) if self.payoff == "non-saturating" else slope
        return -chase * psi, slope * theta - self.r1 * psi

    def jacobian(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Of the velocity at the equilibrium: [[0, −h], [h, −γ]], h = 1 for Wasserstein and ½ for the others."""
        h = 1.0 if self.payoff == "wasserstein" else 0.5
        return (0.0, -h), (h, -self.r1)

    def eigenvalues(self) -> tuple[complex, complex]:
        """−γ/2 ± √(γ²/4 − h²): on the imaginary axis without a penalty; γ = 2h damps critically."""
        (_, h), (_, damping) = self.jacobian()
        root = cmath.sqrt(damping**2 / 4 - h**2)
        return damping / 2 + root, damping / 2 - root

    def step(self, state: State, rate: float, play: Play = "simultaneous", consensus: float = 1.0) -> State:
        """Where one step of length `rate` leads; `consensus` is the weight of that kind of play's pull."""
        return STEPS[play](self, state, rate, consensus)

    def trajectory(
        self, start: State, rate: float, steps: int, play: Play = "simultaneous", consensus: float = 1.0
    ) -> list[State]:
        """The states of so many steps, the first of them included."""
        states = [start]
        for _ in range(steps):
            states.append(self.step(states[-1], rate, play, consensus))
        return states


def simultaneous(game: DiracGAN, state: State, rate: float, _: float) -> State:
    """Both move at once, each from where the other was: what makes spirals of circles."""
    return moved(state, game.velocity(state), rate)


def alternating(game: DiracGAN, state: State, rate: float, _: float) -> State:
    """The discriminator moves, then the generator against the new discriminator: GANs as they are trained."""
    theta, psi = state
    psi += rate * game.velocity(state)[1]
    return theta + rate * game.velocity((theta, psi))[0], psi


def extragradient(game: DiracGAN, state: State, rate: float, _: float) -> State:
    """A step with the gradients found after a trial step (Korpelevich 1976)."""
    return moved(state, game.velocity(moved(state, game.velocity(state), rate)), rate)


def consensus_step(game: DiracGAN, state: State, rate: float, weight: float) -> State:
    """Both also descend `weight` times half the squared length of the velocity (Mescheder et al. 2017)."""
    (theta, psi), (x, y) = state, game.velocity(state)
    small = 1e-6
    pulls = [
        (half_square(game.velocity(up)) - half_square(game.velocity(down))) / (2 * small)
        for up, down in (
            ((theta + small, psi), (theta - small, psi)),
            ((theta, psi + small), (theta, psi - small)),
        )
    ]
    return moved(state, (x - weight * pulls[0], y - weight * pulls[1]), rate)


def half_square(velocity: State) -> float:
    return 0.5 * (velocity[0] ** 2 + velocity[1] ** 2)


def moved(state: State, velocity: State, rate: float) -> State:
    return state[0] + rate * velocity[0], state[1] + rate * velocity[1]


def radius(state: State) -> float:
    """The distance from the equilibrium."""
    return math.hypot(*state)


STEPS: dict[str, Callable[[DiracGAN, State, float, float], State]] = {
    "simultaneous": simultaneous,
    "alternating": alternating,
    "extragradient": extragradient,
    "consensus": consensus_step,
}
