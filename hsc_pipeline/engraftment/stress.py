"""Ageing and stress: how the rates of stem cells change with age and with what befalls the patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.engraftment.cells import CORRECTED, HOST, Cells
from hsc_pipeline.engraftment.niches import marrow_capacity
from hsc_pipeline.events import CYCLING, KILLING
from hsc_pipeline.settings import Settings

STEP_YEARS = 0.25  # over which age changes nothing
# Which origins an event kills.
KILLED = {
    "rejection": lambda origin: origin == CORRECTED,
    "gvhd": lambda origin: origin == HOST,
    "chemotherapy": lambda origin: np.ones(len(origin), bool),
    "targeted_therapy": lambda origin: origin != CORRECTED,
}


@dataclass(frozen=True)
class Course:
    """The rates of one patient's marrow over the years, constant between breakpoints.

    Attributes
    ----------
    starts : array of float, shape (pieces,)
        Years after infusion from which a piece holds, the first 0.
    capacity : array of float, shape (pieces,)
        Stem cells of a full marrow.
    division : array of float, shape (pieces,)
        Divisions and losses of a stem cell per year, stress included.
    extra : array of float, shape (pieces,)
        Divisions beyond those at rest, per year.
    ageing : array of float, shape (pieces, 2)
        Excess of loss per year of aged cells: the patient's, the donor's.
    killing : dict of str to array of float, shape (pieces,)
        Loss per year by kind of event.
    lost_per_extra, driver_resistance : float
        Part of extra divisions that end in loss, and part of it that drivers are spared.
    """

    starts: np.ndarray
    capacity: np.ndarray
    division: np.ndarray
    extra: np.ndarray
    ageing: np.ndarray
    killing: Mapping[str, np.ndarray]
    lost_per_extra: float
    driver_resistance: float

    @property
    def tells_origins(self) -> bool:
        """Whether cells of equal advantage fare otherwise by where they come from."""
        return bool(self.killing) or bool(np.any(self.ageing[:, 0] != self.ageing[:, 1]))

    def rates(self, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
        """Return division and loss per year, shape (pieces, entries of `cells`)."""
        division = np.maximum(self.division[:, None] + cells.advantage, 0.0)
        spared = np.where(cells.mutated, 1 - self.driver_resistance, 1.0)
        loss = self.division[:, None] + self.lost_per_extra * self.extra[:, None] * spared
        loss = loss + self.ageing[:, (cells.origin != HOST).astype(int)] * ~cells.mutated
        for kind, rate in self.killing.items():
            loss = loss + rate[:, None] * KILLED[kind](cells.origin)
        return division, loss

    def at(self, years: np.ndarray | float) -> np.ndarray:
        """Return the piece that holds at a time."""
        return np.searchsorted(self.starts, years, side="right") - 1


def patient_course(
    patient: Mapping, events: Sequence[Mapping], last_month: float, settings: Settings
) -> Course:
    """Lay out the rates of one patient's follow-up.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    events : sequence of mapping
        Rows of `plan.EVENTS`.
    last_month : float
        The last visit.
    settings : Settings
        Of the stage ``engraftment``.
    """
    end = last_month / 12
    edges = [edge / 12 for e in events for edge in (e["month"], e["month"] + e["duration_months"])]
    starts = np.unique([*np.arange(0, end + STEP_YEARS, STEP_YEARS), *(edge for edge in edges if edge < end)])
    lengths = np.diff([*starts, starts[-1] + STEP_YEARS])
    middle = starts + lengths / 2
    rest = resting_division(patient["age_years"] + starts, settings)
    extra = rest * (cycling(middle, events, settings) - 1)
    worn = np.concatenate([[0.0], np.cumsum(extra * lengths)[:-1]])
    capacity = marrow_capacity(patient["age_years"] + starts, settings)
    ages = np.stack([patient[name] + starts for name in ("age_years", "donor_age_years")], axis=1)
    return Course(
        starts,
        np.maximum(capacity * np.exp(-settings["stress.wear_per_extra_division"] * worn), 1.0),
        rest + extra,
        extra,
        settings["marrow.ageing_loss_per_year"] * (ages > settings["marrow.ageing_from_years"]),
        {kind: killing(middle, kind, events) for kind in KILLING if any(e["kind"] == kind for e in events)},
        settings["stress.lost_per_extra_division"],
        settings["stress.driver_resistance"],
    )


def resting_division(age_years: np.ndarray, settings: Settings) -> np.ndarray:
    """Return divisions of a stem cell per year in a full marrow: more in small children."""
    excess = (settings["marrow.division_birth_ratio"] - 1) * np.exp(
        -age_years / settings["marrow.division_childhood_years"]
    )
    return settings["marrow.division_per_year"] * (1 + excess)


def cycling(years: np.ndarray, events: Sequence[Mapping], settings: Settings) -> np.ndarray:
    """Return how much faster stem cells divide under infection or inflammation than at rest."""
    factor = np.ones(len(years))
    for event in events:
        if event["kind"] in CYCLING:
            more = settings[f"stress.{event['kind']}.cycling"] - 1
            factor *= np.where(_during(years, event), max(1 + more * event["size"], 0.0), 1.0)
    return factor


def killing(years: np.ndarray, kind: str, events: Sequence[Mapping]) -> np.ndarray:
    """Return the loss per year that kills the share `size` over the length of each event."""
    rate = np.zeros(len(years))
    for event in events:
        if event["kind"] == kind:
            rate += np.where(
                _during(years, event), -np.log1p(-event["size"]) / (event["duration_months"] / 12), 0.0
            )
    return rate


def _during(years: np.ndarray, event: Mapping) -> np.ndarray:
    month = years * 12
    return (event["month"] <= month) & (month < event["month"] + event["duration_months"])
