"""Tests are small: one thread each leaves the other cores to the other workers."""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images named by CARDIGAN_DATA."""
    folder = os.environ.get("CARDIGAN_DATA")
    if not folder:
        pytest.skip("CARDIGAN_DATA names no folder of real images")
    return Path(folder)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, so that a test neither sees nor leaves anything outside its own folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CARDIGAN_CACHE", str(folder))
    return folder
