"""What every section of the configuration is, and the numbers and secrets that occur in them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
SECRET_LENGTH = 24
"""Characters that a secret of ours has at least."""


class Section(BaseModel):
    """Strict: an unknown name is a fault."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, allow_inf_nan=False
    )


def long_enough(secret: SecretStr) -> SecretStr:
    """Return the secret. Raises ``ValueError`` if it is short, or could not stand in a header."""
    value = secret.get_secret_value()
    if len(value) < SECRET_LENGTH or not value.isascii() or any(c.isspace() for c in value):
        raise ValueError(
            f"must have at least {SECRET_LENGTH} characters of ASCII and no spaces; "
            "`openssl rand -hex 32` makes one"
        )
    return secret
