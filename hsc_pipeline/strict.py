"""What all parts of the files that users write have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Strict(BaseModel):
    """A part of the study file: no unknown keys, no later change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
