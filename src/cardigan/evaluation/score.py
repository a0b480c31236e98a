"""One number, cheap enough to watch while a model trains."""

from cardigan.evaluation.bench import named
from cardigan.evaluation.features import Features, extract
from cardigan.evaluation.frechet import Moments, from_moments
from cardigan.evaluation.sources import Dataset, FromDataset, ImageSource

COUNT = 2000


class FrechetScore:
    """Fréchet distance of a source to one reference whose features are computed once; lower is better.

    Args:
        reference: real images.
        features: where to measure.
        count: samples on each side; fewer where the reference has fewer. Scores compare only at equal counts.
        seed: which reals.

    Attributes:
        name: of the number, "FD(classifier)".
    """

    def __init__(self, reference: Dataset, features: Features, count: int = COUNT, seed: int = 0) -> None:
        self.features = features
        self.count = min(count, len(reference))
        self.name = named("FD", features)
        source = FromDataset(reference, seed=seed)
        self._moments = Moments.of(extract(features, source, self.count))

    def __call__(self, source: ImageSource) -> float:
        """Distance of the source's first ``count`` images; NaN where they are not finite."""
        vectors = extract(self.features, source, self.count)
        if not vectors.isfinite().all():
            return float("nan")
        return from_moments(Moments.of(vectors), self._moments)
