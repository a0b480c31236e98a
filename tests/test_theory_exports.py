"""What `cardigan.theory` offers by name."""

import subprocess
import sys
from importlib import import_module

import pytest

from cardigan import theory


def test_every_public_name_is_there() -> None:
    assert {"kl", "ring", "w2", "DiracGAN", "optimal_score", "Annealing"} <= set(theory.__all__)
    assert set(theory.__all__) == set(theory._HOMES)
    for name, home in theory._HOMES.items():
        assert getattr(theory, name) is getattr(import_module(f"cardigan.theory.{home}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = theory.nothing


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, cardigan.theory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
