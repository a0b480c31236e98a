"""Penalties on the critic's slope, as terms of its loss; all in float32 and without autocast.

A critic is called as ``critic(images, labels) -> scores`` of shape (n,); labels may be None. One example's score must
not depend on the others in its batch (no batch normalisation), or the slope at one example is not defined.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from cardigan.objectives.precision import at_least_float32

Images = Float[Tensor, "batch *dims"]
Labels = Shaped[Tensor, "batch *label"]
PerExample = Float[Tensor, " batch"]
Scalar = Float[Tensor, ""]
Critic = Callable[[Tensor, Tensor | None], Tensor]


def scores_and_squared_slopes(
    critic: Critic, images: Images, labels: Labels | None = None
) -> tuple[PerExample, PerExample]:
    """Scores s(x) and squared slopes ‖∇ₓ s(x)‖² of each example, both differentiable in the critic's parameters.

    The squared norm is the sum over all of an example's numbers. The images are detached: nothing flows back to
    whatever made them. Reusing the scores for the loss saves R1 or R2 a forward pass.

    Args:
        critic: see the module.
        images: real, generated or mixed examples.
        labels: their classes, if the critic is conditional.
    """
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        images = at_least_float32(images.detach()).requires_grad_()
        scores = critic(images, labels)
        (slopes,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        return scores, slopes.square().sum(dim=tuple(range(1, slopes.ndim)))


def zero_centred_penalty(squared_norms: PerExample) -> Scalar:
    """½ E ‖∇s‖², to be weighted by γ: R1 on real examples, R2 on generated ones (Mescheder et al. 2018, Eq. 9-10)."""
    return 0.5 * squared_norms.mean()


def gradient_penalty(
    critic: Critic,
    real: Images,
    fake: Images,
    labels: Labels | None = None,
    one_sided: bool = False,
    generator: torch.Generator | None = None,
) -> Scalar:
    """E (‖∇s(u)‖ − 1)² at u = t·real + (1 − t)·fake, t uniform for each example (Gulrajani et al. 2017, Eq. 3).

    To be weighted by λ (10 in the paper). Where the slope is exactly zero the norm is given the gradient zero.

    Args:
        critic: see the module.
        real: real examples.
        fake: as many generated ones.
        labels: the classes that both halves of a mix share.
        one_sided: penalise slopes above one only, max(0, ‖∇s‖ − 1)² (Petzka et al. 2018).
        generator: source of t; torch's global one if None.
    """
    real, fake = at_least_float32(real.detach()), at_least_float32(fake.detach())
    t = torch.rand(len(real), generator=generator, device=real.device, dtype=real.dtype)
    mixes = torch.lerp(fake, real, t.view(-1, *[1] * (real.ndim - 1)))
    _, squared_norms = scores_and_squared_slopes(critic, mixes, labels)
    excess = _safe_sqrt(squared_norms) - 1
    return (F.relu(excess) if one_sided else excess).square().mean()


def _safe_sqrt(values: Tensor) -> Tensor:
    """√x with the gradient nought, not infinite, at x = 0."""
    positive = values > 0
    return torch.where(positive, values, torch.ones_like(values)).sqrt() * positive
