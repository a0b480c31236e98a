"""What a decoder thinks of an example: log p(x) = log ∫ p(x|z) N(z; 0, I) dz, exactly or between two bounds.

Bounds from below are the evidence lower bound of a VAE, its importance-weighted refinement (Burda et al. 2016) and
annealed importance sampling (Neal 2001; Wu et al. 2017). From above: the same annealing run backwards from an exact
posterior sample, which one has for simulated examples (bidirectional Monte Carlo, Grosse et al. 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory.densities import Gaussian

LogLikelihood = Callable[[Tensor], Tensor]
"""log p(x|z) of n fixed examples: latents (chains, n, size) to (chains, n)."""

ACCEPTANCE = 0.65
STEEPNESS = 4.0


class LinearGaussian:
    """x = W z + mean + deviation * ε with z and ε standard normal: probabilistic PCA, where all is known.

    Args:
        weights: W, float64 (dimensions, latents).
        mean: (dimensions,).
        deviation: of the noise.
    """

    def __init__(self, weights: Tensor, mean: Tensor, deviation: float) -> None:
        if not deviation > 0:
            raise TheoryError(f"deviation must be positive, not {deviation}")
        self.weights, self.mean, self.deviation = weights, mean, deviation
        noise = deviation**2 * torch.eye(len(weights), dtype=weights.dtype)
        self.marginal = Gaussian(mean, weights @ weights.T + noise)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), exactly: (n, dimensions) to (n,)."""
        return self.marginal.log_prob(x)

    def log_likelihood(self, x: Tensor) -> LogLikelihood:
        """log p(x|z) of these examples."""

        def of(latents: Tensor) -> Tensor:
            error = (x - self.mean - latents @ self.weights.T) / self.deviation
            return -0.5 * error.square().sum(-1) - x.shape[-1] * math.log(self.deviation * math.sqrt(2 * math.pi))

        return of

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (n, latents) and covariance (latents, latents) of p(z|x)."""
        size = self.weights.shape[1]
        precision = torch.eye(size, dtype=x.dtype) + self.weights.T @ self.weights / self.deviation**2
        covariance = torch.linalg.inv(precision)
        return (x - self.mean) @ self.weights @ covariance / self.deviation**2, covariance

    def simulate(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n examples with the latents that made them: exact samples of their posteriors."""
        dimensions, size = self.weights.shape
        latents = torch.randn(n, size, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, dimensions, generator=generator, dtype=torch.float64)
        return latents @ self.weights.T + self.mean + self.deviation * noise, latents


def importance_bound(
    log_likelihood: LogLikelihood,
    mean: Tensor,
    deviation: Tensor,
    samples: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """log of the mean importance weight over `samples` draws of q = N(mean, deviation²): (n,).

    One sample gives an estimate of the ELBO; more give a tighter bound, and infinitely many log p(x).

    Args:
        mean, deviation: of q(z|x), (n, size).
    """
    noise = torch.randn(samples, *mean.shape, generator=generator, dtype=mean.dtype)
    latents = mean + deviation * noise
    log_q = (-0.5 * noise.square() - deviation.log()).sum(-1)
    log_prior = -0.5 * latents.square().sum(-1)  # both lack the same constant
    return torch.logsumexp(log_likelihood(latents) + log_prior - log_q, 0) - math.log(samples)


@dataclass(frozen=True)
class AnnealedBound:
    """A bound of log p(x) by annealing.

    Attributes:
        log_prob: (n,), for each example the log of the mean weight over the chains.
        acceptance: mean share of moves accepted.
    """

    log_prob: Tensor
    acceptance: float


class Annealing:
    """Annealed importance sampling from the prior, β = 0, to the posterior, β = 1, by Hamiltonian moves.

    Args:
        log_likelihood: log p(x|z) of n examples, differentiable.
        size: of a latent.
        steps: temperatures between; the error falls about as 1/steps.
        chains: independent runs for each example, whose weights are averaged.
        leapfrogs: of one move.
    """

    def __init__(
        self, log_likelihood: LogLikelihood, size: int, steps: int = 1_000, chains: int = 16, leapfrogs: int = 5
    ) -> None:
        if steps < 2 or chains < 1:
            raise TheoryError(f"annealing needs at least 2 steps and 1 chain, not {steps} and {chains}")
        self.log_likelihood, self.size, self.chains, self.leapfrogs = log_likelihood, size, chains, leapfrogs
        self.temperatures = schedule(steps)

    def lower(
        self, latents: Tensor, generator: torch.Generator | None = None, progress: Callable[[], None] = lambda: None
    ) -> AnnealedBound:
        """A bound of log p(x) that holds from below in the mean, and closes with more steps and chains.

        Args:
            latents: where the chains start, draws from the prior of shape (chains, n, size).
            progress: called after every temperature.
        """
        return self.anneal(latents, self.temperatures, generator, progress)

    def upper(
        self, latents: Tensor, generator: torch.Generator | None = None, progress: Callable[[], None] = lambda: None
    ) -> AnnealedBound:
        """A bound from above in the mean, for examples simulated from the model.

        Args:
            latents: those that made the examples, (n, size).
        """
        start = latents.expand(self.chains, *latents.shape)
        backwards = self.anneal(start, self.temperatures.flip(0), generator, progress)
        return AnnealedBound(-backwards.log_prob, backwards.acceptance)

    def anneal(
        self, latents: Tensor, temperatures: Tensor, generator: torch.Generator | None, progress: Callable[[], None]
    ) -> AnnealedBound:
        move = HamiltonianMove(self.log_likelihood, self.leapfrogs, latents, generator)
        log_weight = torch.zeros_like(move.likelihood)
        for before, after in zip(temperatures[:-1].tolist(), temperatures[1:].tolist(), strict=True):
            log_weight += (after - before) * move.likelihood
            move(after)
            progress()
        log_mean = torch.logsumexp(log_weight, 0) - math.log(self.chains)
        return AnnealedBound(log_mean, move.accepted / (len(temperatures) - 1))


class HamiltonianMove:
    """Moves that leave N(z; 0, I) p(x|z)^β as it is, whose length adapts to each example."""

    def __init__(
        self, log_likelihood: LogLikelihood, leapfrogs: int, latents: Tensor, generator: torch.Generator | None
    ) -> None:
        self.log_likelihood, self.leapfrogs, self.generator = log_likelihood, leapfrogs, generator
        self.latents = latents
        self.likelihood, self.slope = self.evaluate(latents)
        self.length = torch.full_like(self.likelihood[0], 0.1)
        self.accepted = 0.0

    def evaluate(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x|z) and its gradient by z."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            values = self.log_likelihood(latents)
            (slope,) = torch.autograd.grad(values.sum(), latents)
        return values.detach(), slope

    def __call__(self, temperature: float) -> None:
        length = self.length[None, :, None]
        momentum = self.draw(self.latents, torch.randn)
        before = self.energy(self.latents, self.likelihood, momentum, temperature)
        z, likelihood, slope = self.latents, self.likelihood, self.slope
        momentum = momentum + 0.5 * length * (temperature * slope - z)
        for leap in range(self.leapfrogs):
            z = z + length * momentum
            likelihood, slope = self.evaluate(z)
            share = 1.0 if leap < self.leapfrogs - 1 else 0.5
            momentum = momentum + share * length * (temperature * slope - z)
        after = self.energy(z, likelihood, momentum, temperature)
        taken = self.draw(before, torch.rand).log() < before - after
        self.latents = torch.where(taken[..., None], z, self.latents)
        self.likelihood = torch.where(taken, likelihood, self.likelihood)
        self.slope = torch.where(taken[..., None], slope, self.slope)
        share = taken.to(self.length.dtype).mean(0)
        self.length = (self.length * torch.where(share > ACCEPTANCE, 1.02, 0.98)).clamp(1e-4, 0.5)
        self.accepted += share.mean().item()

    def energy(self, latents: Tensor, likelihood: Tensor, momentum: Tensor, temperature: float) -> Tensor:
        return 0.5 * (latents.square().sum(-1) + momentum.square().sum(-1)) - temperature * likelihood

    def draw(self, like: Tensor, kind: Callable[..., Tensor]) -> Tensor:
        device = like.device if self.generator is None else self.generator.device
        return kind(like.shape, generator=self.generator, dtype=like.dtype, device=device).to(like.device)


def schedule(steps: int) -> Tensor:
    """Temperatures from 0 to 1 that linger at both ends: a sigmoid's, rescaled (Wu et al. 2017)."""
    inner = torch.sigmoid(torch.linspace(-STEEPNESS, STEEPNESS, steps + 1, dtype=torch.float64))
    return (inner - inner[0]) / (inner[-1] - inner[0])
