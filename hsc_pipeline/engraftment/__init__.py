"""Engraftment: conditioning, free niches, competition, stress; stem cells per clone at every visit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hsc_pipeline.engraftment.acquired import Acquired, transform
from hsc_pipeline.engraftment.cells import (
    CORRECTED,
    ORIGINS,
    POOL,
    UNCORRECTED,
    Cells,
    host_cells,
    host_shares,
    pools,
    product_cells,
)
from hsc_pipeline.engraftment.competition import Room
from hsc_pipeline.engraftment.conditioning import residual_fraction
from hsc_pipeline.engraftment.followup import Gift, follow
from hsc_pipeline.engraftment.stress import Course, patient_course
from hsc_pipeline.engraftment.tables import CLONE_SIZES, DRIVER_CLONES, GRAFTS, MARROW, TRANSFORMATIONS
from hsc_pipeline.engraftment.thymus import thymic_leukaemias
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream

__all__ = ["CLONE_SIZES", "DRIVER_CLONES", "GRAFTS", "MARROW", "TRANSFORMATIONS", "engraft_patients"]


@dataclass
class Graft:
    """What was given to one patient and what of it took.

    Attributes
    ----------
    residual : float
        Host stem cells that conditioning left.
    take : float
        Chance that a cell of the first infusion takes.
    homed : int
        Cells of the marrow after homing.
    took, took_corrected, rescue_took : int
    rescue_month : float or None
    """

    residual: float
    take: float = 0.0
    homed: int = 0
    took: int = 0
    took_corrected: int = 0
    rescue_month: float | None = None
    rescue_took: int = 0


@dataclass(frozen=True)
class Supply:
    """The cells that can be infused, as entries of the marrow.

    Attributes
    ----------
    cells : Cells
        Host entries first, then the uncorrected pool, the reserve, and the clones of the product.
    pool, reserve, first_clone : int
        Their places.
    pooled : array of int, shape (infusions,)
        Uncorrected cells without a number in each infusion, the first at month 0.
    infusion : array of int, shape (clones,)
        Infusion that each clone is given in.
    luck : array of float, shape (clones,)
        A uniform number for each clone: it takes where the chance is larger.
    """

    cells: Cells
    pool: int
    reserve: int
    first_clone: int
    pooled: np.ndarray
    infusion: np.ndarray
    luck: np.ndarray


@dataclass
class Patient:
    """One patient's simulation, as it goes."""

    row: Mapping
    product: Mapping
    settings: Settings
    course: Course
    room: Room
    supply: Supply
    graft: Graft = field(default_factory=lambda: Graft(1.0))

    @property
    def seed(self) -> int:
        """Seed of all the patient's streams."""
        return self.row["patient_seed"]


def engraft_patients(
    patients: Sequence[Mapping],
    products: Mapping[int, Mapping],
    clones: Mapping[int, Mapping],
    drivers: Mapping[int, Mapping],
    events: Mapping[int, Mapping],
    settings: Settings,
) -> Iterator[dict[str, pa.Table]]:
    """Simulate the marrow of each patient.

    Parameters
    ----------
    patients : sequence of mapping
        Rows of `plan.PATIENTS`.
    products : mapping of int to mapping
        Rows of `product.PRODUCTS` by patient.
    clones, drivers, events : mapping of int to mapping of str to array
        Columns of `product.CLONES`, `product.DRIVERS` and `plan.EVENTS` by patient.
    settings : Settings
        Of the stage ``engraftment``.

    Yields
    ------
    dict of str to pyarrow.Table
        One patient's `MARROW`, `CLONE_SIZES`, `GRAFTS`, `DRIVER_CLONES` and `TRANSFORMATIONS`.
    """
    for patient in patients:
        number = patient["patient"]
        yield engraft_patient(
            patient, products[number], clones[number], drivers[number], events[number], settings
        )


def engraft_patient(
    patient: Mapping,
    product: Mapping,
    clones: Mapping[str, np.ndarray],
    drivers: Mapping[str, np.ndarray],
    events: Mapping[str, np.ndarray],
    settings: Settings,
) -> dict[str, pa.Table]:
    """Simulate one patient's marrow from conditioning to the last visit."""
    months = np.array([0.0, *settings.study["visits_months"]])
    happens = _rows(events, product)
    boosts = [e for e in happens if e["kind"] == "boost" and e["month"] > 0]
    one = Patient(
        patient,
        product,
        settings,
        patient_course(patient, happens, months[-1], settings),
        Room.of(settings),
        supply_of(patient, product, clones, drivers, [b["size"] for b in boosts], settings),
    )
    sizes = infuse_first(one, host_shares(drivers))
    gifts = later_infusions(one, boosts, months[-1])
    acquired = Acquired(stream(one.seed, "engraftment.acquired"), one.course, one.room, settings)
    later = follow(one.supply.cells, sizes, one.course, one.room, acquired, months[1:] / 12, gifts, one.seed)
    return write_tables(one, months, np.vstack([sizes, later]), acquired, clones)


def _rows(events: Mapping[str, np.ndarray], product: Mapping) -> list[dict]:
    """Return what befalls a patient; without an infusion, a graft attacks nobody."""
    rows = [dict(zip(events, row, strict=True)) for row in zip(*events.values(), strict=True)]
    return [e for e in rows if product["infused"] or e["kind"] != "gvhd"]


def supply_of(
    patient: Mapping,
    product: Mapping,
    clones: Mapping[str, np.ndarray],
    drivers: Mapping[str, np.ndarray],
    boosts: Sequence[float],
    settings: Settings,
) -> Supply:
    """Lay out the entries of a marrow, and divide the product over its infusions."""
    seed, host = patient["patient_seed"], host_cells(drivers)
    named = product_cells(clones, settings["disease.corrected_advantage_per_year"])
    two = pools(UNCORRECTED, np.zeros(2), np.full(2, POOL))
    kept_back = np.cumsum([*boosts, 0.0])[:-1]
    share = stream(seed, "engraftment.kept_back").random(len(named))
    infusion = np.searchsorted(kept_back, share, side="right")
    infusion = np.where(infusion == len(boosts), 0, infusion + 1)
    first = max(1 - sum(boosts), 0.0)
    pooled = product["lt_hsc"] - len(named)
    divided = stream(seed, "engraftment.kept_back.pool").multinomial(pooled, [*boosts, first])
    return Supply(
        Cells.join([host, two, named]),
        pool=len(host),
        reserve=len(host) + 1,
        first_clone=len(host) + 2,
        pooled=np.roll(divided, 1),
        infusion=infusion,
        luck=stream(seed, "engraftment.corrected").random(len(named)),
    )


def infuse_first(one: Patient, host_share: np.ndarray) -> np.ndarray:
    """Condition the patient and infuse the product; return the cells of each entry after homing."""
    full = float(one.course.capacity[0])
    residual = residual_fraction(one.row, one.settings) if one.product["infused"] else 1.0
    one.graft = Graft(residual)
    host = int(stream(one.seed, "engraftment.host").poisson(full * residual))
    sizes = np.zeros(len(one.supply.cells), np.int64)
    shares = host_share / host_share.sum()
    sizes[: one.supply.pool] = stream(one.seed, "engraftment.host_drivers").multinomial(host, shares)
    sizes = infuse(one, sizes, residual, full, 0)
    one.graft.homed = int(sizes.sum())
    return sizes


def infuse(one: Patient, sizes: np.ndarray, occupied: float, full: float, number: int) -> np.ndarray:
    """Give one infusion of the product to a marrow `occupied` to that share of `full`."""
    supply = one.supply
    mine = supply.infusion == number
    pooled = int(supply.pooled[number])
    take = one.room.take_probability(occupied, full, pooled + int(mine.sum()))
    name = "engraftment.uncorrected" + (f".{number}" if number else "")
    took = int(stream(one.seed, name).binomial(pooled, take))
    takes = np.flatnonzero(mine & (supply.luck < take)) + supply.first_clone
    sizes = sizes.copy()
    sizes[supply.pool] += took
    sizes[takes] += 1
    one.graft.took += took + len(takes)
    one.graft.took_corrected += int((supply.cells.origin[takes] == CORRECTED).sum())
    if number == 0:
        one.graft.take = take
    return sizes


def later_infusions(one: Patient, boosts: Sequence[Mapping], last_month: float) -> dict[float, Gift]:
    """Return what is infused after month 0, by year: boosts, and the reserve of a graft that failed."""
    gifts: dict[float, list[Gift]] = {}
    for number, boost in enumerate(boosts, start=1):

        def give(sizes: np.ndarray, year: float, number: int = number) -> np.ndarray:
            full = float(one.course.capacity[one.course.at(year)])
            return infuse(one, sizes, sizes.sum() / full, full, number)

        gifts.setdefault(boost["month"] / 12, []).append(give)
    month = one.settings["conditioning.rescue_months"]
    failed = one.graft.homed < one.settings["manufacture.rescue_below_stem_cells"]
    if failed and one.product["infused"] and one.product["backup_lt_hsc"] and month < last_month:
        gifts.setdefault(month / 12, []).append(lambda sizes, year: rescue(one, sizes, year))
    return {year: _in_turn(several) for year, several in gifts.items()}


def _in_turn(several: Sequence[Gift]) -> Gift:
    def give(sizes: np.ndarray, year: float) -> np.ndarray:
        for gift in several:
            sizes = gift(sizes, year)
        return sizes

    return give


def rescue(one: Patient, sizes: np.ndarray, year: float) -> np.ndarray:
    """Give the unmodified reserve."""
    full, reserve = float(one.course.capacity[one.course.at(year)]), one.product["backup_lt_hsc"]
    take = one.room.take_probability(sizes.sum() / full, full, reserve)
    sizes = sizes.copy()
    took = int(stream(one.seed, "engraftment.rescue").binomial(reserve, take))
    sizes[one.supply.reserve] += took
    one.graft.rescue_month, one.graft.rescue_took = 12 * year, took
    return sizes


def write_tables(
    one: Patient,
    months: np.ndarray,
    sizes: np.ndarray,
    acquired: Acquired,
    clones: Mapping[str, np.ndarray],
) -> dict[str, pa.Table]:
    """Return the tables of one patient; `sizes` has a row of entries for each month."""
    new = np.vstack([np.zeros(len(acquired.parent), np.int64), acquired.seen()])
    whole = sizes.copy()
    for visit in range(len(months)):
        np.add.at(whole[visit], acquired.parent, new[visit])
    return {
        "marrow": marrow_table(one, months, whole, new, acquired, clones),
        "clone_sizes": clone_table(one, months, whole),
        "grafts": graft_table(one),
        "driver_clones": driver_table(one, months, whole, new, acquired),
        "transformations": transformation_table(one, months, whole, new, acquired, len(clones["clone"])),
    }


def marrow_table(
    one: Patient,
    months: np.ndarray,
    whole: np.ndarray,
    new: np.ndarray,
    acquired: Acquired,
    clones: Mapping[str, np.ndarray],
) -> pa.Table:
    """Return `MARROW`: cells by origin at each visit."""
    cells = one.supply.cells
    corrected = whole[:, one.supply.first_clone :][:, np.asarray(clones["corrected"], bool)]
    has_driver = cells.driver != POOL
    second = has_driver[acquired.parent]  # already counted
    return MARROW.build(
        {
            "patient": np.full(len(months), one.row["patient"]),
            "month": months,
            "capacity": one.course.capacity[one.course.at(months / 12)],
            "residual_host_fraction": np.full(len(months), one.graft.residual),
            **{name: whole[:, cells.origin == number].sum(axis=1) for number, name in enumerate(ORIGINS)},
            "live_clones": (corrected > 0).sum(axis=1),
            **{
                f"{name}_per_corrected": mean_by_visit(corrected, clones[name][clones["corrected"]])
                for name in ("copies", "function")
            },
            "driver_cells": whole[:, has_driver].sum(axis=1) + new[:, ~second].sum(axis=1),
            "insertional_cells": whole[:, cells.insertional].sum(axis=1),
        }
    )


def mean_by_visit(cells: np.ndarray, of_clone: np.ndarray) -> list[float | None]:
    """Return a mean over cells at each visit, None where there is no cell."""
    total = cells.sum(axis=1)
    return [float(c) / n if n else None for c, n in zip(cells @ of_clone, total, strict=True)]


def clone_table(one: Patient, months: np.ndarray, whole: np.ndarray) -> pa.Table:
    """Return `CLONE_SIZES`: live clones of the product at each visit after infusion."""
    cells = whole[1:, one.supply.first_clone :]
    visit, index = np.nonzero(cells)
    return CLONE_SIZES.build(
        {
            "patient": np.full(len(visit), one.row["patient"]),
            "month": months[1:][visit],
            "clone": one.supply.cells.clone[one.supply.first_clone :][index],
            "cells": cells[visit, index],
        }
    )


def graft_table(one: Patient) -> pa.Table:
    """Return `GRAFTS`: what was given and what took."""
    graft, infused = one.graft, one.product["infused"]
    return GRAFTS.build(
        {
            "patient": [one.row["patient"]],
            "agent": [one.settings["conditioning.agent"] if infused else "none"],
            "take_probability": [graft.take],
            "took": [graft.took],
            "took_corrected": [graft.took_corrected],
            "homed": [graft.homed],
            "rescue_month": [graft.rescue_month],
            "rescue_took": [graft.rescue_took],
        }
    )


def driver_table(
    one: Patient, months: np.ndarray, whole: np.ndarray, new: np.ndarray, acquired: Acquired
) -> pa.Table:
    """Return `DRIVER_CLONES`: carried ones first, then those acquired, at each visit."""
    cells = one.supply.cells
    carried = np.flatnonzero((cells.driver != POOL) & whole.any(axis=0))
    entry = np.concatenate([carried, acquired.parent])
    arose = np.concatenate([np.full(len(carried), np.nan), 12 * acquired.year])
    driver = np.concatenate([cells.driver[carried], np.full(len(acquired.parent), POOL)])
    advantage = cells.advantage[entry] + np.concatenate([np.zeros(len(carried)), acquired.advantage])
    counts = np.hstack([whole[:, carried], new])
    visit, number = np.nonzero(counts)
    return DRIVER_CLONES.build(
        {
            "patient": np.full(len(visit), one.row["patient"]),
            "month": months[visit],
            "number": number,
            "origin": np.array(ORIGINS)[cells.origin[entry]][number],
            "clone": cells.clone[entry][number],
            "driver": driver[number],
            "arose_month": arose[number],
            "advantage_per_year": advantage[number],
            "cells": counts[visit, number],
        }
    )


def transformation_table(
    one: Patient, months: np.ndarray, whole: np.ndarray, new: np.ndarray, acquired: Acquired, named: int
) -> pa.Table:
    """Return `TRANSFORMATIONS`, of the marrow and of the thymus, in order of time."""
    parts = _turned_in_marrow(one, months, whole, new, acquired), _turned_in_thymus(one, months[-1], named)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["month"], kind="stable")
    return TRANSFORMATIONS.build(
        {
            "patient": np.full(len(order), one.row["patient"]),
            "number": np.arange(len(order)),
            **{name: column[order] for name, column in columns.items()},
        }
    )


def _turned_in_marrow(
    one: Patient, months: np.ndarray, whole: np.ndarray, new: np.ndarray, acquired: Acquired
) -> dict[str, np.ndarray]:
    """Return the clones with a deregulated oncogene or a driver that turned malignant."""
    cells, settings = one.supply.cells, one.settings
    prone = np.flatnonzero(cells.mutated & whole.any(axis=0))
    entry = np.concatenate([prone, acquired.parent])
    inserted = np.concatenate([cells.insertional[prone], np.zeros(len(acquired.parent), bool)])
    hazard = np.where(
        inserted,
        settings.values.get("genotoxicity.conversion_per_cell_year", 0.0),
        settings["marrow.driver_conversion_per_cell_year"],
    )
    counts = np.hstack([whole[:, prone], new])
    turned, year, visit = transform(
        stream(one.seed, "engraftment.transformation"), months / 12, counts, hazard
    )
    return {
        "month": 12 * year,
        "origin": np.array(ORIGINS)[cells.origin[entry[turned]]],
        "clone": cells.clone[entry[turned]],
        "cause": np.where(inserted[turned], "insertion", "driver"),
        "cells": counts[visit, turned],
    }


def _turned_in_thymus(one: Patient, last_month: float, named: int) -> dict[str, np.ndarray]:
    """Return the thymic progenitors that turned malignant; their numbers follow those of stem cells."""
    progenitor, year = thymic_leukaemias(one.row, one.product, one.settings)
    seen = progenitor[12 * year <= last_month]
    return {
        "month": 12 * year[: len(seen)],
        "origin": np.full(len(seen), "thymic_progenitor"),
        "clone": named + seen,
        "cause": np.full(len(seen), "insertion"),
        "cells": np.zeros(len(seen), np.int64),
    }
