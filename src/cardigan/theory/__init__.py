"""The lecture's mathematics with exact answers: densities, divergences, transport, optimal discriminators, likelihood."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardigan.theory.densities import (
        Density,
        Distribution,
        Gaussian,
        Line,
        LineMixture,
        Mixture,
        Normal,
        PointMasses,
        Uniform,
        UpwardLine,
        grid,
        ring,
    )
    from cardigan.theory.dirac import DiracGAN, radius
    from cardigan.theory.divergences import (
        f_divergence,
        gaussian_kl,
        gaussian_pearson,
        jensen_shannon,
        kl,
        neyman,
        pearson,
        relativistic,
        reverse_kl,
        squared_hellinger,
        total_variation,
        triangular,
        variational_bound,
    )
    from cardigan.theory.likelihood import AnnealedBound, Annealing, LinearGaussian, LogLikelihood, importance_bound
    from cardigan.theory.optimal import OPTIMAL_SCORES, kantorovich_potential, optimal_score
    from cardigan.theory.quadrature import Rule, rule_for
    from cardigan.theory.transport import Plan, emd, gaussian_w2, potentials, sinkhorn, w1, w2

__all__ = [
    "OPTIMAL_SCORES",
    "AnnealedBound",
    "Annealing",
    "Density",
    "DiracGAN",
    "Distribution",
    "Gaussian",
    "Line",
    "LineMixture",
    "LinearGaussian",
    "LogLikelihood",
    "Mixture",
    "Normal",
    "Plan",
    "PointMasses",
    "Rule",
    "Uniform",
    "UpwardLine",
    "emd",
    "f_divergence",
    "gaussian_kl",
    "gaussian_pearson",
    "gaussian_w2",
    "grid",
    "importance_bound",
    "jensen_shannon",
    "kantorovich_potential",
    "kl",
    "neyman",
    "optimal_score",
    "pearson",
    "potentials",
    "radius",
    "relativistic",
    "reverse_kl",
    "ring",
    "rule_for",
    "sinkhorn",
    "squared_hellinger",
    "total_variation",
    "triangular",
    "variational_bound",
    "w1",
    "w2",
]

# torch and scipy take seconds to import: nothing here does so before it is used.
_HOMES = {
    "Density": "densities",
    "Distribution": "densities",
    "Gaussian": "densities",
    "Line": "densities",
    "LineMixture": "densities",
    "Mixture": "densities",
    "Normal": "densities",
    "PointMasses": "densities",
    "Uniform": "densities",
    "UpwardLine": "densities",
    "grid": "densities",
    "ring": "densities",
    "DiracGAN": "dirac",
    "radius": "dirac",
    "f_divergence": "divergences",
    "gaussian_kl": "divergences",
    "gaussian_pearson": "divergences",
    "jensen_shannon": "divergences",
    "kl": "divergences",
    "neyman": "divergences",
    "pearson": "divergences",
    "relativistic": "divergences",
    "reverse_kl": "divergences",
    "squared_hellinger": "divergences",
    "total_variation": "divergences",
    "triangular": "divergences",
    "variational_bound": "divergences",
    "AnnealedBound": "likelihood",
    "Annealing": "likelihood",
    "LinearGaussian": "likelihood",
    "LogLikelihood": "likelihood",
    "importance_bound": "likelihood",
    "OPTIMAL_SCORES": "optimal",
    "kantorovich_potential": "optimal",
    "optimal_score": "optimal",
    "Rule": "quadrature",
    "rule_for": "quadrature",
    "Plan": "transport",
    "emd": "transport",
    "gaussian_w2": "transport",
    "potentials": "transport",
    "sinkhorn": "transport",
    "w1": "transport",
    "w2": "transport",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
