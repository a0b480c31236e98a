"""What players are paid: pure functions of tensors."""

from cardigan.objectives.adversarial import OBJECTIVES, Objective, ObjectiveName, f_objective
from cardigan.objectives.constraints import clip_weights_
from cardigan.objectives.divergences import DIVERGENCES, FDivergence
from cardigan.objectives.likelihoods import (
    bernoulli_log_likelihood,
    binarise,
    bits_per_dimension,
    corrupt,
    discretised_logistic_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted_bound,
    kl_to_standard_normal,
    reconstruction_error,
)
from cardigan.objectives.matching import MATCHING, contrastive, structured
from cardigan.objectives.penalties import (
    Critic,
    gradient_penalty,
    scores_and_squared_slopes,
    zero_centred_penalty,
)
from cardigan.objectives.precision import at_least_float32

__all__ = [
    "DIVERGENCES",
    "MATCHING",
    "OBJECTIVES",
    "Critic",
    "FDivergence",
    "Objective",
    "ObjectiveName",
    "at_least_float32",
    "bernoulli_log_likelihood",
    "binarise",
    "bits_per_dimension",
    "clip_weights_",
    "contrastive",
    "corrupt",
    "discretised_logistic_log_likelihood",
    "f_objective",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "importance_weighted_bound",
    "kl_to_standard_normal",
    "reconstruction_error",
    "scores_and_squared_slopes",
    "structured",
    "zero_centred_penalty",
]
