"""Worlds that are drawn by rule: endless examples whose every attribute is known exactly."""
