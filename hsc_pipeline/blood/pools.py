"""Pools of blood cells: delay, growth, life span, and who fills them.

Each pool is a compartment fed by the marrow after a delay (an Erlang law: a chain of equal
compartments) and emptied by its own life span; what flows in times how long it stays is what is
there.  All parts of a pool obey the same linear law, so they add up whatever the origin.
"""

from collections.abc import Mapping

import numpy as np

from hsc_pipeline.blood.lineages import CORRECTED, PARTS, POOLS, T_OF, of_lineage, ratio, select
from hsc_pipeline.blood.production import Production, erlang_cdf, erlang_quantile
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread

# Lymphocytes expand in the periphery to a set-point; platelets number what the marrow makes.
SELF_FILLING = frozenset(POOLS) - {"platelet"}
LYMPHOID = ("b_cell", *T_OF)  # what graft-versus-host disease and its treatment hold up
MEMORY_OF = {f"{cell}_memory": f"{cell}_naive" for cell in ("cd4", "cd8")}
COUNTED_DAYS = ("neutrophil", "platelet")
DAYS_PER_MONTH = 365.25 / 12
NORMAL_RED_CELL_LIFE = "blood.red_cell.life_days"


def grid(visits: np.ndarray) -> np.ndarray:
    """Return the times at which pools are followed: weeks for three years, then months, and all visits."""
    last = visits[-1]
    return np.unique(
        np.concatenate([[0.0], np.arange(0.25, min(last, 36), 0.25), np.arange(37.0, last), visits])
    )


def recovery_days(seed: int, product: Mapping, settings: Settings) -> dict[str, float]:
    """Draw a patient's days of neutrophil and platelet recovery, shorter with a larger dose."""
    dose = product["cd34_per_kg"] / settings["conditioning.full_dose"]
    quick = dose ** settings["conditioning.recovery_dose_exponent"]
    return {
        cell: settings[f"conditioning.{cell}_recovery_days"]
        * quick
        * spread(seed, f"blood.{cell}.recovery", settings[f"conditioning.{cell}_recovery_ln_sd"])
        for cell in COUNTED_DAYS
    }


def delay(
    lineage: str, age: float, days: Mapping[str, float], norms: Norms, settings: Settings
) -> tuple[float, float]:
    """Return the mean delay in months and the stages of a lineage's recovery.

    Neutrophils and platelets cross their threshold, at the median for age, on the day drawn.
    Naive T cells come from a thymus that shrinks with age; memory cells from their expansion.
    """
    cell = T_OF.get(lineage, lineage)
    stages = settings[f"blood.{cell}.delay_stages"]
    if lineage in COUNTED_DAYS and not days:
        return 1.0, stages  # of no consequence: nobody was conditioned
    if lineage in days:
        threshold = settings[f"conditioning.{lineage}_threshold"] / norms.median(lineage, age)
        return days[lineage] / DAYS_PER_MONTH / erlang_quantile(float(threshold), stages), stages
    if lineage.endswith("_memory"):
        return settings[f"blood.{cell}.memory_delay_months"], stages
    mean = settings[f"blood.{cell}.delay_months"]
    return mean * (np.exp(age / settings["blood.thymic_age_years"]) if lineage in T_OF else 1.0), stages


def fill_pools(
    times: np.ndarray,
    made: Production,
    delays: Mapping[str, tuple[float, float]],
    settings: Settings,
    held_up: np.ndarray | float = 0.0,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return cells of each pool and their `PARTS`, against the norm, at `times`.

    A pool that fills itself to a set-point lets the odds ratio w act on the corrected fraction, and
    its set-point lies between the untreated and the corrected count; one that does not numbers
    what the marrow makes.  Host cells that outlive conditioning keep their place while they last.

    Parameters
    ----------
    times : array of float, shape (times,)
        Months, from 0 on.
    made : Production
    delays : mapping of str to (mean months, stages)
    settings : Settings
    held_up : array of float, shape (times,), optional
        Months by which the recovery of lymphocytes lags.

    Returns
    -------
    tuple of dict of str to array
        Cells, shape (times,), and parts, shape (8, times), by pool.
    """
    fed = {pool: inflow(pool, made, settings) for pool in POOLS}
    first = {pool: fed[pool] for pool in POOLS if pool not in MEMORY_OF}
    total, parts = _fill(times, made, delays, first, settings, held_up)
    # Memory cells come from naive ones, whoever they belong to.
    memory = {pool: (fed[pool][0], ratio(parts[naive], total[naive])) for pool, naive in MEMORY_OF.items()}
    more_cells, more_parts = _fill(times, made, delays, memory, settings, held_up)
    return total | more_cells, parts | more_parts


def _fill(
    times: np.ndarray,
    made: Production,
    delays: Mapping[str, tuple[float, float]],
    fed: Mapping[str, tuple[np.ndarray, np.ndarray]],
    settings: Settings,
    held_up: np.ndarray | float,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    total, new, share = [], [], []
    for pool, (aim, parts) in fed.items():
        grown = erlang_cdf(times - held_up if pool in LYMPHOID else times, *delays[pool])
        marrow_made = grown * aim + (1 - grown) * made.spared * untreated(pool, settings)
        survivors = outliving(pool, times, made.spared, settings)
        produced = marrow_made * np.maximum(1 - ratio(survivors, aim), 0)
        new.append(produced)
        total.append(survivors + produced)
        # Before its cells have passed the delay, a spared pool is fed by the host alone.
        share.append(parts if pool in MEMORY_OF else parts * ratio(grown * aim, marrow_made))
    life = np.array([settings[f"blood.life_months.{pool}"] for pool in fed])
    kept = turn_over(times, np.array(new), np.array(share), life)
    return dict(zip(fed, total, strict=True)), dict(zip(fed, kept, strict=True))


def untreated(lineage: str, settings: Settings) -> float:
    """Return the count without treatment against the norm."""
    return of_lineage(settings, "disease.untreated_count", lineage)


def inflow(pool: str, made: Production, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return the size that a pool aims at, and the `PARTS` of what enters it.

    Returns
    -------
    tuple of array
        Shapes (times,) and (8, times).
    """
    full = of_lineage(settings, "disease.corrected_count", pool, 1.0)
    bare = untreated(pool, settings)
    p = made.corrected
    if pool in SELF_FILLING:
        chosen = select(p, of_lineage(settings, "disease.odds_ratio", pool))
        aim = chosen * full + (1 - chosen) * bare
    else:
        chosen = ratio(p * full, p * full + (1 - p) * bare)
        aim = p * full + (1 - p) * bare
    held = made.thymic if pool in T_OF else np.zeros_like(p)
    aim = held * full + (1 - held) * aim * made.running
    return aim, composition(chosen, ratio(held * full, aim), made)


def composition(chosen: np.ndarray, thymic: np.ndarray, made: Production) -> np.ndarray:
    """Return the `PARTS` of cells of which a share `chosen` is corrected and from the marrow.

    Parameters
    ----------
    chosen : array of float, shape (times,)
        Corrected share of what the marrow gives, after selection.
    thymic : array of float, shape (times,)
        Share of all cells that corrected thymic progenitors give.
    made : Production

    Returns
    -------
    array of float, shape (8, times)
    """
    from_marrow = (1 - thymic) * chosen
    of_corrected = ratio(from_marrow, made.corrected)
    of_rest = ratio((1 - thymic) * (1 - chosen), 1 - made.corrected)
    origin = {"stem": made.stem * of_corrected, "early": made.early * of_corrected, "thymic": thymic}
    parts = {
        **origin,
        "uncorrected_stem": made.uncorrected_stem * of_rest,
        "uncorrected_early": made.uncorrected_early * of_rest,
        "copies": sum(origin[name] * made.copies[name] for name in origin),
        "function": sum(origin[name] * made.function[name] for name in origin),
        "wave": origin["early"] * made.wave,
    }
    return np.array([parts[name] for name in PARTS])


def outliving(pool: str, times: np.ndarray, spared: float, settings: Settings) -> np.ndarray:
    """Return host cells that outlive conditioning, though what made them does not, against the norm."""
    cell = T_OF.get(pool, pool)
    survival = settings.values.get(f"blood.{cell}.host_survival", 0.0)
    life = settings.values.get(f"blood.{cell}.host_life_years", np.inf)
    return untreated(pool, settings) * (1 - spared) * survival * np.exp(-times / 12 / life)


def turn_over(times: np.ndarray, cells: np.ndarray, share: np.ndarray, life: np.ndarray) -> np.ndarray:
    """Return parts of pools whose cells come in at given shares and leave after an exponential life.

    Over a step, a share exp(-step/life) stays, or less where the pool shrinks faster, and the
    rest of the pool is new: dP/dt = s (dN/dt + N/L) - P/L.

    Parameters
    ----------
    times : array of float, shape (times,)
    cells : array of float, shape (pools, times)
    share : array of float, shape (pools, parts, times)
        Of the inflow.
    life : array of float, shape (pools,)

    Returns
    -------
    array of float, shape (pools, parts, times)
    """
    stay = np.exp(-np.diff(times) / life[:, None])
    stay = np.minimum(stay, ratio(cells[:, 1:], cells[:, :-1]))
    arriving = np.maximum(cells[:, 1:] - stay * cells[:, :-1], 0)[:, None, :] * (
        (share[:, :, 1:] + share[:, :, :-1]) / 2
    )
    parts = np.empty(share.shape)
    parts[:, :, 0] = cells[:, None, 0] * share[:, :, 0]
    for step in range(len(times) - 1):
        parts[:, :, step + 1] = stay[:, None, step] * parts[:, :, step] + arriving[:, :, step]
    return parts


def fill_red_cells(
    times: np.ndarray, made: Production, delays: Mapping[str, tuple[float, float]], settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return red cells and their `PARTS`, against the norm, at `times`.

    Red cells have no set-point but a drive: erythropoietin calls for as many as keep the count of a
    corrected patient, up to what keeps an untreated one at the untreated count.  They live a fixed time,
    other ones in corrected and uncorrected cells, so that few corrected precursors make most of
    the red cells: c L_c / (c L_c + (1 - c) e L_h).

    Returns
    -------
    tuple of array
        Cells, shape (times,), and parts, shape (8, times).
    """
    normal = settings[NORMAL_RED_CELL_LIFE]
    life, shorter = (settings[f"disease.red_cell.{kind}_life_days"] for kind in ("corrected", "uncorrected"))
    effective, most = erythroid_drive(settings)
    p = select(made.corrected, of_lineage(settings, "disease.odds_ratio", "red_cell"))
    parts = composition(p, np.zeros_like(p), made)
    grown = erlang_cdf(times, *delays["red_cell"])
    rest = grown * made.running * (1 - p) + (1 - grown) * made.spared
    per_precursor = (p * life + (1 - p) * effective * shorter) / normal
    kept = of_lineage(settings, "disease.corrected_count", "red_cell", 1.0)
    drive = np.minimum(ratio(np.full(len(times), kept), per_precursor), most)
    arriving = parts * grown * made.running * drive
    unit = normal / DAYS_PER_MONTH
    host_like = [PARTS.index(f"uncorrected_{origin}") for origin in ("stem", "early")]
    present = alive(times, arriving, life / normal, unit, 0.0)
    present[host_like] = alive(times, effective * arriving[host_like], shorter / normal, unit, 0.0)
    uncorrected = (rest * drive * effective)[None]
    others = alive(times, uncorrected, shorter / normal, unit, before=most * effective)[0]
    return others + present[CORRECTED].sum(axis=0), present


def erythroid_drive(settings: Settings) -> tuple[float, float]:
    """Return the output of an uncorrected red precursor against a normal one, and the strongest drive.

    The untreated count sets what the catalogue leaves open: drive x output x life = untreated count.
    """
    lived = settings["disease.red_cell.uncorrected_life_days"] / settings[NORMAL_RED_CELL_LIFE]
    bare = untreated("red_cell", settings)
    effective = min(settings["disease.red_cell.uncorrected_output"], bare / lived)
    return effective, max(bare / (lived * effective), 1.0) if effective > 0 else 1.0


def alive(times: np.ndarray, arriving: np.ndarray, life: float, unit: float, before: float) -> np.ndarray:
    """Return cells of a fixed life span: what arrived within it.

    Parameters
    ----------
    times : array of float, shape (times,)
        Months.
    arriving : array of float, shape (kinds, times)
        Against what keeps a normal pool.
    life : float
        Against a normal life span.
    unit : float
        A normal life span in months.
    before : float
        What arrived, steadily, until time 0.
    """
    span = life * unit
    steps = np.diff(times) * (arriving[:, 1:] + arriving[:, :-1]) / 2
    arrived = np.concatenate([np.zeros((len(arriving), 1)), np.cumsum(steps, axis=1)], axis=1)
    born = times - span
    gone = np.array([np.interp(born, times, row) for row in arrived]) + before * np.minimum(born, 0)
    return np.maximum(arrived - gone, 0) / unit
