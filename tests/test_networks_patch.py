"""A patch discriminator's scores see patches of the size it says, and no more."""

import re
from itertools import pairwise

import pytest
import torch
from torch import nn

from cardigan.errors import RecipeError
from cardigan.networks.patch import HALVINGS, PatchConfig

FIELDS = list(HALVINGS)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("channels", "normalisation", "count"),
    [(3, "instance", 2_764_737), (6, "batch", 2_768_705), (3, "batch", 2_765_633)],
)
def test_parameter_counts(channels, normalisation, count):
    with torch.device("meta"):
        assert parameters(PatchConfig(normalisation=normalisation).build((channels, 256, 256))) == count


@pytest.mark.parametrize(("side", "scores"), [(256, 30), (128, 14), (70, 6), (24, 1)])
def test_scores(side, scores):
    with torch.device("meta"):
        network = PatchConfig(width=2, max_width=4).build((3, side, side))
        assert network(torch.empty(2, 3, side, side)).shape == (2, 1, scores, scores)


@pytest.mark.parametrize("field", FIELDS)
def test_receptive_field(field):
    torch.manual_seed(0)
    side = max(2 * field, 8)
    config = PatchConfig(width=1, max_width=1, receptive_field=field, normalisation="none")
    network = config.build((1, side, side)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(0.5, 1.5)  # no path through the layers cancels another
    image = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows, columns = image.grad[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() + 1 == field
    assert columns.max() - columns.min() + 1 == field
    assert len(rows) == field * field


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("normalisation", ["batch", "instance", "none"])
def test_it_is_the_published_stack(field, normalisation):
    torch.manual_seed(0)
    height, width = (PatchConfig.smallest(field) + extra for extra in (1, 6))  # of odd sides too
    ours = PatchConfig(width=3, max_width=8, receptive_field=field, normalisation=normalisation).build(
        (2, height, width)
    )
    ours.double()
    halvings = HALVINGS[field]
    widths = [2, 3, 6, 8, 8, 8, 8][: max(halvings, 1) + 2]
    layers: list[nn.Module] = []
    for level, (before, after) in enumerate(pairwise(widths)):
        kernel, stride, padding = (1, 1, 0) if field == 1 else (4, 2 if level < halvings else 1, 1)
        layers.append(nn.Conv2d(before, after, kernel, stride, padding, bias=not level or normalisation != "batch"))
        if level and normalisation != "none":
            layers.append(nn.BatchNorm2d(after) if normalisation == "batch" else nn.InstanceNorm2d(after))
        layers.append(nn.LeakyReLU(0.2))
    last = nn.Conv2d(widths[-1], 1, 1) if field == 1 else nn.Conv2d(widths[-1], 1, 4, 1, 1)
    theirs = nn.Sequential(*layers, last).double()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data = mine.data.clone()
    images = torch.randn(2, 2, height, width, dtype=torch.float64)
    results = []
    for network in (ours, theirs):
        x = images.clone().requires_grad_()
        scores = network(x)
        (scores * torch.linspace(-1, 1, scores.numel(), dtype=torch.float64).view_as(scores)).sum().backward()
        results.append([scores.detach(), x.grad, *(parameter.grad for parameter in network.parameters())])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("field", FIELDS[1:])
def test_images_without_a_score_are_refused_with_a_field_that_has_one(field):
    smallest = PatchConfig.smallest(field)
    config = PatchConfig(width=1, max_width=1, receptive_field=field)
    network = config.build((1, smallest, 2 * smallest))
    assert network(torch.rand(2, 1, smallest, 2 * smallest)).shape[2] == 1
    with pytest.raises(RecipeError, match=f"at least {smallest} x {smallest}, not {2 * smallest} x") as caught:
        config.build((1, smallest - 1, 2 * smallest))
    advised = int(re.search(r"receptive_field=(\d+)", str(caught.value)).group(1))
    PatchConfig(receptive_field=advised).build((1, smallest - 1, 2 * smallest))


@pytest.mark.parametrize("normalisation", ["batch", "instance", "none"])
def test_couples_batch_tells_whether_scores_depend_on_other_samples(normalisation):
    torch.manual_seed(0)
    network = PatchConfig(width=2, normalisation=normalisation).build((3, 32, 32)).double()
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    depends = not torch.allclose(network(images)[:1], network(images[:1]))
    assert depends == network.couples_batch == (normalisation == "batch")
    network.eval()
    torch.testing.assert_close(network(images)[:1], network(images[:1]))
