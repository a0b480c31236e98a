"""UNIT's networks share parameters, not copies of them."""

import pytest
import torch
from torch import nn

from cardigan.errors import RecipeError
from cardigan.networks.coupled import CoupledConfig, CoupledDiscriminatorConfig

SMALL = {"width": 2, "blocks": 1}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 3, 16, 20, dtype=torch.float64), torch.randn(3, 1, 16, 20, dtype=torch.float64)


def test_parameter_counts():
    with torch.device("meta"):
        network = CoupledConfig().build((3, 3), (128, 128))
        judge = CoupledDiscriminatorConfig().build((3, 3))
        apart = CoupledConfig(share=False).build((3, 3), (128, 128))
    assert parameters(network) == 18_017_286
    assert [parameters(encoder) for encoder in network.encoders] == [3_918_976] * 2
    assert parameters(network.enter) + parameters(network.leave) == 2_360_320
    assert [parameters(decoder) for decoder in network.decoders] == [3_909_507] * 2
    assert parameters(apart) == 18_017_286 + 2_360_320
    assert parameters(judge) == 25_240_065
    assert judge(torch.empty(2, 3, 128, 128, device="meta"), 0).shape == (2, 1, 2, 2)


def test_encoder_and_decoder_are_the_published_layers(pair):
    network = CoupledConfig(**SMALL, shared_encoder=2).build((3, 1), (16, 20)).double().eval()

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Conv2d(8, 8, 3, padding=1),
                nn.InstanceNorm2d(8),
                nn.ReLU(),
                nn.Conv2d(8, 8, 3, padding=1),
                nn.InstanceNorm2d(8),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.layers(x)

    encoder = nn.Sequential(
        *(nn.Conv2d(3, 2, 7, padding=3), nn.LeakyReLU(0.01)),
        *(nn.Conv2d(2, 4, 3, 2, 1), nn.LeakyReLU(0.01)),
        *(nn.Conv2d(4, 8, 3, 2, 1), nn.LeakyReLU(0.01)),
        *(Block() for _ in range(3)),
    ).double()
    decoder = nn.Sequential(
        *(Block() for _ in range(2)),
        *(nn.ConvTranspose2d(8, 4, 3, 2, 1, 1), nn.LeakyReLU(0.01)),
        *(nn.ConvTranspose2d(4, 2, 3, 2, 1, 1), nn.LeakyReLU(0.01)),
        *(nn.ConvTranspose2d(2, 1, 1), nn.Tanh()),
    ).double()
    ours = [*network.encoders[0].parameters(), *network.enter.parameters()]
    for mine, other in zip(ours, encoder.parameters(), strict=True):
        other.data = mine.data.clone()
    ours = [*network.leave.parameters(), *network.decoders[1].parameters()]
    for mine, other in zip(ours, decoder.parameters(), strict=True):
        other.data = mine.data.clone().view_as(other)
    code = network.encode(pair[0], 0)
    torch.testing.assert_close(code, encoder(pair[0]))
    torch.testing.assert_close(network.decode(code, 1), decoder(code))
    torch.testing.assert_close(network(pair[0], 0, 1), decoder(encoder(pair[0])))


def moved_by(network: nn.Module, loss: torch.Tensor) -> set[str]:
    names, tensors = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


def test_both_domains_move_the_same_shared_parameters(pair):
    network = CoupledConfig(**SMALL).build((3, 1), (16, 20)).double()
    first, second = (moved_by(network, network(images, d, d).sum()) for d, images in enumerate(pair))
    assert {name.split(".")[0] for name in first & second} == {"enter", "leave"}
    assert first | second == {name for name, _ in network.named_parameters()}
    assert first & second == {name for name in first | second if name.startswith(("enter", "leave"))}
    places = [tensor.data_ptr() for tensor in network.state_dict().values()]
    assert len(places) == len(set(places))


def test_without_sharing_nothing_is_common(pair):
    network = CoupledConfig(**SMALL, share=False).build((3, 1), (16, 20)).double()
    first, second = (moved_by(network, network(images, d, d).sum()) for d, images in enumerate(pair))
    assert not first & second
    assert first | second == {name for name, _ in network.named_parameters()}
    crossed = moved_by(network, network(pair[0], 0, 1).sum())
    assert {name[:9] for name in crossed} == {
        "encoders.",
        "enter.0.0",
        "leave.1.0",
        "decoders.",
    }  # own code in, the other's out


@pytest.mark.parametrize("share", [True, False])
def test_all_ways_are_those_taken_one_by_one(share, pair):
    network = CoupledConfig(**SMALL, share=share).build((3, 1), (16, 20)).double().eval()
    ways = network.all_ways(*pair)
    torch.testing.assert_close(ways.codes, torch.cat([network.encode(images, d) for d, images in enumerate(pair)]))
    torch.testing.assert_close(ways.a_to_a, network(pair[0], 0, 0))
    torch.testing.assert_close(ways.b_to_a, network(pair[1], 1, 0))
    torch.testing.assert_close(ways.a_to_b, network(pair[0], 0, 1))
    torch.testing.assert_close(ways.b_to_b, network(pair[1], 1, 1))
    assert [way.shape[:2] for way in ways[1:]] == [(2, 3), (3, 3), (2, 1), (3, 1)]


def test_the_code_is_drawn_with_unit_variance_in_training_only():
    network = CoupledConfig(**SMALL).build((3, 3), (64, 64))
    mean = torch.full((4, 8, 32, 32), 5.0)
    noise = network.drawn(mean) - mean
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    images = torch.randn(1, 3, 64, 64)
    assert not torch.allclose(network(images, 0, 1), network(images, 0, 1))
    torch.manual_seed(3)
    ways = network.all_ways(images, images)
    torch.manual_seed(3)
    drawn = ways.codes + torch.randn_like(ways.codes)
    torch.testing.assert_close(ways.a_to_b, network.decode(drawn[:1], 1))
    torch.testing.assert_close(ways.a_to_a, network.decode(drawn[:1], 0))
    network.eval()
    assert torch.equal(network.drawn(mean), mean)
    assert torch.equal(network(images, 0, 1), network(images, 0, 1))


def test_free_counts_of_shared_blocks():
    none = CoupledConfig(**SMALL, shared_encoder=0, shared_decoder=0).build((3, 3), (16, 16))
    more = CoupledConfig(**SMALL, shared_encoder=2, shared_decoder=3).build((3, 3), (16, 16))
    block = 2 * (8 * 8 * 9 + 8)
    assert parameters(more) - parameters(none) == 5 * block
    assert none(torch.randn(1, 3, 16, 16), 1, 0).shape == (1, 3, 16, 16)


def test_sizes_are_multiples_of_four():
    with pytest.raises(RecipeError, match=r"UNIT's translator .* 30 x 17 pixels .*data.size=\[16,32\]"):
        CoupledConfig(**SMALL).build((3, 3), (17, 30))


@pytest.mark.parametrize("share", [True, False])
def test_discriminator(share, pair):
    network = CoupledDiscriminatorConfig(width=2, max_width=8, depth=4, share=share).build((3, 1)).double()
    plain = nn.Sequential(
        *(nn.Conv2d(1, 2, 7, 2, 3), nn.LeakyReLU(0.01)),
        *(nn.Conv2d(2, 4, 3, 2, 1), nn.LeakyReLU(0.01)),
        *(nn.Conv2d(4, 8, 3, 2, 1), nn.LeakyReLU(0.01)),
        *(nn.Conv2d(8, 8, 3, 2, 1), nn.LeakyReLU(0.01)),
        nn.Conv2d(8, 1, 1),
    ).double()
    ours = [*network.own[1].parameters(), *network.deep[-1].parameters()]
    for mine, other in zip(ours, plain.parameters(), strict=True):
        other.data = mine.data.clone()
    torch.testing.assert_close(network(pair[1], 1), plain(pair[1]))
    first, second = (moved_by(network, network(images, d).sum()) for d, images in enumerate(pair))
    common = {name for name, _ in network.named_parameters() if name.startswith("deep")} if share else set()
    assert first & second == common


def test_the_shallowest_discriminator_shares_its_last_layer_only():
    network = CoupledDiscriminatorConfig(width=2, depth=2).build((3, 3))
    assert network(torch.randn(2, 3, 8, 12), 1).shape == (2, 1, 2, 3)
