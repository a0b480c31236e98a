"""Domain adaptation by translation (Liu, Breuel & Kautz 2017, section 4.3): labels of one side teach to classify the other.

The discriminator also names the class. It learns that from labelled images of the first side; its deep layers are shared,
and its features of an image and of the image's translation are drawn together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn import functional

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import Move, frozen
from cardigan.games.translating import Translating, distance
from cardigan.networks import CoDisConfig, CoVAEConfig
from cardigan.networks.adaptation import Judged
from cardigan.networks.coupled import Domain, Ways
from cardigan.networks.sizes import Takes
from cardigan.objectives import OBJECTIVES, ObjectiveName, at_least_float32


class AdaptationConfig(Config):
    """A coupled autoencoder against a discriminator that classifies; weights as published.

    Attributes:
        adversarial: weight of reconstructions' and translations' adversarial losses.
        reconstruction: weight of the squared error of an image, summed over its numbers.
        kl: weight of a code's divergence from N(0, 1), summed over its numbers.
        classification: weight of the cross-entropy of the first side's labels.
        translated: weight of the same for the first side's translations, which keep their labels; 0 in the paper.
        matching: weight of the mean absolute difference between features of an image and of its translation.
    """

    name: Literal["adaptation"] = "adaptation"
    objective: ObjectiveName = "non-saturating"
    translator: CoVAEConfig = CoVAEConfig()
    discriminator: CoDisConfig = CoDisConfig()
    adversarial: NonNegativeFloat = 1.0
    reconstruction: NonNegativeFloat = 1e-3
    kl: NonNegativeFloat = 1e-4
    classification: NonNegativeFloat = 10.0
    translated: NonNegativeFloat = 0.0
    matching: NonNegativeFloat = 1e-4

    def build(self, spec: DataSpec) -> Adaptation:
        if OBJECTIVES[self.objective].paired:
            raise RecipeError(f"adaptation judges more generated images than real ones: {self.objective} pairs them")
        if not spec.classes:
            raise RecipeError(
                "adaptation needs classes on the first side: a folder a class, or labels beside the images"
            )
        return Adaptation(self, spec)


class Adaptation(Translating):
    """UNIT's translator, whose discriminator is the classifier that is wanted."""

    players = ("discriminator", "translator")
    deployed = ("translator", "discriminator")
    reached = (0, 1)

    def __init__(self, config: AdaptationConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config = config
        self.objective = OBJECTIVES[config.objective]
        channels = self.two[0].inputs, self.two[1].inputs
        self.translator = config.translator.build(channels, self.size)
        self.discriminator = config.discriminator.build(channels, len(spec.classes), self.size)

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        batch = next(batches)
        a, b = self.sides(batch.images)
        ways = self.translator.all_ways(a, b)
        yield self.discriminator_move(a, b, Ways(*(way.detach() for way in ways)), batch.labels)

        log = {
            "reconstruction": squared_error(ways.a_to_a, a) + squared_error(ways.b_to_b, b),
            "kl": divergence(ways.codes),
        }
        loss = self.config.reconstruction * log["reconstruction"] + self.config.kl * log["kl"]
        with frozen(self.discriminator):
            judged_a, judged_b = self.judged((ways.a_to_a, ways.b_to_a), 0), self.judged((ways.a_to_b, ways.b_to_b), 1)
            log["adversarial"] = sum(
                (self.objective.generator(None, judged.scores) for judged in (judged_a, judged_b)), a.new_zeros(())
            )
        yield Move(self.translator, loss + self.config.adversarial * log["adversarial"], log)

    def discriminator_move(self, a: Tensor, b: Tensor, ways: Ways, labels: Tensor | None) -> Move:
        assert labels is not None
        n, m = len(a), len(b)
        side_a, side_b = self.judged((a, ways.a_to_a, ways.b_to_a), 0), self.judged((b, ways.a_to_b, ways.b_to_b), 1)
        adversarial = self.objective.discriminator(side_a.scores[:n], side_a.scores[n:])
        adversarial = adversarial + self.objective.discriminator(side_b.scores[:m], side_b.scores[m:])
        translated_a = side_b.features[m : m + n], side_b.classes[m : m + n]
        log = {
            "classification": functional.cross_entropy(side_a.classes[:n].float(), labels),
            "matching": distance(side_a.features[:n], translated_a[0])
            + distance(side_b.features[:m], side_a.features[2 * n :]),
        }
        loss = self.config.adversarial * adversarial + self.config.classification * log["classification"]
        loss = loss + self.config.matching * log["matching"]
        if self.config.translated:
            log["translated"] = functional.cross_entropy(translated_a[1].float(), labels)
            loss = loss + self.config.translated * log["translated"]
        return Move(self.discriminator, loss, log)

    def judged(self, images: Sequence[Tensor], domain: Domain) -> Judged:
        return self.discriminator(torch.cat(list(images)), domain)

    def classify(self, images: Tensor, domain: Domain) -> Tensor:
        """Logits (n, classes) of images of a side, as networks see them."""
        return self.discriminator(images, domain).classes

    @property
    def takes(self) -> Takes:
        return self.translator.takes(self.size)

    def translate(self, images: Tensor, to: int, seeds: Sequence[int] | None = None) -> Tensor:
        """By the mean of the code: the seeds draw nothing."""
        return self.translator(images, 1 - to, to)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        a, b = self.sides(batch.images)
        fake_b, fake_a = self.translate(a, 1), self.translate(b, 0)
        judged = [self.judged(pair, domain) for pair, domain in (((a, fake_a), 0), ((b, fake_b), 1))]
        real = sum((side.scores[: len(a)].mean() / 2 for side in judged), a.new_zeros(()))
        fake = sum((side.scores[len(a) :].mean() / 2 for side in judged), a.new_zeros(()))
        values = {"real score": real, "fake score": fake}
        if batch.labels is not None:
            values["accuracy"] = (judged[0].classes[: len(a)].argmax(1) == batch.labels).float().mean()
        return values


def squared_error(made: Tensor, images: Tensor) -> Tensor:
    """Summed over an image's numbers, averaged over images."""
    return (at_least_float32(made) - images).square().flatten(1).sum(1).mean()


def divergence(posterior: Tensor) -> Tensor:
    """KL of N(mean, deviation^2) from N(0, 1), summed over a code's numbers and averaged over codes.

    Args:
        posterior: means and, after them along the channels, deviations.
    """
    mean, deviation = at_least_float32(posterior).chunk(2, 1)
    variance = deviation.square()
    return 0.5 * (mean.square() + variance - 1 - variance.clamp(min=1e-12).log()).flatten(1).sum(1).mean()
