"""The lecture's mathematics with exact answers: densities, divergences, transport, optimal discriminators, likelihood."""

from typing import TYPE_CHECKING

from cardigan.lazy import fetching

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

__getattr__ = fetching(
    __name__,
    {
        "densities": (
            "Density",
            "Distribution",
            "Gaussian",
            "Line",
            "LineMixture",
            "Mixture",
            "Normal",
            "PointMasses",
            "Uniform",
            "UpwardLine",
            "grid",
            "ring",
        ),
        "dirac": ("DiracGAN", "radius"),
        "divergences": (
            "f_divergence",
            "gaussian_kl",
            "gaussian_pearson",
            "jensen_shannon",
            "kl",
            "neyman",
            "pearson",
            "relativistic",
            "reverse_kl",
            "squared_hellinger",
            "total_variation",
            "triangular",
            "variational_bound",
        ),
        "likelihood": ("AnnealedBound", "Annealing", "LinearGaussian", "LogLikelihood", "importance_bound"),
        "optimal": ("OPTIMAL_SCORES", "kantorovich_potential", "optimal_score"),
        "quadrature": ("Rule", "rule_for"),
        "transport": ("Plan", "emd", "gaussian_w2", "potentials", "sinkhorn", "w1", "w2"),
    },
)
