"""What each stage may read: its values, tables and parts of the study file, and nothing else.

A rule passes these to its job as parameters, so a change reruns exactly the stages that read what
changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reads:
    """What a stage reads.

    Attributes
    ----------
    values : tuple of str
        Beginnings of the names of values.
    tables : tuple of str
        Names of catalogue tables.
    study : tuple of str
        Keys of the study file.
    """

    values: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    study: tuple[str, ...] = ()


STAGES: dict[str, Reads] = {
    "plan": Reads(
        ("cohort.", "product.cd34_", "conditioning.busulfan_auc", "conditioning.auc_ln_sd"),
        ("weight_for_age",),
        ("seed", "independent_arms"),
    ),
    "product": Reads(("product.",), ("chromosomes", "genes")),
    "engraftment": Reads(("marrow.", "conditioning.", "disease.corrected_"), (), ("visits_months",)),
    "blood": Reads(
        ("blood.", "lab.", "conditioning.", "disease.", "marrow.clone_output_sigma"),
        ("cell_norms",),
        ("visits_months", "sampling"),
    ),
    "immunity": Reads(
        ("score.", "challenge.", "pathogen.", "response.", "disease.", "benefit."), ("cell_norms",)
    ),
    "outcomes": Reads(("benefit.", "alarm."), (), ("visits_months",)),
}


@dataclass(frozen=True)
class Settings:
    """One arm's settings for one stage.

    Attributes
    ----------
    values : mapping of str to float
        By dotted name; also by ``settings[name]``.
    tables : mapping of str to list of rows
    study : mapping
        Parts of the study file.
    """

    values: Mapping[str, float]
    tables: Mapping[str, list[list]] = field(default_factory=dict)
    study: Mapping = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def under(self, prefix: str) -> dict[str, float]:
        """Return the values whose names begin with ``prefix.``, by the rest of the name."""
        start = f"{prefix}."
        return {name.removeprefix(start): v for name, v in self.values.items() if name.startswith(start)}

    def rows(self, table: str) -> list[tuple]:
        """Return the rows of a catalogue table."""
        return [tuple(row) for row in self.tables[table]]
