"""Infection risk: the hazard of a serious infection as a product of what is missing, and its episodes.

A patient whose immunity is back has the hazard of treated patients, not of healthy people.  Each part
that lacks multiplies it by a factor from 1 up to a ratio, by a power law in how far the part falls
short, so that the logarithm of the hazard is a sum of the parts.
"""

from collections.abc import Mapping
from itertools import count, takewhile
from typing import Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.blood.lineages import ratio
from hsc_pipeline.immunity.columns import by_lineage, of_table
from hsc_pipeline.immunity.reconstitution import functional_counts, reconstitute
from hsc_pipeline.immunity.reset import summed
from hsc_pipeline.immunity.twins import TWINS, WHO, twin_of
from hsc_pipeline.norms import Norms
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.tables import Column, Table

MEANING = {
    "t_cell": "too few functional CD4+ and CD8+ cells",
    "thymus": "a thymus that has not recovered, beyond what T cells explain",
    "antibody": "too little IgG of one's own, where replacement is given",
    "nk_cell": "too few functional NK cells",
    "neutrophil": "neutropenia",
    "oxidase": "too few neutrophils with oxidase",
}
BACKGROUND = "background"  # cause of an episode to which no missing part adds
LEAST_FACTOR = 1.05  # from which a part counts as a cause
STRIP = 1.0  # per year: height of the strips in which episodes are drawn

_PATIENT = Column(pa.int32(), "", "number of the virtual patient", 0)
_PER_YEAR: dict[str, Any] = {"unit": "1/year", "least": 0}

INFECTION_RISK = Table(
    "infection_risk",
    ("patient", "month", "who"),
    {
        "patient": _PATIENT,
        "month": Column(pa.float64(), "months", "after infusion; 0 for the twins", 0),
        "who": WHO,
        "base_per_year": Column(pa.float64(), meaning="hazard with nothing missing", **_PER_YEAR),
        **{name: Column(pa.float64(), "ratio", f"factor for {MEANING[name]}", 1) for name in MEANING},
        "hazard_per_year": Column(
            pa.float64(), meaning="of a serious infection: the base times all factors", **_PER_YEAR
        ),
        "expected_episodes": Column(
            pa.float64(), "episodes", "serious infections since infusion, expected; 0 for the twins", 0
        ),
        "score": Column(
            pa.float64(), "points", "100 at a healthy child's hazard, 0 at that of untreated SCID", 0, 100
        ),
    },
)

INFECTION_EPISODES = Table(
    "infection_episodes",
    ("patient", "who", "episode"),
    {
        "patient": _PATIENT,
        "who": WHO,
        "episode": Column(pa.int32(), "", "number, in order of time", 0),
        "month": Column(pa.float64(), "months", "after infusion", 0),
        "cause": Column(pa.string(), "", f"the largest factor then, or {BACKGROUND}"),
    },
)


def infection_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `INFECTION_RISK` and `INFECTION_EPISODES`, of the twins as well.

    Twins keep the cells of month 0, and meet the same chances as the patient over the same follow-up.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's `immunity.INPUTS` and ``immune_markers``.
    settings : Settings
        Of the stage ``immunity``.
    """
    months = of_table(tables["immune_markers"])["month"]
    risks, episodes = [], []
    for who in ("patient", *TWINS):
        known = tables
        if who != "patient":
            known = twin_of(patient, tables, who, settings)
            known |= reconstitute(patient, known, settings)
        risk = risk_of(patient, known, who, settings)
        risks.append(risk)
        times, causes = draw_episodes(patient["patient_seed"], months[-1], risk)
        episodes.append((who, times, causes))
    return {
        "infection_risk": INFECTION_RISK.build(
            {
                "patient": np.full(len(months) + len(TWINS), patient["patient"]),
                **{name: np.concatenate([risk[name] for risk in risks]) for name in risks[0]},
            }
        ),
        "infection_episodes": episode_table(patient["patient"], episodes),
    }


def risk_of(
    patient: Mapping, tables: Mapping[str, pa.Table], who: str, settings: Settings
) -> dict[str, np.ndarray]:
    """Return the columns of `INFECTION_RISK` of the patient or a twin, without the patient's number."""
    parts = parts_of(patient, tables, settings)
    months = parts["month"]
    base = settings[f"infection.{'healthy' if who == 'healthy' else 'reconstituted'}_per_year"]
    multiplied = factors(parts, settings)
    hazard = base * np.prod(list(multiplied.values()), axis=0)
    return {
        "month": months,
        "who": np.full(len(months), who),
        "base_per_year": np.full(len(months), base),
        **multiplied,
        "hazard_per_year": hazard,
        "expected_episodes": summed(months, hazard),
        "score": hazard_score(hazard, settings),
    }


def parts_of(patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings) -> dict[str, np.ndarray]:
    """Return what the hazard depends on at each visit.

    Returns
    -------
    dict of str to array of float, shape (visits,)
        ``month`` after infusion; ``since_infusion``, the same, 0 for who was not infused; functional
        ``cd4_t``, ``cd8_t`` and ``nk_cell`` against the median for age; ``igg`` against its median;
        ``thymic_share``; ``neutrophil`` per microlitre; ``oxidase``, the share of neutrophils with it.
    """
    counts, markers = by_lineage(tables["counts"]), of_table(tables["immune_markers"])
    norms, functional = Norms(settings.rows("cell_norms")), functional_counts(patient, counts, settings)
    neutrophils, months = counts["neutrophil"]["count_per_ul"], markers["month"]
    infused = tables["products"].column("infused").to_pylist()[0]
    return {
        "month": months,
        "since_infusion": months * infused,
        **{
            cell: functional[cell] / norms.median(cell, counts[cell]["age_years"])
            for cell in ("cd4_t", "cd8_t", "nk_cell")
        },
        "igg": markers["igg_g_per_l"] / markers["igg_normal_g_per_l"],
        "thymic_share": markers["thymic_share"],
        "neutrophil": neutrophils,
        # Where there is no neutrophil, neutropenia says all.
        "oxidase": np.where(neutrophils > 0, ratio(functional["neutrophil"], neutrophils), 1.0),
    }


def factors(parts: Mapping[str, np.ndarray], settings: Settings) -> dict[str, np.ndarray]:
    """Return the factor of each part of `MEANING`, all at least 1.

    T cells and thymus tell of the same lack in two ways: the larger of their ratios holds, and the
    thymus multiplies by what it exceeds that of T cells by.
    """
    cd4 = settings["infection.t_cell.cd4_share"]
    lacking_t = cd4 * lack(parts["cd4_t"], "t_cell", settings) + (1 - cd4) * lack(
        parts["cd8_t"], "t_cell", settings
    )
    t_cell = settings["infection.t_cell.ratio"] ** lacking_t
    thymus = thymus_ratio(parts["since_infusion"], settings) ** shortfall(
        parts["thymic_share"], settings["trec.recovered_share"], settings["infection.thymus.none"]
    )
    unreplaced = lack(parts["igg"], "antibody", settings) * (1 - settings["infection.antibody.replaced"])
    return {
        "t_cell": t_cell,
        "thymus": np.maximum(thymus / t_cell, 1.0),
        "antibody": settings["infection.antibody.ratio"] ** unreplaced,
        **{
            name: settings[f"infection.{name}.ratio"] ** lack(parts[name], name, settings)
            for name in ("nk_cell", "neutrophil")
        },
        "oxidase": oxidase_ratio(parts["oxidase"], settings),
    }


def lack(part: np.ndarray, name: str, settings: Settings) -> np.ndarray:
    """Return how far a part falls short, by the limits ``infection.<name>.full`` and ``.none``."""
    return shortfall(part, settings[f"infection.{name}.full"], settings[f"infection.{name}.none"])


def shortfall(part: np.ndarray, full: float, none: float) -> np.ndarray:
    """Return 0 from `full` up, 1 from `none` down, and between a straight line in the logarithm."""
    bounded = np.clip(part, none, full)
    return np.log(full / bounded) / np.log(full / none)


def thymus_ratio(months: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the hazard ratio of no thymic recovery by months since infusion, log-linear from 1."""
    published = [settings[f"infection.thymus.ratio_at_{month}_months"] for month in (6, 12)]
    return np.exp(np.interp(months, [0, 6, 12], np.log([1.0, *published])))


def oxidase_ratio(oxidase: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the hazard ratio of a share of neutrophils with oxidase.

    The published odds count infections over years: with R the odds ratio and h the hazard of those who
    have oxidase, the chance of none over a span T is 1 / (1 + R (exp(hT) - 1)), and the hazard that gives
    it ln(1 + R (exp(hT) - 1)) / T.  ln R is a straight line through both published levels, flat below.
    """
    ten, twenty = (np.log(settings[f"infection.oxidase.odds_ratio_at_{share}"]) for share in (10, 20))
    odds_ratio = np.exp(np.clip(ten + (twenty - ten) * (oxidase - 0.1) / 0.1, 0, ten))
    sound = settings["infection.reconstituted_per_year"] * settings["infection.oxidase.span_years"]
    return np.maximum(np.log1p(odds_ratio * np.expm1(sound)) / sound, 1.0)


def hazard_score(hazard: np.ndarray, settings: Settings) -> np.ndarray:
    """Return 100 at a healthy child's hazard and below, 0 at that of untreated SCID, log-linear."""
    return 100 * shortfall(
        hazard, settings["infection.untreated_per_year"], settings["infection.healthy_per_year"]
    )


def draw_episodes(
    seed: int, last_month: float, risk: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw episodes of an inhomogeneous Poisson process, and their causes.

    Points lie evenly over time and height; those below the hazard at their time are episodes.  Heights
    are drawn strip by strip, each from a stream of its own, so that a higher hazard, in another arm or
    a twin, has the same episodes and more.

    Parameters
    ----------
    seed : int
        Of the patient.
    last_month : float
        End of the follow-up.
    risk : mapping of str to array of float
        ``month``, ``hazard_per_year`` and the factors at the visits, straight lines between, as at the
        first before it and as at the last after it.

    Returns
    -------
    months : array of float
        In order.
    causes : array of str
    """
    visits, hazard = risk["month"], risk["hazard_per_year"]
    expected, points = STRIP * last_month / 12, [np.zeros((2, 0))]
    for strip in takewhile(lambda number: number * STRIP < hazard.max(), count()):
        rng = stream(seed, f"immunity.infections.{strip}")
        time, height = rng.random((rng.poisson(expected), 2)).T
        points.append(np.array([time * last_month, (strip + height) * STRIP]))
    time, height = np.concatenate(points, axis=1)
    months = np.sort(time[height < np.interp(time, visits, hazard)])
    then = np.array([np.interp(months, visits, risk[name]) for name in MEANING])
    names = np.array([*MEANING, BACKGROUND])
    return months, names[np.where(then.max(axis=0) >= LEAST_FACTOR, then.argmax(axis=0), len(MEANING))]


def episode_table(number: int, episodes: list[tuple[str, np.ndarray, np.ndarray]]) -> pa.Table:
    """Return `INFECTION_EPISODES` of one patient and the twins."""
    columns = {
        "patient": [np.full(len(months), number) for _, months, _ in episodes],
        "who": [np.full(len(months), who) for who, months, _ in episodes],
        "episode": [np.arange(len(months)) for _, months, _ in episodes],
        "month": [months for _, months, _ in episodes],
        "cause": [causes for *_, causes in episodes],
    }
    return INFECTION_EPISODES.build({name: np.concatenate(parts) for name, parts in columns.items()})
