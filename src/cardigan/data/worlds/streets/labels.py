"""What a pixel of a street can be."""

from __future__ import annotations

CLASSES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("sky", (126, 190, 232)),
    ("building", (158, 102, 92)),
    ("roof", (104, 58, 66)),
    ("window", (66, 92, 158)),
    ("door", (222, 138, 58)),
    ("road", (84, 84, 96)),
    ("marking", (246, 246, 246)),
    ("pavement", (196, 182, 204)),
    ("grass", (156, 202, 96)),
    ("tree", (44, 124, 62)),
    ("car", (216, 56, 60)),
    ("person", (244, 204, 48)),
    ("lamp", (32, 196, 190)),
)
"""Name and colour of each label, for label maps that are looked at."""

SKY, BUILDING, ROOF, WINDOW, DOOR, ROAD, MARKING, PAVEMENT, GRASS, TREE, CAR, PERSON, LAMP = range(len(CLASSES))
GROUND = (ROAD, MARKING, PAVEMENT, GRASS)
