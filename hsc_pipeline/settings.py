"""What a stage works with: the values, tables and parts of the study file that it may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """One arm's settings for one stage.

    Attributes
    ----------
    values : mapping of str to float or str
        By dotted name; also by ``settings[name]``.
    tables : mapping of str to list of rows
    study : mapping
        Parts of the study file.
    """

    values: Mapping[str, Any]
    tables: Mapping[str, list[list]] = field(default_factory=dict)
    study: Mapping = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def rows(self, table: str) -> list[tuple]:
        """Return the rows of a catalogue table."""
        return [tuple(row) for row in self.tables[table]]
