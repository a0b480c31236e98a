"""The one kind of configuration: frozen, typed, and closed to unknown keys."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of every setting. A misspelt key or a value of the wrong type is refused where it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
