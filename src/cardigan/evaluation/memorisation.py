"""Does the model copy its training images? C_T, authenticity, nearest neighbours."""

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor

from cardigan.evaluation.distances import nearest_neighbours

CELLS = 3
LEAST_IN_CELL = 20
FIT_ON = 10_000


@dataclass(frozen=True)
class Copying:
    """C_T: a z-score. Below zero the samples lie nearer to the training set than unseen reals do.

    Attributes:
        error: its standard deviation when nothing is copied, from the weights of the cells.
        cells: cells with samples enough to be judged.
    """

    score: float
    error: float
    cells: int


def mann_whitney(x: Float[Tensor, "n"], y: Float[Tensor, "m"]) -> float:
    """z-score of U = #{x > y} + ½#{x = y}: positive when x tends to be larger, N(0, 1) when both are alike."""
    ordered = y.double().sort().values
    below = torch.searchsorted(ordered, x.double(), right=False)
    up_to = torch.searchsorted(ordered, x.double(), right=True)
    wins = float((below + up_to).double().sum()) / 2
    n, m = len(x), len(y)
    return (wins - n * m / 2) / sqrt(n * m * (n + m + 1) / 12)


def copying(
    generated: Float[Tensor, "n d"], test: Float[Tensor, "m d"], train: Float[Tensor, "t d"], seed: int = 0
) -> Copying:
    """C_T of Meehan et al. 2020: distances to the training set of samples against those of unseen reals.

    Space is divided into 3 cells by k-means on the training features; z-scores of the cells are averaged with the
    share of test points in each. Cells with fewer than 20 samples of either kind are left out; if none is left, all of
    space is one cell.
    """
    cells = min(CELLS, len(train))
    fit = KMeans(cells, n_init=3, random_state=seed).fit(train[:: max(1, len(train) // FIT_ON)].double().numpy())
    sample_cell, test_cell = (torch.from_numpy(fit.predict(s.double().numpy())) for s in (generated, test))
    sample_distance, test_distance = (nearest_neighbours(s, train)[1] for s in (generated, test))
    scores, weights = [], []
    for cell in range(cells):
        mine, theirs = sample_distance[sample_cell == cell], test_distance[test_cell == cell]
        if min(len(mine), len(theirs)) >= LEAST_IN_CELL:
            scores.append(mann_whitney(mine, theirs))
            weights.append(float(len(theirs)))
    if not scores:
        return Copying(mann_whitney(sample_distance, test_distance), 1.0, 1)
    share = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    score = float((share * torch.tensor(scores, dtype=torch.float64)).sum())
    return Copying(score, float(share.norm()), len(scores))


def authentic(samples: Float[Tensor, "n d"], train: Float[Tensor, "t d"]) -> Float[Tensor, "n"]:
    """1 where a sample is farther from its nearest training point than that point is from the rest (Alaa et al. 2022).

    100 x the mean is AuthPct. A perfect model does not score 50: compare with unseen reals. Copies score 0.

    Raises:
        ValueError: for fewer than two training points.
    """
    if len(train) < 2:
        raise ValueError("authenticity takes at least 2 training points")
    index, distance = nearest_neighbours(samples, train)
    hit, back = index.unique(return_inverse=True)
    _, own = nearest_neighbours(train[hit], train, leave_out=hit)
    return (distance > own[back]).double()


def nearest_training_images(
    samples: Float[Tensor, "n d"], train: Float[Tensor, "t d"]
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """Index and distance of the training example nearest to each sample: what a panel of neighbours shows."""
    return nearest_neighbours(samples, train)
