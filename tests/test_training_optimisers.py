"""torch's fused Adam reads weights, gradients and moments in the order of memory: they have to lie alike."""

from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn, optim

from cardigan.training.optimisers import AdamConfig, load_moments
from small import play, small_trainer, weights

CONVOLUTIONS = {
    "generator": {"name": "dcgan", "width": 8},
    "discriminator": {"name": "dcgan", "width": 8},
}


def test_adam_in_channels_last_is_the_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With eps = 1, Adam does not blow up the rounding of small gradients."""
    adam = {name: {"name": "adam", "lr": 0.01, "eps": 1.0} for name in ("generator", "discriminator")}
    changes = {"game": CONVOLUTIONS, "batch": 16, "precision": "float32", "optimiser": adam}
    fused = play(small_trainer(tmp_path / "fused", "gan", **changes), 3)
    assert fused.arithmetic.channels_last
    monkeypatch.setattr(optim, "AdamW", partial(loop, optim.AdamW))
    plain = play(small_trainer(tmp_path / "plain", "gan", **changes), 3)
    for (name, expected), actual in zip(weights(plain).items(), weights(fused).values(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6, msg=name)


def loop(kind: type[optim.Optimizer], *args: object, **settings: object) -> optim.Optimizer:
    return kind(*args, **{**settings, "fused": False})


@pytest.mark.parametrize("saved", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("resumed", [torch.contiguous_format, torch.channels_last])
def test_moments_follow_the_layout_of_their_weights(saved: torch.memory_format, resumed: torch.memory_format) -> None:
    torch.manual_seed(0)
    weight, first, second = torch.randn(3, 8, 6, 4, 4).unbind()

    def optimiser(layout: torch.memory_format) -> optim.Optimizer:
        return AdamConfig(lr=0.1, beta1=0.5).build([nn.Parameter(weight.clone(memory_format=layout))])

    def step(player: optim.Optimizer, gradient: torch.Tensor) -> torch.Tensor:
        parameter = player.param_groups[0]["params"][0]
        parameter.grad = torch.empty_like(parameter).copy_(gradient)
        player.step()
        return parameter.detach()

    whole = optimiser(torch.contiguous_format)
    step(whole, first)
    expected = step(whole, second)

    before, after = optimiser(saved), optimiser(resumed)
    after.param_groups[0]["params"][0].data.copy_(step(before, first))
    load_moments(after, before.state_dict()["state"])
    torch.testing.assert_close(step(after, second), expected)


def test_decays_are_scheduled_as_rates_are() -> None:
    config = AdamConfig(
        lr={"start": 1e-3, "end": 0.0, "shape": "linear"}, beta2={"start": 0.9, "end": 0.99, "shape": "linear"}
    )
    optimiser = config.build([torch.nn.Parameter(torch.ones(2))])
    config.follow(optimiser, 0.5, factor=0.5)
    (group,) = optimiser.param_groups
    assert group["lr"] == pytest.approx(2.5e-4)
    assert group["betas"] == (0.0, pytest.approx(0.945))
    with pytest.raises(ValidationError, match="below 1"):
        AdamConfig(beta2={"start": 0.9, "end": 1.0})
    with pytest.raises(ValidationError, match="below 1"):
        AdamConfig(beta2=1.0)
