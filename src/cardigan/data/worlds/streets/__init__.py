"""Streets that are drawn by rule: label map, day and night of one geometry."""

from cardigan.data.worlds.streets.labels import CLASSES
from cardigan.data.worlds.streets.painting import Scene, draw, scene

__all__ = ["CLASSES", "Scene", "draw", "scene"]
