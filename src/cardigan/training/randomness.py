"""Randomness is addressed, not consumed: every draw is a function of what it is for."""

from __future__ import annotations

import hashlib

import torch


def address(*parts: object) -> int:
    """A 63-bit seed that depends on all parts and on nothing else: `address(seed, "round", 17)`."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_everything(*parts: object) -> None:
    """Start torch's global streams, on every device, at `address(*parts)`."""
    torch.manual_seed(address(*parts))


def generator(*parts: object) -> torch.Generator:
    """A CPU stream of its own at `address(*parts)`."""
    return torch.Generator().manual_seed(address(*parts))
