"""Worlds that are drawn by rule: endless pictures whose exact ground truth is known."""
