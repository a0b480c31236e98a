"""Where the arithmetic happens, and how precisely."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from cardigan.errors import RecipeError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from malloc.h

Precision = Literal["auto", "float32", "bfloat16"]


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes CUDA, then Apple's GPU, then the CPU.

    Raises:
        RecipeError: where there is no such device, or not in this machine.
    """
    if name != "auto":
        return named_device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def named_device(name: str) -> torch.device:
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    kind, _, index = name.partition(":")
    if kind not in counts or not (index or "0").isdigit():
        raise RecipeError(f"unknown device {name!r}: choose auto, cpu, cuda, cuda:1 or mps")
    if int(index or 0) >= counts[kind]:
        raise RecipeError(f"this machine has no device {name}: use --device auto or --device cpu")
    return torch.device(name)


def has_fast_bfloat16(device: torch.device) -> bool:
    """True where bfloat16 arithmetic is in the hardware; elsewhere it is emulated and slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def keep_memory() -> None:
    """Let this process keep the memory of freed tensors for the next ones, where its C library is glibc.

    Left alone, glibc gives blocks of megabytes back to the system in every step and then waits for their pages to be
    mapped and zeroed again: 48,000 page faults and 8 % of a DCGAN step at 64 x 64. The process stays as large as it
    has once been.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_THRESHOLD, 32 << 20)  # the largest it allows
        libc.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)


@dataclass(frozen=True)
class Arithmetic:
    """Device, memory layout and autocast of one training."""

    device: torch.device
    bfloat16: bool
    channels_last: bool

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """bfloat16 for convolutions and matrix products; weights, losses and penalties stay float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            yield

    @contextmanager
    def products(self) -> Iterator[None]:
        """oneDNN's float32 matrix products where torch would take MKL's.

        On AMD processors they are 2 times as fast, a round of an MLP game 1.5 to 1.7 times, and as exact (4e-7). torch
        takes them at the precision "medium", at which a processor with AMX, or of ARM's, rounds to bfloat16: there
        nothing is changed.
        """
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        if self.device.type != "cpu" or not x86 or torch.cpu._is_amx_tile_supported():
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def place(self, module: nn.Module) -> nn.Module:
        module.to(self.device)
        for parameter in module.parameters():
            if parameter.dim() == 4:
                parameter.data = parameter.data.contiguous(memory_format=self.layout)
        return module


def choose_arithmetic(device: torch.device, precision: Precision, batch: int, module: nn.Module) -> Arithmetic:
    """Channels-last and bfloat16 where they pay: convolutions on batches, on hardware that has them.

    On a CPU with AVX-512 BF16 they take a DCGAN step at 64x64 to under half its time; matrix products as small as
    an MLP's lose more to the casts than they gain.
    """
    convolutional = any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in module.modules())
    bfloat16 = precision == "bfloat16" or (precision == "auto" and convolutional and has_fast_bfloat16(device))
    return Arithmetic(device, bfloat16, channels_last=convolutional and batch >= 8 and device.type != "mps")
