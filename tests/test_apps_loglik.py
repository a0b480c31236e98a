"""log p(x) by annealing, of decoders whose log p(x) is known otherwise."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cardigan.apps import loglik
from cardigan.apps.decoders import Density, GaussianNoise, OwnLikelihood, Shown, batched
from cardigan.apps.evaluate import divided, evaluate, evaluate_model, refuse_unknown
from cardigan.apps.loglik import SIMULATED, Sampler, Tuning, best_deviation, chosen, log_likelihood, notes, peak
from cardigan.apps.model import Model, load
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RecipeError, RunError, TheoryError
from cardigan.games.base import Generative, LatentConfig
from cardigan.games.vae import VAE
from cardigan.theory.likelihood import LinearGaussian
from small import play, small_splits, small_trainer

SIDE, LATENTS, SIGMA = 3, 2, 0.4


class Linear(Generative):
    """G(z) = W z + b, or + b[class]: with Gaussian noise all is known."""

    def __init__(self, distribution: str = "normal", latents: int = LATENTS, classes: int = 0) -> None:
        spec = DataSpec(channels=1, height=SIDE, width=SIDE, classes=tuple("abc"[:classes]))
        super().__init__(spec)
        stream = torch.Generator().manual_seed(0)
        self.latent = LatentConfig.model_validate({"size": latents, "distribution": distribution})
        self.conditional = classes > 0
        self.weights = torch.randn(SIDE * SIDE, latents, generator=stream)
        self.means = torch.randn(max(1, classes), SIDE * SIDE, generator=stream)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        means = self.means[0] if labels is None else self.means[labels]
        return (latents @ self.weights.T + means).view(-1, 1, SIDE, SIDE)

    def exact(self, of: int = 0) -> LinearGaussian:
        return LinearGaussian(self.weights.double(), self.means[of].double(), SIGMA)


def examples(game: Linear, n: int) -> Shown:
    labels = torch.arange(n) % len(game.means) if game.conditional else None
    stream = torch.Generator().manual_seed(1)
    noise = GaussianNoise(game, torch.tensor(SIGMA))
    return noise.simulate(torch.randn(n, game.latent.size, generator=stream), labels, stream)


def sampler(latents: int = LATENTS, steps: int = 300, chains: int = 16, seed: int = 0) -> Sampler:
    return Sampler(latents, steps, chains, torch.Generator().manual_seed(seed))


def test_a_linear_generator_between_its_bounds() -> None:
    game = Linear()
    shown = examples(game, 24)
    found = sampler().bounds(GaussianNoise(game, torch.tensor(SIGMA)), shown)
    exact = game.exact().log_prob(shown.images.flatten(1).double())
    assert (found.test - exact).mean().item() == pytest.approx(0, abs=0.15)
    assert len(found.lower) == len(found.upper) == loglik.SIMULATED
    error = ((found.upper - found.lower).std() / loglik.SIMULATED**0.5).item()
    assert -3 * error < found.gap < 0.3
    assert 0.5 < found.acceptance < 0.95
    assert found.rate > 0


def test_both_bounds_are_of_the_same_simulated_images() -> None:
    """And close on their exact log p(x)."""
    game, seen = Linear(), []

    class Spied(GaussianNoise):
        def simulate(self, latents: Tensor, labels: Tensor | None, stream: torch.Generator) -> Shown:
            seen.append(super().simulate(latents, labels, stream))
            return seen[-1]

    found = sampler().bounds(Spied(game, torch.tensor(SIGMA)), examples(game, 16))
    exact = game.exact().log_prob(seen[0].images.flatten(1).double())
    assert (found.lower - exact).mean().item() == pytest.approx(0, abs=0.15)
    assert (found.upper - exact).mean().item() == pytest.approx(0, abs=0.15)


def test_a_conditional_generator_is_asked_for_each_image_by_its_class() -> None:
    game = Linear(classes=3)
    shown = examples(game, 24)
    found = sampler().bounds(GaussianNoise(game, torch.tensor(SIGMA)), shown)
    x, labels = shown.images.flatten(1).double(), shown.labels
    assert labels is not None
    exact = torch.stack([game.exact(c).log_prob(x) for c in range(3)])[labels, torch.arange(24)]
    assert (found.test - exact).mean().item() == pytest.approx(0, abs=0.15)
    assert abs(found.gap) < 0.5


def by_quadrature(game: Linear, x: Tensor) -> Tensor:
    """log p(x) of one uniform latent: the mean of p(x|z) over a fine line from -1 to 1."""
    line = torch.linspace(-1, 1, 4001, dtype=torch.float64)[:, None, None].expand(-1, len(x), 1)
    values = game.exact().log_likelihood(x)(line)
    return torch.logsumexp(values, 0) - math.log(4001)


def test_uniform_latents_against_quadrature() -> None:
    game = Linear("uniform", latents=1)
    shown = examples(game, 24)
    found = sampler(1).bounds(GaussianNoise(game, torch.tensor(SIGMA)), shown)
    exact = by_quadrature(game, shown.images.flatten(1).double())
    assert (found.test - exact).mean().item() == pytest.approx(0, abs=0.15)
    assert abs(found.gap) < 0.3
    drawn = GaussianNoise(game, torch.tensor(1e-6)).simulate(torch.randn(5000, 1), None, torch.Generator())
    latents = ((drawn.images.flatten(1) - game.means[0]) @ game.weights / game.weights.square().sum()).flatten()
    assert latents.abs().max() <= 1 + 1e-4
    assert latents.var().item() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("chunk", [1, 5, 10_000])
def test_the_chunk_changes_nothing(chunk: int) -> None:
    game = Linear(classes=3)
    shown = examples(game, 7)
    density = GaussianNoise(game, torch.tensor(SIGMA)).density(shown)
    latents = torch.randn(4, 7, LATENTS, generator=torch.Generator().manual_seed(0), requires_grad=True)
    got = batched(density, SIDE * SIDE, chunk)(latents)
    rows = torch.arange(7).repeat(4)
    whole = density(latents.flatten(0, 1), rows).view(4, 7)
    torch.testing.assert_close(got, whole)
    weights = torch.randn(4, 7)
    slopes, expected = (torch.autograd.grad((weights * of).sum(), latents)[0] for of in (got, whole))
    torch.testing.assert_close(slopes, expected)


def test_the_bounds_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    game = Linear()
    found = []
    for numbers in (2**19, 5 * SIDE * SIDE):
        monkeypatch.setattr("cardigan.apps.decoders.CHUNK_NUMBERS", numbers)
        found.append(sampler(steps=20, chains=4).bounds(GaussianNoise(game, torch.tensor(SIGMA)), examples(game, 7)))
    for name in ("test", "lower", "upper"):
        torch.testing.assert_close(*(getattr(bounds, name) for bounds in found), rtol=0, atol=1e-3)


def test_no_chunk_is_larger_than_memory_allows() -> None:
    rows: list[int] = []

    def density(latents: Tensor, of: Tensor) -> Tensor:
        rows.append(len(of))
        return latents.sum(1)

    batched(density, 3 * 256 * 256)(torch.zeros(4, 2, 1))
    assert max(rows) * 3 * 256 * 256 <= 2**19
    rows.clear()
    batched(density, 2**30)(torch.zeros(2, 1, 1))
    assert rows == [1, 1]


def small_model(folder: Path, kind: str, **changes: object) -> Model:
    trainer = play(small_trainer(folder, kind, **changes), 3)
    trainer.deploy()
    return load(folder, "cpu")


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretised-logistic"])
def test_a_vae_simulates_from_its_own_likelihood(likelihood: str, tmp_path: Path) -> None:
    """Draws are compared with p(x|z) itself: its mean, its moments, its law of one pixel's levels."""
    model = small_model(tmp_path, "vae", game={"likelihood": likelihood})
    assert isinstance(model.game, VAE)
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(0)).expand(4000, 4)
    x = model.game.simulate(z, torch.Generator().manual_seed(1))
    mean = model.game.decode(z[:1])
    if likelihood == "bernoulli":
        assert set(x.unique().tolist()) == {-1.0, 1.0}
        torch.testing.assert_close(x.mean(0), mean[0], rtol=0, atol=0.08)
    elif likelihood == "gaussian":
        output = model.game.autoencoder.decoder(z[:1], None)
        location, log_scale = model.game.location_and_scale(output)
        scores = (x - location) / log_scale.exp()
        assert scores.mean().abs() < 0.01
        assert scores.std().item() == pytest.approx(1, abs=0.01)
    else:
        levels = ((x + 1) * 255 / 2).round()
        torch.testing.assert_close(x, levels * 2 / 255 - 1)
        pixel = levels[:, 0, 4, 4].long()
        grid = torch.linspace(-1, 1, 256)
        many = mean.expand(256, -1, -1, -1).clone()
        many[:, 0, 4, 4] = grid
        values = model.game.log_likelihood(many, z[:256])
        law = torch.softmax(values, 0).cumsum(0)  # over the levels of one pixel, the others fixed
        found = torch.bincount(pixel, minlength=256).cumsum(0) / len(pixel)
        assert (law - found).abs().max() < 0.03  # Kolmogorov and Smirnov's distance is about 0.02 at 5 %


def test_a_vae_is_measured_by_its_own_likelihood(tmp_path: Path) -> None:
    model = small_model(tmp_path, "vae")
    assert isinstance(model.game, VAE)
    decoder = OwnLikelihood(model.game)
    stream = torch.Generator().manual_seed(0)
    seen = decoder.observe(Shown(small_splits().test.images(torch.arange(4))), stream)
    assert set(seen.images.unique().tolist()) == {-1.0, 1.0}
    z = torch.randn(4, 4)
    density: Density = decoder.density(seen)
    torch.testing.assert_close(density(z, torch.arange(4)), model.game.log_likelihood(seen.images, z))


def test_the_bound_of_a_vae_is_above_its_elbo(tmp_path: Path) -> None:
    model = small_model(tmp_path, "vae")
    splits = small_splits()
    found = evaluate_model(model, splits, metrics=["iwae", "loglik"], samples=32, steps=100, chains=4)
    likelihood, iwae = found["log-likelihood"], found["iwae"]
    assert likelihood.value > iwae.low
    assert [result.metric for result in found.results] == ["iwae", "log-likelihood"]
    assert likelihood.protocol["likelihood"] == "bernoulli"
    assert "sigma" not in likelihood.protocol


def test_the_result_says_how_it_was_measured(tmp_path: Path) -> None:
    model, splits = small_model(tmp_path, "gan"), small_splits()
    found = evaluate_model(model, splits, metrics=["loglik"], samples=10, steps=20, chains=3, seed=2)
    (result,) = found.results
    assert (result.metric, result.better, result.floor) == ("log-likelihood", "higher", None)
    assert result.low < result.value < result.high
    entries = result.protocol
    assert (entries["chains"], entries["steps"], entries["leapfrogs"], entries["samples"]) == (3, 20, 5, 10)
    assert (entries["seed"], entries["sigma chosen on"]) == (2, "7 other test images")
    assert entries["bdmc gap"] == pytest.approx(entries["simulated upper"] - entries["simulated lower"], abs=1e-3)
    low, high = entries["bdmc gap interval"]
    assert low < entries["bdmc gap"] < high
    assert entries["sigma chosen by"] == {"steps": [20, 20], "chains": 1}
    assert 0 < entries["mean acceptance"] <= 1
    assert entries["chain steps per second"] > 0
    assert f"{entries['sigma']:.2g}" in result.meaning()
    assert f"{entries['bdmc gap']:.2f} apart" in result.meaning()
    again = evaluate_model(model, splits, metrics=["loglik"], samples=10, steps=20, chains=3, seed=2)
    assert again.results[0].value == result.value
    other = evaluate_model(model, splits, metrics=["loglik"], samples=10, steps=20, chains=3, seed=3)
    assert other.results[0].value != result.value


def test_bounds_far_apart_are_said_to_be() -> None:
    bounds = loglik.Bounds(torch.zeros(2), torch.zeros(2), torch.tensor([1.0, 3.0]), 0.6, 1.0)
    assert notes(bounds) == ["the bounds are 2.0 nats apart on simulated images: take more --steps"]
    assert notes(replace(bounds, upper=torch.tensor([0.1, 0.2]))) == []
    (crossed,) = notes(replace(bounds, upper=torch.tensor([-1.1, -1.0])))
    assert "cross by 1.1 nats" in crossed or "cross by 1.0 nats" in crossed
    (unknown,) = notes(replace(bounds, upper=torch.tensor([-1.0, 1.2])))
    assert "known to ± 2.2 nats only, of 2 simulated images" in unknown


def test_sigma_is_found_among_images_that_are_not_reported() -> None:
    game = Linear()
    found = best_deviation(game, examples(game, 16), sampler(), Tuning(fine=200))
    assert found.item() == pytest.approx(SIGMA, rel=0.15)
    test = small_splits().test
    reported, others = chosen(test, 16, 16, 0)
    assert (len(reported), len(others)) == (16, 16)
    assert not set(reported.tolist()) & set(others.tolist())
    assert not torch.equal(reported, chosen(test, 16, 16, 1)[0])
    everything, nothing = chosen(test, 500, 0, 0)
    assert (len(everything), len(nothing)) == (32, 0)
    assert torch.equal(reported, chosen(test, 16, 4, 0)[0]), "however many are needed for sigma"


def test_the_top_of_a_parabola_is_its_own() -> None:
    deviations = 2.0 ** (-torch.arange(8) / 2)
    values = -(deviations.log() - math.log(0.3)).square()
    assert peak(deviations, values).item() == pytest.approx(0.3, rel=1e-4)
    assert peak(deviations, -deviations) == deviations[-1]
    assert peak(deviations, deviations) == deviations[0]


def test_it_is_measured_only_where_it_is_named(tmp_path: Path) -> None:
    model = small_model(tmp_path, "vae")
    own, _ = divided(None, model)
    assert "loglik" not in own
    assert divided(["loglik", "fd"], model) == ([], ["fd"])
    refuse_unknown(["loglik"])
    with pytest.raises(RecipeError, match="add --metrics loglik"):
        evaluate(tmp_path, metrics=["fd"], steps=100)


def test_what_has_no_log_likelihood(tmp_path: Path) -> None:
    splits = small_splits()
    encodes = small_model(tmp_path / "a", "autoencoder")
    with pytest.raises(RunError, match="no prior"):
        evaluate_model(encodes, splits, metrics=["loglik"])
    (tmp_path / "pictures").mkdir()
    with pytest.raises(RecipeError, match="loglik is measured of a model"):
        evaluate(tmp_path / "pictures", tmp_path, metrics=["loglik"])
    samples = small_model(tmp_path / "b", "gan")
    with pytest.raises(TheoryError, match="at least 2 steps"):
        log_likelihood(samples, splits.test, images=2, steps=1, chains=1)
    with pytest.raises(DataError, match="at least 2 test images"):
        log_likelihood(samples, small_splits(count=3).test)
    foreign = small_splits().test
    foreign.spec = foreign.spec.model_copy(update={"classes": ("x", "y")})
    with pytest.raises(DataError, match="dim, bright"):
        log_likelihood(samples, foreign)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_images_are_simulated_however_few_are_measured(count: int) -> None:
    """And a class-conditional model's have their classes in turn."""
    game, seen = Linear(classes=3), []

    class Spied(GaussianNoise):
        def simulate(self, latents: Tensor, labels: Tensor | None, stream: torch.Generator) -> Shown:
            seen.append(labels)
            return super().simulate(latents, labels, stream)

    shown = examples(game, count)
    found = sampler(steps=5, chains=2).bounds(Spied(game, torch.tensor(SIGMA)), shown)
    assert (len(found.test), len(found.lower), len(found.upper)) == (count, SIMULATED, SIMULATED)
    assert seen[0].tolist() == [i % count % 3 for i in range(SIMULATED)]


def test_one_image_has_no_interval_and_too_few_are_told(tmp_path: Path) -> None:
    model, splits = small_model(tmp_path, "vae"), small_splits()
    found = evaluate_model(model, splits, metrics=["loglik"], samples=1, steps=5, chains=2)
    (result,) = found.results
    assert (result.low, result.high) == (-math.inf, math.inf)
    assert "mean of 1," in result.meaning()
    assert any("no interval" in note for note in found.notes)
    found = evaluate_model(model, splits, metrics=["loglik"], samples=10_000, steps=5, chains=2)
    assert f"log p(x) of 32 test images, not of 10000: {splits.test.name} has 32" in found.notes
    assert "mean of 32," in found.results[0].meaning()
    for count in (0, -4):
        with pytest.raises(DataError, match=f"at least 1 test image, not {count}"):
            evaluate_model(model, splits, metrics=["loglik"], samples=count)


@pytest.mark.parametrize("effort", [(12, 50, 4), (32, 1_000, 16), (32, 1_000, 1), (1, 2, 1), (355, 10_000, 64)])
def test_sigma_costs_at_most_about_as_much_as_the_measurement(effort: tuple[int, int, int]) -> None:
    images, steps, chains = effort
    tuning = Tuning.within(images, steps, chains)
    assert tuning.moves <= 2.1 * sampler(steps=steps, chains=chains).moves(images)
    assert tuning.coarse <= tuning.fine <= steps
    assert 4 <= tuning.images <= 16
    assert 1 <= tuning.chains <= min(4, chains)
    if steps >= 1_000 and chains >= 16:
        assert tuning == Tuning()


def test_a_density_says_of_what_it_is(tmp_path: Path) -> None:
    splits = small_splits()
    gaussian = small_model(tmp_path / "a", "vae", game={"likelihood": "gaussian"})
    found = evaluate_model(gaussian, splits, metrics=["elbo", "iwae", "mse", "loglik"], samples=2, steps=5, chains=2)
    told = {result.metric: "a density of pixels in [-1, 1]" in result.meaning() for result in found.results}
    assert told == {"elbo": True, "iwae": True, "mse": False, "log-likelihood": True}
    entries = found["log-likelihood"].protocol
    assert entries["density of"] == "pixels in [-1, 1]"
    assert entries["nats more of pixels in [0, 1]"] == pytest.approx(64 * math.log(2))
    binary = small_model(tmp_path / "b", "vae")
    found = evaluate_model(binary, splits, metrics=["elbo", "loglik"], samples=2, steps=5, chains=2)
    assert not any("density of" in result.protocol for result in found.results)
    noisy = evaluate_model(small_model(tmp_path / "c", "gan"), splits, metrics=["loglik"], steps=5, chains=2)
    assert "a density of pixels in [-1, 1]" in noisy.results[0].meaning()


def test_a_long_annealing_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model, splits = small_model(tmp_path, "vae"), small_splits()
    log_likelihood(model, splits.test, images=2, steps=5, chains=2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(loglik, "LONG", 0.0)
    log_likelihood(model, splits.test, images=2, steps=5, chains=2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "annealing: 5 steps of 2 chains for each of 2 test images, 1,700 decoder passes, about 0 min"
    )
