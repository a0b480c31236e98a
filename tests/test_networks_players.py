"""What every network owes the games: shapes, gradients, determinism, independence, a life without its data."""

import copy
from itertools import product

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from cardigan.errors import RecipeError
from cardigan.networks import (
    DCGANDiscriminatorConfig,
    DCGANGeneratorConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    MLPDiscriminatorConfig,
    MLPGeneratorConfig,
    NormFreeDiscriminatorConfig,
    NormFreeGeneratorConfig,
    R3GANDiscriminatorConfig,
    R3GANGeneratorConfig,
    ResidualDiscriminatorConfig,
    ResidualGeneratorConfig,
    UniformInit,
)

LATENT = 6
SHAPES = [(1, 28, 28), (3, 64, 64), (4, 33, 47), (1, 8, 8), (3, 32, 20)]
POINT = (2, 1, 1)

GENERATORS = {
    "mlp": MLPGeneratorConfig(widths=(16, 8)),
    "mlp-batch": MLPGeneratorConfig(widths=(16, 8), normalisation="batch", activation="silu"),
    "mlp-maxout": MLPGeneratorConfig(widths=(8,), activation="maxout", pieces=3),
    "mlp-linear": MLPGeneratorConfig(widths=()),
    "dcgan": DCGANGeneratorConfig(width=4),
    "dcgan-none": DCGANGeneratorConfig(width=4, normalisation="none"),
    "residual": ResidualGeneratorConfig(width=4, max_width=8),
    "norm-free": NormFreeGeneratorConfig(width=4, max_width=8, blocks=2, dense=16),
    "norm-free-plain": NormFreeGeneratorConfig(width=4, max_width=8, blocks=0, dense=16),
    "norm-free-fine": NormFreeGeneratorConfig(width=4, max_width=8, fine=3, dense=16),
    "r3gan": R3GANGeneratorConfig(width=4, max_width=8, blocks=2, group=4),
}
LINEAR = {"r3gan"}
"""Networks whose images are not squashed, as in their papers."""
DISCRIMINATORS = {
    "mlp": MLPDiscriminatorConfig(widths=(16, 8)),
    "mlp-goodfellow": MLPDiscriminatorConfig(widths=(8, 8), activation="maxout", initialisation=UniformInit(bound=0.5)),
    "mlp-spectral": MLPDiscriminatorConfig(widths=(16, 8), normalisation="spectral"),
    "mlp-linear": MLPDiscriminatorConfig(widths=()),
    **{
        f"dcgan-{normalisation}": DCGANDiscriminatorConfig(width=4, normalisation=normalisation)
        for normalisation in ("batch", "none", "spectral", "layer")
    },
    **{
        f"residual-{normalisation}": ResidualDiscriminatorConfig(width=4, max_width=8, normalisation=normalisation)
        for normalisation in ("none", "spectral", "layer")
    },
    "residual-deep": ResidualDiscriminatorConfig(width=4, max_width=4, base=8, blocks=2),
    "norm-free": NormFreeDiscriminatorConfig(width=4, max_width=8, blocks=2, dense=16),
    "norm-free-plain": NormFreeDiscriminatorConfig(width=4, max_width=8, blocks=0, dense=16),
    "norm-free-fine": NormFreeDiscriminatorConfig(width=4, max_width=8, fine=3, dense=16),
    "r3gan": R3GANDiscriminatorConfig(width=4, max_width=8, blocks=2, group=4),
}


def cases(networks):
    """Every network at every shape, points only where the network has no convolutions."""
    pairs = [*product(networks, SHAPES), *((name, POINT) for name in networks if name.startswith("mlp"))]
    return [pytest.param(networks[name], shape, id=f"{name}-{'x'.join(map(str, shape))}") for name, shape in pairs]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def perturbed(network: nn.Module, std: float = 0.1) -> nn.Module:
    """A network with no zeros left from its initialisation, as after some training."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=std)
    return network


def images(shape, batch=3):
    return torch.rand(batch, *shape) * 2 - 1


def labels_for(classes, batch=3):
    return torch.arange(batch) % classes if classes else None


def assert_gradients_reach_everything(network):
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def round_trip_through_meta(config_build, network):
    with torch.device("meta"):
        empty = config_build()
    empty.load_state_dict({name: tensor.clone() for name, tensor in network.state_dict().items()}, assign=True)
    assert not any(tensor.is_meta for tensor in [*empty.parameters(), *empty.buffers()])
    return empty


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize(("config", "shape"), cases(GENERATORS))
def test_generator(config, shape, classes):
    network = perturbed(config.build(LATENT, shape, classes))
    latent, labels = torch.randn(3, LATENT), labels_for(classes)
    output = network(latent, labels)
    assert output.shape == (3, *shape)
    assert output.isfinite().all()
    assert output.abs().max() <= 1 or config.name in LINEAR
    # A gradient of the mean alone would vanish through batch normalisation.
    (output * torch.randn_like(output)).sum().backward()
    assert_gradients_reach_everything(network)

    network.eval()
    before = network(latent, labels)
    clone = round_trip_through_meta(lambda: config.build(LATENT, shape, classes), network).eval()
    assert torch.equal(clone(latent, labels), before)
    if classes:
        assert not torch.allclose(network(latent, (labels + 1) % classes), before)


@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize(("config", "shape"), cases(DISCRIMINATORS))
def test_discriminator(config, shape, classes):
    network = perturbed(config.build(shape, classes))
    x, labels = images(shape), labels_for(classes)
    scores = network(x, labels)
    assert scores.shape == (3,)
    assert scores.isfinite().all()
    (scores * torch.randn(3)).sum().backward()
    assert_gradients_reach_everything(network)

    network.eval()
    before = network(x, labels)
    features = network.features(x)
    assert features.ndim == 2
    assert len(features) == 3
    clone = round_trip_through_meta(lambda: config.build(shape, classes), network).eval()
    assert torch.equal(clone(x, labels), before)
    turned = network(x.to(memory_format=torch.channels_last), labels)
    torch.testing.assert_close(turned, before, rtol=1e-4, atol=1e-5)
    if classes:
        assert not torch.allclose(network(x, (labels + 1) % classes), before)


@pytest.mark.parametrize(("config", "shape"), cases(DISCRIMINATORS))
def test_encoder(config, shape):
    network = perturbed(config.build_encoder(shape, 7))
    x = images(shape)
    codes = network(x)
    assert codes.shape == (3, 7)
    (codes * torch.randn(3, 7)).sum().backward()
    assert_gradients_reach_everything(network)
    clone = round_trip_through_meta(lambda: config.build_encoder(shape, 7), network)
    assert torch.equal(clone.eval()(x), network.eval()(x))


@pytest.mark.parametrize("name", GENERATORS)
def test_channels_last_generator_gives_the_same_images(name):
    network = perturbed(GENERATORS[name].build(LATENT, (3, 32, 20))).eval()
    latent = torch.randn(3, LATENT)
    before = network(latent)
    turned = network.to(memory_format=torch.channels_last)(latent)
    torch.testing.assert_close(turned, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GENERATORS)
def test_linear_generators_are_not_bounded(name):
    network = perturbed(GENERATORS[name].build(LATENT, (3, 8, 8), squash=False), std=1.0)
    assert network(10 * torch.randn(8, LATENT)).abs().max() > 1


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_couples_batch_tells_whether_scores_depend_on_other_samples(name):
    network = perturbed(DISCRIMINATORS[name].build((1, 16, 20)))
    x = images((1, 16, 20), batch=6)
    # One more training forward moves spectral normalisation's vectors: they must not explain a difference.
    for module in network.modules():
        module.train(isinstance(module, nn.BatchNorm2d))
    depends = not torch.allclose(network(x)[:3], network(x[:3]), rtol=1e-4, atol=1e-5)
    assert depends == network.couples_batch
    assert network.couples_batch == (name == "dcgan-batch")


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_r1_gradient_agrees_with_finite_differences(name):
    network = perturbed(DISCRIMINATORS[name].build((1, 8, 8), classes=2), std=0.02).double().eval()
    x, labels = images((1, 8, 8), batch=2).double(), torch.tensor([0, 1])

    def r1() -> torch.Tensor:
        real = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(real, labels).sum(), real, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()

    parameters = list(network.parameters())
    gradients = torch.autograd.grad(r1(), parameters, allow_unused=True)
    assert any(gradient is not None for gradient in gradients)
    directions = [torch.randn_like(parameter) for parameter in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None)

    def moved(step: float) -> torch.Tensor:
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(direction, alpha=step)
        value = r1().detach()
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.sub_(direction, alpha=step)
        return value

    step = 1e-7
    torch.testing.assert_close((moved(step) - moved(-step)) / (2 * step), slope, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_copies_are_equal_and_apart(name):
    network = DISCRIMINATORS[name].build((1, 8, 8)).eval()
    clone = copy.deepcopy(network)
    x = images((1, 8, 8))
    before = network(x)
    assert torch.equal(clone(x), before)
    perturbed(clone)
    assert torch.equal(network(x), before)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("generator", DCGANGeneratorConfig()),
        ("generator", ResidualGeneratorConfig()),
        ("generator", NormFreeGeneratorConfig()),
        ("generator", R3GANGeneratorConfig()),
        ("discriminator", DCGANDiscriminatorConfig()),
        ("discriminator", ResidualDiscriminatorConfig()),
        ("discriminator", NormFreeDiscriminatorConfig()),
        ("discriminator", R3GANDiscriminatorConfig()),
    ],
)
def test_convolutions_refuse_points(kind, config):
    with pytest.raises(RecipeError, match="at least 8 x 8 pixels, not 1 x 1"):
        config.build(LATENT, POINT) if kind == "generator" else config.build(POINT)


def test_channels_that_do_not_fill_groups_are_refused():
    with pytest.raises(RecipeError, match="2 x 5 channels cannot be put into groups of 4: .* multiples of 2"):
        R3GANGeneratorConfig(width=5, group=4).build(LATENT, (1, 8, 8))


def test_conditional_networks_ask_for_labels():
    with pytest.raises(ValueError, match="one label per sample"):
        MLPGeneratorConfig().build(LATENT, POINT, classes=2)(torch.randn(3, LATENT))
    with pytest.raises(ValueError, match="one label per sample"):
        ResidualGeneratorConfig(width=4).build(LATENT, (1, 8, 8), classes=2)(torch.randn(3, LATENT))
    with pytest.raises(ValueError, match="one label per sample"):
        MLPDiscriminatorConfig().build(POINT, classes=2)(torch.randn(3, *POINT))


def test_settings_are_chosen_by_name():
    generator = TypeAdapter(GeneratorConfig).validate_python({"name": "norm-free", "width": 32})
    assert generator == NormFreeGeneratorConfig(width=32)
    discriminator = TypeAdapter(DiscriminatorConfig).validate_python(
        {
            "name": "mlp",
            "widths": [240, 240],
            "activation": "maxout",
            "initialisation": {"name": "uniform", "bound": 0.005},
        }
    )
    assert discriminator == MLPDiscriminatorConfig(
        widths=(240, 240), activation="maxout", initialisation=UniformInit(bound=0.005)
    )
    with pytest.raises(ValidationError):
        TypeAdapter(GeneratorConfig).validate_python({"name": "dcgan", "depth": 3})
