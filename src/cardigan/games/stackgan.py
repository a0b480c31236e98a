"""StackGAN (Zhang et al. 2017): sentences to images in two stages, by discriminators that know what is said.

In the first share of the training Stage I learns to draw small images of sentences. Then it stands still, and Stage II
learns to draw large ones from its images and the same sentences. Either stage's discriminator is matching-aware: besides
generated images with what was said it is to refuse real images of which something else is said (Reed et al. 2016,
Algorithm 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import NO_PENALTY, LatentConfig, Move, Phase, frozen
from cardigan.games.painting import Painting
from cardigan.networks.matching import MatchingConfig, MatchingDiscriminator
from cardigan.networks.stackgan import (
    REMEMBERED,
    StackGeneratorConfig,
    doubled,
    smaller,
)
from cardigan.objectives import OBJECTIVES, ObjectiveName, scores_and_squared_slopes, zero_centred_penalty
from cardigan.schedule import Number, value_at

if TYPE_CHECKING:
    from cardigan.data.dataset import Splits

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class StackGANConfig(Config):
    """Two stages of a generator against a discriminator.

    Attributes:
        objective: of real images against what is false. "non-saturating" is the paper's, times 1/2 for the discriminators,
            which Adam does not notice; with "relativistic" each real image is paired with a generated one of the same
            sentence, and with itself under a sentence that does not belong to it.
        stages: 2, or 1 for Stage I alone at the full size.
        first: share of the training that is Stage I's.
        enlarge: how many times as long Stage II's sides are, 4 in the paper.
        noise: numbers of Stage I's noise.
        mismatch: share of real images with a wrong sentence in what is false; 0 for a discriminator that is not
            matching-aware.
        kl: weight of the divergence of a sentence's code from N(0, 1), a mean over its numbers as in the authors' code:
            2 for 128 numbers is 1/64 of the sum that the paper writes.
        r1, r2: weights of half the squared slope at real and at generated images with what is said of them, each
            `penalty_interval` rounds with as many times the weight.
        reuse_fake: the generator answers for the very images that the discriminator has just seen; else it draws again.
        rate_halvings: how often the learning rates are halved in each stage, at equal distances.
    """

    name: Literal["stackgan"] = "stackgan"
    objective: ObjectiveName = "non-saturating"
    stages: Literal[1, 2] = 2
    first: Share = 0.5
    enlarge: Literal[2, 4] = 4
    noise: PositiveInt = 100
    generator: StackGeneratorConfig = StackGeneratorConfig()
    discriminator: MatchingConfig = MatchingConfig()
    mismatch: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    kl: Number = 2.0
    r1: Number = 0.0
    r2: Number = 0.0
    penalty_interval: PositiveInt = 1
    reuse_fake: bool = True
    rate_halvings: NonNegativeInt = 0

    @property
    def doublings(self) -> int:
        """How often Stage II doubles the sides."""
        return 0 if self.stages == 1 else self.enlarge.bit_length() - 1

    def build(self, spec: DataSpec) -> StackGAN:
        if spec.kind != "images":
            raise RecipeError("stackgan draws images, not points: use another recipe")
        if spec.text is None:
            raise RecipeError(
                "stackgan learns from sentences: add --set data.text=captions, or data.text=classes for names of classes"
            )
        if (self.r1 or self.r2) and self.discriminator.normalisation == "batch":
            raise RecipeError(NO_PENALTY.format("game.discriminator.normalisation"))
        return StackGAN(self, spec)


class StackGAN(Painting):
    """min over G, max over D of log D(x, t) + 1/2 log(1 - D(x, t')) + 1/2 log(1 - D(G(z, t), t)), stage after stage."""

    players = ("discriminator", "generator")
    deployed = ("generator",)
    choices = 1
    batch_multiple = 2  # an image alone has no other whose sentence is wrong for it, and no statistics
    largest_loss = 1_000.0  # of logits, as in the game gan

    def __init__(self, config: StackGANConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        assert spec.text is not None
        self.config, self.doublings, self.stages = config, config.doublings, config.stages
        self.objective = OBJECTIVES[config.objective]
        dims = spec.text.dims
        self.generator = config.generator.build(config.noise, dims, spec.shape, self.doublings)
        shapes = [smaller(spec.shape, self.doublings), spec.shape][: config.stages]
        self.discriminator = nn.ModuleList(config.discriminator.build(shape, dims) for shape in shapes)
        self.text = spec.text.build().requires_grad_(False)
        self.latent = LatentConfig(size=self.generator.latent)
        self.milestones = (0.0, config.first)[: config.stages]

    @property
    def stored(self) -> tuple[str, ...]:
        return (*super().stored, "text")

    @torch.no_grad()
    def equip(self, splits: Splits) -> None:
        """The encoder of the sentences, and some of them for samples of which nothing is said."""
        super().equip(splits)
        sentences, count = splits.train.sentences, len(splits.train)
        texts = sentences.first(torch.arange(REMEMBERED) * count // REMEMBERED) if sentences else None
        self.generator.sentences.copy_(told(texts))

    # ---- the stages -----------------------------------------------------------------------------------------------

    def stage_at(self, progress: float) -> int:
        """Stage II does not become Stage I again where a training is made longer."""
        scheduled = 2 if self.doublings and progress >= self.config.first else 1
        return max(scheduled, self.generator.stage)

    def phase(self, progress: float) -> Phase:
        stage = self.stage_at(progress)
        begin, end = (0.0, self.config.first if self.doublings else 1.0) if stage == 1 else (self.config.first, 1.0)
        within = max(progress - begin, 0.0) / (end - begin)
        parts = self.config.rate_halvings + 1
        return Phase(
            stage=stage,
            halvings=self.doublings if stage == 1 else 0,
            rate=0.5 ** min(int(within * parts), parts - 1),
        )

    @property
    def opponent_now(self) -> MatchingDiscriminator:
        """The discriminator of the stage that is learning."""
        discriminator = self.discriminator[self.generator.stage - 1]
        assert isinstance(discriminator, MatchingDiscriminator)
        return discriminator

    # ---- a round --------------------------------------------------------------------------------------------------

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        self.generator.enter(self.stage_at(self.progress))
        real = next(batches)
        texts = told(real.texts)
        with torch.set_grad_enabled(self.config.reuse_fake):
            fake, divergence = self.generate(texts)
        yield self.discriminator_move(real, fake.detach())

        if not self.config.reuse_fake:
            fake, divergence = self.generate(texts)
        with frozen(self.discriminator):
            real_scores = self.opponent_now(real.images, texts) if self.objective.paired else None
            loss = self.objective.generator(real_scores, self.opponent_now(fake, texts))
        kl = divergence.mean()
        yield Move(self.generator, loss + value_at(self.config.kl, self.progress) * kl, {"kl": kl})

    def generate(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Images of the stage that is learning, and the divergences of what they were told."""
        return self.generator(self.draw_latents(len(texts), like=texts), texts)

    def discriminator_move(self, real: Batch, fake: Tensor) -> Move:
        texts, weights = told(real.texts), self.penalty_weights()
        features, real_scores, real_slopes = self.seen(real.images, texts, bool(weights["r1"]))
        wrong_scores = self.mismatched_scores(features, texts, real.kinds)
        _, fake_scores, fake_slopes = self.seen(fake, texts, bool(weights["r2"]))
        loss = self.told_apart(real_scores, wrong_scores, fake_scores)
        log = {"real score": real_scores.mean(), "fake score": fake_scores.mean()}
        if wrong_scores is not None:
            log["mismatched score"] = wrong_scores.mean()
        for name, slopes in (("r1", real_slopes), ("r2", fake_slopes)):
            if slopes is not None:
                log[name] = zero_centred_penalty(slopes)
                loss = loss + weights[name] * log[name]
        return Move(self.discriminator, loss, log)

    def told_apart(self, real: Tensor, wrong: Tensor | None, fake: Tensor) -> Tensor:
        """The objective of real images against generated ones and against those with a wrong sentence."""
        loss = self.objective.discriminator(real, fake)
        if wrong is None:
            return loss
        return torch.lerp(loss, self.objective.discriminator(real, wrong), self.config.mismatch)

    def seen(self, images: Tensor, texts: Tensor, slopes: bool) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features of images, their scores with these sentences, and the squared slopes of those if wanted.

        Real and generated images are seen one after the other, so that each have batch statistics of their own.
        """
        if not slopes:
            features = self.opponent_now.features(images)
            return features, self.opponent_now.match(features, texts), None
        kept: list[Tensor] = []

        def scored(images: Tensor, _: Tensor | None) -> Tensor:
            kept.append(self.opponent_now.features(images))
            return self.opponent_now.match(kept[0], texts)

        scores, squares = scores_and_squared_slopes(scored, images)
        return kept[0], scores, squares

    def mismatched_scores(self, features: Tensor, texts: Tensor, kinds: Tensor | None) -> Tensor | None:
        """Scores of the images with these features under sentences of others; None where there are none to tell."""
        partners = mismatched(known(kinds)) if self.config.mismatch else None
        return None if partners is None else self.opponent_now.match(features, texts[partners.to(texts.device)])

    def penalty_weights(self) -> dict[str, float]:
        """Each penalty's weight in this round, zero in the rounds a lazy interval leaves out."""
        due = self.config.penalty_interval if self.rounds % self.config.penalty_interval == 0 else 0
        return {name: due * value_at(getattr(self.config, name), self.progress) for name in ("r1", "r2")}

    # ---- painting -------------------------------------------------------------------------------------------------

    def paint(self, latents: Tensor, texts: Tensor) -> Tensor:
        """Images (n, channels, height, width) of sentences with vectors (n, dims), for latents (n, latent.size).

        While Stage I learns they are its images, enlarged.
        """
        images = self.generator(latents, texts).images
        return doubled(images, self.doublings) if self.generator.stage == 1 else images

    def painted_in_stages(self, latents: Tensor, texts: Tensor) -> tuple[Tensor, ...]:
        """What Stage I draws, at its own size, and what Stage II makes of it, where there is one."""
        small = self.generator.drawn(latents, texts).images
        return (small, self.paint(latents, texts)) if self.doublings else (small,)

    @property
    def begun(self) -> int:
        return self.generator.stage

    def remembered(self, latents: Tensor) -> Tensor:
        return self.generator.remembered(latents)

    def decode(self, latents: Tensor, labels: Tensor | None = None, texts: Tensor | None = None) -> Tensor:
        """Images for latents; where no sentence is said, of training sentences that the latents choose."""
        return self.paint(latents, self.remembered(latents) if texts is None else texts)

    def picture(self, batch: Batch, latents: Tensor) -> Tensor:
        """Images of the first sentences of test images."""
        texts = told(batch.texts)
        return self.paint(latents, texts[torch.arange(len(latents), device=texts.device) % len(texts)])

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Mean scores of held-out images with their sentences and with others', and of images of their sentences."""
        texts = told(batch.texts)
        images = F.avg_pool2d(batch.images, self.config.enlarge) if self.shrinks else batch.images
        features, real_scores, _ = self.seen(images, texts, slopes=False)
        fake, divergence = self.generate(texts)
        values = {"real score": real_scores.mean(), "fake score": self.opponent_now(fake, texts).mean()}
        if (wrong := self.mismatched_scores(features, texts, batch.kinds)) is not None:
            values["mismatched score"] = wrong.mean()
        return values | {"kl": divergence.mean()}

    @property
    def shrinks(self) -> bool:
        """Whether the stage that is learning works at less than the full size."""
        return self.generator.stage == 1 and self.doublings > 0


def told(texts: Tensor | None) -> Tensor:
    """The vectors of sentences, or a ValueError where nothing is said."""
    if texts is None:
        raise ValueError("texts: a game that paints from sentences needs a vector for each image, not None")
    return texts


def known(kinds: Tensor | None) -> Tensor:
    if kinds is None:
        raise ValueError(
            "kinds: a matching-aware discriminator needs to know which images may share a sentence, not None"
        )
    return kinds


def mismatched(kinds: Tensor) -> Tensor | None:
    """For each image another one of another kind, whose sentence is therefore wrong for it; drawn from torch's stream.

    As far as no kind has more than half of the images, every image is chosen once: images are laid out kind after kind, in
    a random order, and each is given the one that lies a random number of places further on, at least as many as the
    largest kind has and at most as many as all others have. Where one kind has more than half, its images share the
    others evenly.

    Args:
        kinds: int64 (n,).

    Returns:
        int64 (n,) on the CPU, places of the chosen images; None where there is one kind only.
    """
    _, kind, counts = kinds.cpu().unique(return_inverse=True, return_counts=True)
    n, most = len(kind), int(counts.max()) if len(kinds) else 0
    if n == most:
        return None
    shuffled = torch.randperm(n)
    order = shuffled[torch.randperm(len(counts))[kind[shuffled]].argsort(stable=True)]
    partners = torch.empty_like(order)
    if 2 * most <= n:
        partners[order] = order.roll(-int(torch.randint(most, n - most + 1, ())))
        return partners
    large = kind[order] == counts.argmax()
    many, few = order[large], order[~large]
    partners[many] = few[torch.arange(most) % len(few)]
    partners[few] = many[: len(few)]
    return partners
