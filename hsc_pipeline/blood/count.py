"""The true counts of one patient's blood at every visit, and days of recovery."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import (
    COUNTS,
    LINEAGES,
    PARTS,
    POOLS,
    RECOVERY,
    T_CELLS,
    T_OF,
    Blood,
    ratio,
)
from hsc_pipeline.blood.pools import (
    COUNTED_DAYS,
    delay,
    fill_pools,
    fill_red_cells,
    grid,
    recovery_days,
    untreated,
)
from hsc_pipeline.blood.production import Production, produce
from hsc_pipeline.events import months_of
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream


def count_blood(
    patient: Mapping,
    product: Mapping,
    marrow: Mapping[str, np.ndarray],
    norms: Norms,
    settings: Settings,
    events: Mapping[str, np.ndarray] | None = None,
) -> tuple[Blood, pa.Table]:
    """Return one patient's true blood and `RECOVERY`.

    Parameters
    ----------
    patient, product : mapping
        Rows of `plan.PATIENTS` and `product.PRODUCTS`.
    marrow : mapping of str to array
        Columns of `engraftment.MARROW` of this patient, month 0 first.
    norms : Norms
    settings : Settings
        Of the stage ``blood``.
    events : mapping of str to array, optional
        Columns of `plan.EVENTS` of this patient; none by default.
    """
    seed, age = patient["patient_seed"], patient["age_years"]
    months = np.asarray(settings.study["visits_months"], float)
    times = grid(months)
    made = produce(times, patient, product, marrow, settings)
    days = recovery_days(seed, product, settings) if product["infused"] else {}
    delays = {lineage: delay(lineage, age, days, norms, settings) for lineage in (*POOLS, "red_cell")}
    held_up = hold_up(times, product, events, settings) if events else 0.0
    cells, parts = fill_pools(times, made, delays, settings, held_up)
    cells["red_cell"], parts["red_cell"] = fill_red_cells(times, made, delays, settings)

    at = np.searchsorted(times, months)
    ages = age + months / 12
    per_ul, of = {}, {}
    for lineage in cells:
        normal = normal_count(lineage, seed, age, ages, norms, settings)
        per_ul[lineage] = normal * cells[lineage][at]
        of[lineage] = normal * parts[lineage][:, at]
    for cell, pools in T_CELLS.items():
        per_ul[cell] = sum(per_ul[pool] for pool in pools)
        of[cell] = sum(of[pool] for pool in pools)
    blood = Blood(months, ages, per_ul, of, made.seeded)
    return blood, recovery_table(patient, days, made, norms, settings)


def hold_up(
    times: np.ndarray, product: Mapping, events: Mapping[str, np.ndarray], settings: Settings
) -> np.ndarray:
    """Return months by which graft-versus-host disease and its treatment hold up lymphocytes by `times`."""
    ill = months_of("gvhd", times, events) if product["infused"] else np.zeros(len(times))
    return settings["blood.gvhd_stall"] * ill


def normal_count(
    lineage: str, seed: int, age: float, ages: np.ndarray, norms: Norms, settings: Settings
) -> np.ndarray:
    """Return what this person would count in health, at each visit, per microlitre.

    The median for age, the person's own set-point and the scatter from visit to visit; naive and
    memory T cells share those of their kind.
    """
    cell = T_OF.get(lineage, lineage)
    setpoint = norms.ln_sd(cell, age) * stream(seed, f"blood.{cell}").standard_normal()
    scatter = settings.values.get(f"blood.visit_ln_sd.{cell}", settings["blood.visit_ln_sd"])
    visit = scatter * stream(seed, f"blood.{cell}.visit").standard_normal(len(ages))
    median = norms.median(cell, ages)
    if lineage in T_OF:
        kinds = {pool: norms.median(pool, ages) for pool in T_CELLS[cell]}
        median = median * kinds[lineage] / sum(kinds.values())
    return median * np.exp(setpoint + visit)


def recovery_table(
    patient: Mapping, days: Mapping[str, float], made: Production, norms: Norms, settings: Settings
) -> pa.Table:
    """Return `RECOVERY`: nobody recovers from an aplasia that was none, or without a graft."""
    row = {"patient": [patient["patient"]]}
    for cell in COUNTED_DAYS:
        threshold = settings[f"conditioning.{cell}_threshold"]
        normal = float(norms.median(cell, patient["age_years"]))
        state = "recovered"
        if not days or made.spared * untreated(cell, settings) * normal >= threshold:
            state = "no_aplasia"
        # Platelets are judged as those of a healthy marrow, see `RECOVERY`.
        elif made.running[0] * normal < threshold:
            state = "not_recovered"
        row[f"{cell}_recovery_day"] = [days[cell] if state == "recovered" else None]
        row[f"{cell}_state"] = [state]
    return RECOVERY.build(row)


def count_table(patient: Mapping, blood: Blood, settings: Settings) -> pa.Table:
    """Return `COUNTS` of one patient: the true blood, and its copies as measured."""
    visits, seed = len(blood.months), patient["patient_seed"]
    columns: dict[str, list] = {name: [] for name in COUNTS.columns}
    for lineage in LINEAGES:
        per_ul, parts = blood.per_ul[lineage], dict(zip(PARTS, blood.parts[lineage], strict=True))
        corrected = blood.corrected(lineage)
        vcn = ratio(parts["copies"], per_ul)
        rng = stream(seed, f"lab.vcn.{lineage}")
        genomes = np.where(per_ul > 0, settings["lab.ddpcr_ng"] * settings["lab.genomes_per_ng"], 0)
        row = {
            "patient": np.full(visits, patient["patient"]),
            "month": blood.months,
            "age_years": blood.ages,
            "lineage": np.full(visits, lineage),
            "count_per_ul": per_ul,
            "corrected_per_ul": corrected,
            "corrected_fraction": np.minimum(ratio(corrected, per_ul), 1),
            "stem_cell_share": np.minimum(ratio(parts["stem"], corrected), 1),
            "thymic_share": np.minimum(ratio(parts["thymic"], corrected), 1),
            "function": ratio(parts["function"], per_ul),
            "vcn": vcn,
            "vcn_measured": digital_pcr(rng, vcn, genomes, settings["lab.vcn_ln_sd"]),
        }
        for name, values in row.items():
            columns[name].append(values)
    return COUNTS.build({name: np.concatenate(values) for name, values in columns.items()})


def digital_pcr(rng: np.random.Generator, vcn: np.ndarray, genomes: np.ndarray, ln_sd: float) -> np.ndarray:
    """Measure copies per cell: droplets with the vector over those with a reference gene.

    Both are counted (Poisson, two references a genome), and a run has an error of its own; 0
    where there is no genome.

    Parameters
    ----------
    rng : numpy.random.Generator
    vcn, genomes : array of float, shape (n,)
    ln_sd : float
        Of the error of a run.
    """
    error = np.exp(ln_sd * rng.standard_normal(np.shape(vcn)))
    target, reference = rng.poisson(vcn * genomes), rng.poisson(2 * genomes) / 2
    return ratio(target, reference) * error
