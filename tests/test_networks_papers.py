"""The networks are the papers': parameter counts, initialisations, spectral norms, exact resampling convolutions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cardigan.networks import (
    DCGANDiscriminatorConfig,
    DCGANGeneratorConfig,
    MLPDiscriminatorConfig,
    MLPGeneratorConfig,
    NormalInit,
    NormFreeDiscriminatorConfig,
    NormFreeGeneratorConfig,
    R3GANDiscriminatorConfig,
    R3GANGeneratorConfig,
    ResidualDiscriminatorConfig,
    ResidualGeneratorConfig,
    UniformInit,
    r3gan,
    spectral_norm,
)
from cardigan.networks.layers import ConditionalBatchNorm2d, ConvDown2d, Maxout, UpConv2d, centre, stages
from cardigan.networks.norm_free import Block


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_dcgan_parameter_counts():
    assert parameters(DCGANGeneratorConfig(width=64).build(100, (3, 64, 64))) == 3_576_704
    assert parameters(DCGANDiscriminatorConfig(width=64).build((3, 64, 64))) == 2_765_568


def test_sngan_cifar_parameter_counts():
    assert parameters(ResidualGeneratorConfig(width=256).build(128, (3, 32, 32))) == 4_276_739
    critic = ResidualDiscriminatorConfig(width=128, max_width=128, base=8, blocks=2)
    assert parameters(critic.build((3, 32, 32))) == 1_053_825


def test_dcgan_is_the_published_stack_of_transposed_convolutions():
    """The reference starts with a transposed convolution on a 1 x 1 map; ours is a matrix product."""
    network = DCGANGeneratorConfig(width=4).build(10, (3, 64, 64)).eval()
    linear = network.layers[0]
    first = nn.ConvTranspose2d(10, 32, 4, bias=False)
    first.weight.data = linear.weight.data.T.reshape(10, 4, 4, 32).permute(0, 3, 1, 2)
    latent = torch.randn(2, 10)
    start = first(latent[:, :, None, None])
    torch.testing.assert_close(network.layers[1](linear(latent)), start)
    torch.testing.assert_close(network.layers[2:](start), network(latent))
    assert [layer.kernel_size for layer in network.layers if isinstance(layer, nn.ConvTranspose2d)] == [(4, 4)] * 4


def test_dcgan_initialisation():
    network = DCGANDiscriminatorConfig(width=64).build((3, 64, 64))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.25)


def test_goodfellow_and_kingma():
    generator = MLPGeneratorConfig(widths=(1200, 1200), initialisation=UniformInit(bound=0.05)).build(100, (1, 28, 28))
    assert parameters(generator) == 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 784 + 784
    assert max(layer.weight.abs().max() for layer in generator.modules() if isinstance(layer, nn.Linear)) <= 0.05
    discriminator = MLPDiscriminatorConfig(
        widths=(240, 240), activation="maxout", input_dropout=0.2, dropout=0.5, initialisation=UniformInit(bound=0.005)
    ).build((1, 28, 28))
    assert parameters(discriminator) == 784 * 1200 + 1200 + 240 * 1200 + 1200 + 240 + 1
    assert [layer.p for layer in discriminator.modules() if isinstance(layer, nn.Dropout)] == [0.2, 0.5, 0.5]

    prior = NormalInit(std=0.01)
    encoder = MLPDiscriminatorConfig(widths=(500,), activation="tanh", initialisation=prior)
    decoder = MLPGeneratorConfig(widths=(500,), activation="tanh", initialisation=prior)
    assert parameters(encoder.build_encoder((1, 28, 28), 40)) == 784 * 500 + 500 + 500 * 40 + 40
    decoder = decoder.build(20, (1, 28, 28), squash=False)
    assert decoder.layers[0].weight.std().item() == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize(
    ("size", "base", "count"),
    [((28, 28), (7, 7), 2), ((64, 64), (4, 4), 4), ((100, 60), (7, 4), 4), ((8, 8), (4, 4), 1), ((33, 47), (5, 6), 3)],
)
def test_stages(size, base, count):
    plan = stages((1, *size))
    assert (plan.base, plan.count) == (base, count)
    assert plan.size[0] >= size[0]
    assert plan.size[1] >= size[1]


def test_centre_undoes_itself():
    x = torch.randn(2, 3, 5, 8)
    assert torch.equal(centre(centre(x, (8, 11)), (5, 8)), x)
    assert centre(x, (5, 8)) is x


def test_resampling_convolutions_are_exact():
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    up, down = UpConv2d(3, 5).double(), ConvDown2d(3, 5).double()
    slow_up = F.conv2d(F.interpolate(x, scale_factor=2), up.weight, up.bias, padding=1)
    slow_down = F.avg_pool2d(F.conv2d(x, down.weight, down.bias, padding=1), 2)
    torch.testing.assert_close(up(x), slow_up, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(down(x), slow_down, rtol=1e-12, atol=1e-12)


def test_maxout_is_the_maximum_of_its_pieces():
    layer, x = Maxout(4, 3, pieces=2), torch.randn(5, 4)
    affine = layer.linear(x).view(5, 3, 2)
    assert torch.equal(layer(x), torch.maximum(affine[..., 0], affine[..., 1]))


def test_conditional_batch_norm_applies_the_gain_and_bias_of_each_class():
    layer, x, labels = ConditionalBatchNorm2d(3, classes=2), torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 1, 0])
    normal = F.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(layer(x, labels), normal)
    with torch.no_grad():
        layer.gain.weight[1], layer.bias.weight[1] = 2.0, 3.0
    torch.testing.assert_close(layer(x, labels)[1], 2 * normal[1] + 3)
    torch.testing.assert_close(layer(x, labels)[0], normal[0])


def test_projection_head_adds_the_inner_product_with_the_class_vector():
    network = ResidualDiscriminatorConfig(width=4, normalisation="none").build((1, 8, 8), classes=3)
    x, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 2, 1, 2])
    features = network.features(x)
    expected = network.linear(features)[:, 0] + torch.einsum("nf,nf->n", network.embed.weight[labels], features)
    torch.testing.assert_close(network(x, labels), expected)


@pytest.mark.parametrize("config", [DCGANDiscriminatorConfig, ResidualDiscriminatorConfig])
def test_spectral_norm_of_every_layer_becomes_one(config):
    network = config(width=8, normalisation="spectral").build((3, 16, 16), classes=4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(7).add_(torch.randn_like(parameter), alpha=0.05)
    x, labels = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    for _ in range(100):
        network(x, labels)
    network.eval()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) >= 4
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_spectral_norm_iterates_in_training_only():
    layer = spectral_norm(nn.Linear(6, 4))
    x = torch.randn(3, 6)

    def buffers():
        return [buffer.clone() for buffer in layer.buffers()]

    with torch.no_grad():
        layer.parametrizations.weight.original.normal_()
    start = buffers()
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert all(map(torch.equal, buffers(), start))
    layer.train()(x)
    assert not any(map(torch.equal, buffers(), start))


def test_spectral_norm_gradient_is_that_of_the_exact_singular_value():
    """At convergence d sigma / d W = u v', so autograd through W / (u'Wv) equals that through W / ||W||_2."""
    weight = torch.randn(4, 6, dtype=torch.float64)
    layer = nn.Linear(6, 4, bias=False).double()
    layer.weight.data = weight.clone()
    spectral_norm(layer)
    for _ in range(500):
        layer(torch.zeros(1, 6, dtype=torch.float64))
    target = torch.randn(4, 6, dtype=torch.float64)
    (layer.eval().weight * target).sum().backward()
    exact = weight.clone().requires_grad_()
    (exact / torch.linalg.matrix_norm(exact, 2) * target).sum().backward()
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, exact.grad, rtol=1e-6, atol=1e-8)


def test_two_forwards_before_one_backward():
    network = ResidualDiscriminatorConfig(width=4).build((1, 8, 8))
    (network(torch.randn(2, 1, 8, 8)).mean() - network(torch.randn(2, 1, 8, 8)).mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.body.parameters())


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 64, 64), (4, 33, 47)])
@pytest.mark.parametrize("blocks", [1, 3])
def test_norm_free_networks_start_well_scaled(shape, blocks):
    generator = NormFreeGeneratorConfig(width=32, max_width=64, blocks=blocks).build(64, shape, squash=False)
    discriminator = NormFreeDiscriminatorConfig(width=32, max_width=64, blocks=blocks).build(shape)
    with torch.no_grad():
        images = generator(torch.randn(64, 64))
        scores = discriminator(images.tanh())
    assert 0.25 < images.std() < 1.2
    assert scores.abs().max() < 5
    assert scores.std() < 1.5


def test_norm_free_blocks_start_as_the_identity():
    network = NormFreeDiscriminatorConfig(width=32, blocks=2).build((1, 28, 28))
    blocks = [layer for layer in network.body if isinstance(layer, Block)]
    assert len(blocks) == 4
    for block in blocks:
        x = torch.randn(2, block.mix.in_channels, 8, 8)
        assert torch.equal(block(x), x)


def test_r3gan_blocks_are_as_published():
    """Width 768 inside 1536 with 96 groups: 768 x 1536 twice, 1536 x 16 x 9, and two biases of 1536."""
    block = r3gan.Block(768, group=16, depth=8)
    assert parameters(block) == 2 * 768 * 1536 + 1536 * 16 * 9 + 2 * 1536
    assert block.mix.groups == 96
    x = torch.randn(2, 768, 4, 4)
    assert torch.equal(block(x), x)
    gain = 2 / (1 + 0.2**2) * 8**-0.5  # He's for leaky ReLU, times L^(-1/4) in standard deviation
    assert block.expand.weight.detach().var() * 768 == pytest.approx(gain, rel=0.02)
    assert block.mix.weight.detach().var() * 16 * 9 == pytest.approx(gain, rel=0.02)


def test_r3gan_resampling_keeps_flat_images_and_its_two_ways_are_adjoint():
    up, down = r3gan.Resample(3, 3, up=True), r3gan.Resample(3, 3, up=False)
    flat = torch.ones(1, 3, 8, 8)
    torch.testing.assert_close(down(flat)[..., 1:-1, 1:-1], torch.ones(1, 3, 2, 2))
    torch.testing.assert_close(up(flat)[..., 1:-1, 1:-1], torch.ones(1, 3, 14, 14))
    coarse, fine = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 8, 10)
    torch.testing.assert_close((up(coarse) * fine).sum(), 4 * (coarse * down(fine)).sum(), rtol=1e-4, atol=1e-4)
    smooth = F.interpolate(coarse, scale_factor=2, mode="bilinear")[..., 1:-1, 1:-1]
    torch.testing.assert_close(up(coarse)[..., 1:-1, 1:-1], smooth)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64), (4, 33, 47)])
@pytest.mark.parametrize("blocks", [1, 3])
def test_r3gan_networks_start_well_scaled(shape, blocks):
    generator = R3GANGeneratorConfig(width=32, max_width=64, blocks=blocks).build(64, shape)
    discriminator = R3GANDiscriminatorConfig(width=32, max_width=64, blocks=blocks).build(shape)
    with torch.no_grad():
        images = generator(torch.randn(64, 64))
        scores = discriminator(images)
    assert 0.1 < images.std() < 1.2
    assert 1e-3 < scores.std() < 1.5
