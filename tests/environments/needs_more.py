"""A module that asks for another that nobody has."""

import nowhere_to_be_found  # noqa: F401  # type: ignore
