"""What every network of image translation owes its games: gradients, determinism, a life without its data."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from cardigan.networks import (
    CoDisConfig,
    CoupledConfig,
    CoupledDiscriminatorConfig,
    CoVAEConfig,
    PatchConfig,
    ResNetConfig,
    TranslatorConfig,
    UNetConfig,
)

SIZE = (32, 32)
UNETS = {
    "unet": UNetConfig(width=4, max_width=8),
    "unet-instance": UNetConfig(width=4, max_width=8, normalisation="instance", upsampling="resize"),
    "unet-none": UNetConfig(width=4, max_width=8, normalisation="none", skips=False),
}
RESNETS = {
    "resnet": ResNetConfig(width=4, blocks=1),
    "resnet-batch": ResNetConfig(width=4, blocks=1, normalisation="batch", upsampling="resize"),
}
BUILDS = {
    **{name: lambda config=config: config.build(3, 3, SIZE) for name, config in (UNETS | RESNETS).items()},
    "patch": lambda: PatchConfig(width=4, max_width=8).build((3, *SIZE)),
    "patch-instance": lambda: PatchConfig(width=4, receptive_field=16, normalisation="instance").build((3, *SIZE)),
    "coupled": lambda: CoupledConfig(width=4, blocks=1).build((3, 3), SIZE),
    "coupled-apart": lambda: CoupledConfig(width=4, blocks=1, share=False).build((3, 3), SIZE),
    "coupled-discriminator": lambda: CoupledDiscriminatorConfig(width=4, max_width=8, depth=3).build((3, 3)),
    "covae": lambda: CoVAEConfig(width=4).build((3, 3)),
    "codis": lambda: CoDisConfig(width=4).build((3, 3), 5),
}


def outputs(network: nn.Module, name: str, images: Tensor) -> list[Tensor]:
    """All that a network makes of images, of both domains where there are two."""
    if name in ("covae", "coupled", "coupled-apart"):
        return [network(images, source, target) for source in (0, 1) for target in (0, 1)]
    if name == "coupled-discriminator":
        return [network(images, domain) for domain in (0, 1)]
    if name == "codis":
        return [output for domain in (0, 1) for output in network(images, domain)]
    return [network(images)]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", BUILDS)
def test_gradients_reach_everything_in_training(name, batch):
    torch.manual_seed(0)
    network = BUILDS[name]()
    if name == "covae" and batch == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            outputs(network, name, torch.randn(1, 3, *SIZE))
        return
    results = outputs(network, name, torch.randn(batch, 3, *SIZE))
    assert all(result.isfinite().all() for result in results)
    sum((result * torch.randn_like(result)).sum() for result in results).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("name", BUILDS)
def test_it_can_be_stored_and_read(name):
    torch.manual_seed(0)
    network = BUILDS[name]()
    images = torch.randn(3, 3, *SIZE)
    outputs(network, name, images)
    network.eval()
    before = outputs(network, name, images)
    with torch.device("meta"):
        clone = BUILDS[name]()
    clone.load_state_dict({key: value.clone() for key, value in network.state_dict().items()}, assign=True)
    assert not any(tensor.is_meta for tensor in [*clone.parameters(), *clone.buffers()])
    for ours, theirs in zip(outputs(clone.eval(), name, images), before, strict=True):
        assert torch.equal(ours, theirs)
    turned = outputs(network, name, images.contiguous(memory_format=torch.channels_last))
    for ours, theirs in zip(turned, before, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", BUILDS)
def test_under_autocast_it_is_the_same_to_bfloat16(name):
    torch.manual_seed(0)
    network = BUILDS[name]().eval()
    images = torch.randn(2, 3, *SIZE)
    exact = outputs(network, name, images)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = outputs(network, name, images)
    for ours, theirs in zip(coarse, exact, strict=True):
        assert (ours.float() - theirs).norm() < 0.05 * theirs.norm()


def test_names_tell_translators_apart():
    adapter = TypeAdapter(TranslatorConfig)
    for config in (UNETS | RESNETS).values():
        assert adapter.validate_python(config.model_dump()) == config
    with pytest.raises(ValidationError, match="'unet', 'resnet'"):
        adapter.validate_python({"name": "transformer"})
    for wrong in ({"name": "unet", "dropout": 1.0}, {"name": "resnet", "blocks": 0}, {"name": "unet", "skip": False}):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
