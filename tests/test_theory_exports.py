"""What `cardigan.theory` offers by name."""

import subprocess
import sys
from importlib import import_module

import pytest

from cardigan import theory


def test_every_public_name_is_there() -> None:
    assert {"kl", "ring", "w2", "DiracGAN", "optimal_score", "Annealing"} <= set(theory.__all__)
    for name in theory.__all__:
        assert getattr(theory, name) is not None
    assert theory.kl is import_module("cardigan.theory.divergences").kl
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = theory.nothing


def test_importing_it_does_not_import_torch() -> None:
    code = "import sys, cardigan.theory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
