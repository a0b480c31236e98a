"""Errors that a user can mend: one line that says what is wrong and what to do.

The command line prints the message and ends with exit code 2; from Python they are ordinary exceptions.
"""


class CardiganError(Exception):
    """Something the user gave cannot be used; the message says what to do."""


class DataError(CardiganError):
    """Images that are missing, unreadable or unsuitable."""


class RecipeError(CardiganError):
    """An unknown, ill-typed or impossible setting."""


class RunError(CardiganError):
    """A run folder, checkpoint or model that is missing, damaged, foreign or in the way."""


class TheoryError(CardiganError):
    """A question of theory that has no answer as it was put."""


class TrainingError(CardiganError):
    """A training that cannot go on."""
