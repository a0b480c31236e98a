"""One DCGAN step at 3x64x64, batch 64, 64 channels: a plain training loop against Cardigan, step about.

Each candidate has a process of its own, for a training changes how its process keeps memory; they take turns.

The plain loop does what the public PyTorch tutorial does: contiguous float32, one backward pass for the loss on real
and one for the loss on generated images, gradients of the discriminator also in the generator's step, Adam's loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # has to be said before torch is imported

import torch
from torch import Tensor, nn, optim

from cardigan.data import Dataset, Splits
from cardigan.data.spec import DataSpec
from cardigan.training.recipe import build_recipe, merge, recipe_table
from cardigan.training.trainer import Trainer
from common import Results, Row, new_trainer, options, table
from turns import interleaved

LATENT, BATCH = 100, 64
TARGETS = {"Cardigan, float32": 1.3, "Cardigan, bfloat16": 2.1}


def generator(width: int = 64, channels: int = 3) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = LATENT
    for factor, stride, padding in ((8, 1, 0), (4, 2, 1), (2, 2, 1), (1, 2, 1)):
        outputs = factor * width
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.ReLU(True))
        inputs = outputs
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(width: int = 64, channels: int = 3) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for factor in (1, 2, 4):
        inputs, outputs = factor * width, 2 * factor * width
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0))


class Plain:
    """Both networks, their optimisers, and one step of the plain loop."""

    def __init__(self, width: int = 64) -> None:
        self.generator, self.discriminator = generator(width), discriminator(width)
        for layer in (*self.generator, *self.discriminator):
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0.0, 0.02)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, 0.02)
        self.optimisers = [
            optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999), foreach=False, fused=False)
            for net in (self.discriminator, self.generator)
        ]
        self.loss = nn.BCELoss()

    def step(self, real: Tensor, latents: Tensor) -> tuple[float, float]:
        """Losses of the discriminator (summed) and of the generator; both players move."""
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        self.discriminator.zero_grad()
        on_real = self.loss(self.discriminator(real), ones)
        on_real.backward()
        fake = self.generator(latents.view(-1, LATENT, 1, 1))
        on_fake = self.loss(self.discriminator(fake.detach()), zeros)
        on_fake.backward()
        self.optimisers[0].step()
        self.generator.zero_grad()
        fooled = self.loss(self.discriminator(fake), ones)
        fooled.backward()
        self.optimisers[1].step()
        return (on_real + on_fake).item(), fooled.item()


def noise_images(count: int = 512, size: int = 64) -> Splits:
    """Random images in memory: the arithmetic does not look at them."""
    spec = DataSpec(channels=3, height=size, width=size)
    pixels = torch.randint(0, 256, (count, *spec.shape), dtype=torch.uint8)
    train, test = (Dataset("noise", split, spec, pixels, "noise") for split in ("train", "test"))
    return Splits(train, test)


def cardigan(splits: Splits, precision: str) -> Trainer:
    changes = {"batch": BATCH, "precision": precision, "images": 10**9}
    return new_trainer(build_recipe(merge(recipe_table("dcgan"), changes)), splits, "noise")


def plain_step() -> Callable[[], object]:
    plain, images = Plain(), noise_images().train.images(torch.arange(BATCH))
    return lambda: plain.step(images, torch.randn(BATCH, LATENT))


def float32_step() -> Callable[[], object]:
    return cardigan(noise_images(), "float32").play_round


def bfloat16_step() -> Callable[[], object]:
    return cardigan(noise_images(), "bfloat16").play_round


CANDIDATES = {
    "plain loop, float32": plain_step,
    "Cardigan, float32": float32_step,
    "Cardigan, bfloat16": bfloat16_step,
}


def summary(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        target = f"≥ {TARGETS[row['label']]}" if row["label"] in TARGETS else ""
        lines.append([row["label"], *(f"{row[key]:.3f}" for key in ("median", "least")), f"{row['ratio']:.2f}", target])
    return table(["candidate", "CPU s a step, median", "least", "times the plain loop", "target"], lines)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=12)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seconds = interleaved(CANDIDATES, args.threads, args.steps)
    base = next(iter(seconds.values()))
    rows = []
    for label, each in seconds.items():
        ratio = median(one / other for one, other in zip(base, each, strict=True))
        rows.append(
            {"label": label, "threads": args.threads, "median": median(each), "least": min(each), "ratio": ratio}
        )
    results = Results(args.results, "speed_dcgan")
    results.append_all(rows)
    results.publish(f"DCGAN step, {args.threads} thread(s), {args.steps} interleaved steps", summary(rows))


if __name__ == "__main__":
    main()
