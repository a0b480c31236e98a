"""Which sizes of image a translator takes, beside the one it has learnt from."""

from typing import Literal, NamedTuple

Reach = Literal["local", "whole", "fixed"]


class Takes(NamedTuple):
    """Sizes that a translator takes.

    Attributes:
        multiple: both sides have to be multiples of it.
        least: neither side may be shorter.
        reach: "local" where what it makes of a pixel depends on what is near, so that size does not matter; "whole"
            where it depends on all of a training image, of more than which it knows nothing; "fixed" where it takes
            the size of a training image and no other.
    """

    multiple: int
    least: int
    reach: Reach
