"""The Dirac-GAN: the data are one point, the generator another, and the discriminator a line through the origin.

The eigenvalues at its equilibrium are computed by autograd from the library's own losses, the discriminator's doubled so
that both cross-entropies weigh 1, and compared with the closed forms of Mescheder, Geiger & Nowozin (2018). So is what a
step of each way of play does to the distance: which spiral out, which go round for ever, and which arrive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from cardigan.apps.lab.drawing import FAKE, GREY, INK, PALETTE, label, panels, picture
from cardigan.apps.lab.findings import Findings, Row
from cardigan.objectives import OBJECTIVES, zero_centred_penalty
from cardigan.theory.dirac import DiracGAN, Play, radius

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle

START, RATE, STEPS = (1.0, 0.0), 0.1, 400
DAMPINGS = (0.0, 0.3, 1.0, 2.0)
SYSTEMS: dict[str, tuple[DiracGAN, Play]] = {
    "minimax, simultaneous": (DiracGAN(), "simultaneous"),
    "minimax, alternating": (DiracGAN(), "alternating"),
    "non-saturating, simultaneous": (DiracGAN("non-saturating"), "simultaneous"),
    "Wasserstein, simultaneous": (DiracGAN("wasserstein"), "simultaneous"),
    "minimax with R1, γ = 0.3": (DiracGAN(r1=0.3), "simultaneous"),
    "minimax with R1, γ = 1": (DiracGAN(r1=1.0), "simultaneous"),
    "minimax, extragradient": (DiracGAN(), "extragradient"),
    "minimax, consensus": (DiracGAN(), "consensus"),
}


def run(seed: int, note: Callable[[str], None]) -> Findings:
    note("trajectories and eigenvalues; nothing is drawn at random")
    paths = {name: game.trajectory(START, RATE, STEPS, play) for name, (game, play) in SYSTEMS.items()}
    return Findings(
        (*eigenvalue_rows(), *step_rows(), *settling_rows()),
        "without a penalty simultaneous play spirals out and alternating play goes round; R1, extragradient and consensus "
        "steps shrink the distance at every step; the non-saturating game settles on a circle",
        (
            "with the ½ of the lecture and the library in the discriminator's loss alone, h² is 1/8 in place of 1/4, and "
            "critical damping is at γ = 1/√2",
        ),
        figures={"paths": draw(paths)},
        movies={"play": film(paths)},
    )


def eigenvalue_rows() -> list[Row]:
    rows = []
    for damping in DAMPINGS:
        (_, found), (_, exact) = (in_order(pair) for pair in (measured(damping), DiracGAN(r1=damping).eigenvalues()))
        rows.append(Row(f"γ = {damping:g}: real part of the larger eigenvalue", found.real, exact.real, 1e-5))
        rows.append(Row("  its imaginary part", abs(found.imag), abs(exact.imag), 1e-5))
    return rows


def in_order(pair: tuple[complex, complex]) -> list[complex]:
    return sorted(pair, key=lambda z: (z.real, z.imag))


def measured(damping: float) -> tuple[complex, complex]:
    """Eigenvalues of the Jacobian of the library's losses at the equilibrium, by automatic differentiation."""

    def velocity(state: Tensor) -> Tensor:
        theta, psi = state.unbind()
        realness = lambda x: -psi * x  # noqa: E731
        real, fake = realness(torch.zeros(1, dtype=torch.float64)), realness(theta[None])
        penalty = damping * zero_centred_penalty(psi.square()[None])
        discriminator = 2 * OBJECTIVES["minimax"].discriminator(real, fake) + penalty
        generator = OBJECTIVES["minimax"].generator(None, fake)
        slopes = [
            torch.autograd.grad(loss, state, create_graph=True)[0][index]
            for loss, index in ((generator, 0), (discriminator, 1))
        ]
        return -torch.stack(slopes)

    state = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    field = velocity(state)
    jacobian = torch.stack([torch.autograd.grad(part, state, retain_graph=True)[0] for part in field])
    first, second = torch.linalg.eigvals(jacobian).tolist()
    return first, second


def step_rows() -> list[Row]:
    """By what factor a step near the equilibrium changes the distance: over 600 of them, and by the step's matrix."""
    rows = []
    for name, (game, play) in SYSTEMS.items():
        if game.payoff == "non-saturating":
            continue  # grows at first and settles: below
        path = game.trajectory((1e-3, 0.0), RATE, 800, play)
        factor = (mean_radius(path[600:]) / mean_radius(path[:201])) ** (1 / 600)
        critical = game.r1 == 1.0  # a double eigenvalue, beside whose power a factor grows with the steps
        rows.append(Row(f"{name}: radius each step, times", factor, growth(game, play), 4e-3 if critical else 2e-4))
    return rows


def mean_radius(path: list[tuple[float, float]]) -> float:
    """Geometric: paths are ellipses."""
    return math.exp(sum(math.log(max(radius(state), 1e-300)) for state in path) / len(path))


def growth(game: DiracGAN, play: Play) -> float:
    """The largest modulus of the eigenvalues of one step near the equilibrium."""
    (_, pull), (push, damping) = game.jacobian()
    eigenvalues = game.eigenvalues()
    if play == "alternating":  # complex ones, whose product is the determinant 1 + rate·(-γ)
        return math.sqrt(1 + RATE * damping)
    if play == "extragradient":
        return max(abs(1 + RATE * z + (RATE * z) ** 2) for z in eigenvalues)
    if play == "consensus":
        return max(abs(1 + RATE * (z + pull * push)) for z in eigenvalues)
    return max(abs(1 + RATE * z) for z in eigenvalues)


def settling_rows() -> list[Row]:
    """Where the non-saturating game goes round for ever."""
    rows = []
    for rate in (0.1, 0.02):
        path = DiracGAN("non-saturating").trajectory((0.5, 0.5), rate, int(20 / rate**2) + 2000)
        settled, exact = sum(map(radius, path[-1000:])) / 1000, math.sqrt(2 * rate)
        rows.append(Row(f"non-saturating, rate {rate:g}: settles at radius √(2 rate)", settled, exact, 0.01 * exact))
    return rows


# ---- pictures --------------------------------------------------------------------------------------------------------


def trace(axis: Axes, name: str, path: list[tuple[float, float]], colour: str) -> None:
    theta, psi = zip(*path, strict=True)
    axis.plot(theta, psi, color=colour, linewidth=1)
    axis.plot(theta[-1:], psi[-1:], "o", color=colour, markersize=5)
    axis.plot([0], [0], "+", color=INK)
    label(axis, name, xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")


def draw(paths: dict[str, list[tuple[float, float]]]) -> Figure:
    figure, axes = panels(len(paths), rows=2, width=2.6, height=2.6)
    for index, (axis, (name, path)) in enumerate(zip(axes, paths.items(), strict=True)):
        trace(axis, name, path, PALETTE[index % len(PALETTE)])
    axes[0].set_ylabel("ψ, slope of the discriminator", fontsize=9)
    axes[-1].set_xlabel("θ, place of the generator", fontsize=9)
    return figure


def film(paths: dict[str, list[tuple[float, float]]], frames: int = 24) -> list[Image.Image]:
    shown = ("minimax, simultaneous", "minimax, alternating", "minimax with R1, γ = 0.3", "minimax, extragradient")
    pictures = []
    for frame in range(1, frames + 1):
        figure, axes = panels(len(shown), width=2.4, height=2.6)
        for axis, name in zip(axes, shown, strict=True):
            trace(axis, name, paths[name][: 1 + frame * STEPS // frames], FAKE)
            axis.add_patch(circle())
        pictures.append(picture(figure))
    return pictures


def circle() -> Circle:
    from matplotlib.patches import Circle

    return Circle((0, 0), 1, fill=False, color=GREY, linestyle=":")
