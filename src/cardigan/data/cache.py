"""Where Cardigan keeps what it can make again: packs and downloads."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder named by ``CARDIGAN_CACHE``, else ``~/.cache/cardigan``; it need not exist yet."""
    named = os.environ.get("CARDIGAN_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "cardigan"
