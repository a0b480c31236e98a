"""Birds that are drawn by rule, every attribute of which is known."""

from cardigan.data.worlds.birds.attributes import COLOURS, PARTS, Bird, bird, species, split_of
from cardigan.data.worlds.birds.painting import draw, nearest_colour, parts

__all__ = ["COLOURS", "PARTS", "Bird", "bird", "draw", "nearest_colour", "parts", "species", "split_of"]
