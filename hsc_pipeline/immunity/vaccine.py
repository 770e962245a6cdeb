"""Vaccines: who responds to which, from when on, and for how long; `titres` holds the laws."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hsc_pipeline.immunity.reconstitution import normal_cdf, uncorrected_function
from hsc_pipeline.immunity.titres import Waning, give_doses, titre
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd

VACCINES = ("tetanus", "pneumococcal", "measles", "hepatitis_b", "sars_cov_2")
READ_MONTHS = 1.0  # after the last dose, when a response is usually measured
WHO = ("patient", "healthy", "weakened", "untreated")

_SHARE: dict[str, Any] = {"unit": "", "least": 0, "most": 1}

RESPONSES = Table(
    "vaccine_responses",
    ("patient", "month", "vaccine", "who"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "month": Column(pa.float64(), "months", "visit at which the schedule begins; 0 for the twins", 0),
        "vaccine": Column(pa.string(), "", "name in the catalogue"),
        "who": Column(
            pa.string(),
            "",
            "patient, healthy (twin with median cells), weakened (twin with vaccine.weakened_cells of them) "
            "or untreated (twin)",
        ),
        "capacity": Column(pa.float64(), meaning="to respond at the first dose, 1 in health", **_SHARE),
        "plasmablasts": Column(pa.float64(), "of a healthy first dose", "called up by the last dose", 0),
        "memory": Column(pa.float64(), meaning="after the last dose, 1 at most", **_SHARE),
        "titre": Column(
            pa.float64(), "of the vaccine", "median, a month after the last dose; unit as the threshold's", 0
        ),
        "response_probability": Column(
            pa.float64(), meaning="that the titre is protective a month after the last dose", **_SHARE
        ),
        "lasting_probability": Column(
            pa.float64(), meaning="that it still is vaccine.horizon_years after the last dose", **_SHARE
        ),
        "allowed": Column(
            pa.bool_(), "", "whether the vaccine may be given: a live one needs T cells and time"
        ),
        "score": Column(pa.float64(), "points", "response probability against the healthy twin's", 0, 100),
    },
)

TITRES = Table(
    "titres",
    ("patient", "vaccine", "month"),
    {
        "patient": Column(pa.int32(), "", "number of the virtual patient", 0),
        "vaccine": Column(pa.string(), "", "name in the catalogue"),
        "month": Column(pa.float64(), "months", "visit", 0),
        "given": Column(
            pa.bool_(), "", "whether the first dose has been given by then, at its recommended month"
        ),
        "titre": Column(pa.float64(), "of the vaccine", "of this patient", 0),
        "threshold": Column(pa.float64(), "of the vaccine", "that protects", 0),
        "protected": Column(pa.bool_(), "", "whether the titre reaches the threshold"),
    },
)


def dose_offsets(vaccine: str, settings: Settings) -> np.ndarray:
    """Return the months of the doses after the first, evenly spaced over the schedule."""
    doses = int(settings[f"vaccine.{vaccine}.doses"])
    return np.linspace(0, settings[f"vaccine.{vaccine}.schedule_months"] if doses > 1 else 0, doses)


def capacity(vaccine: str, help_given: np.ndarray, b_cells: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the capacity to respond, 1 in health: B cells, and help in so far as the vaccine needs it.

    Each acts by r (1 + K)/(r + K), at most 1, of functional cells r against the median for age.

    Parameters
    ----------
    vaccine : str
    help_given, b_cells : array of float
        Functional CD4+ and B cells against the median for age.
    settings : Settings
    """
    needed = settings[f"vaccine.{vaccine}.help_share"]
    by_help = 1 - needed + needed * saturating(help_given, settings["vaccine.half_help"])
    return by_help * saturating(b_cells, settings["vaccine.half_b_cells"])


def saturating(relative: np.ndarray, half: float) -> np.ndarray:
    """Return r (1 + K)/(r + K), at most 1: 0 without cells, 1 from a normal number on."""
    relative = np.asarray(relative, float)
    return np.minimum(relative * (1 + half) / (relative + half), 1.0)


@dataclass(frozen=True)
class Response:
    """What a schedule does in people of some capacities.

    Attributes
    ----------
    plasmablasts, memory : array of float
        At the last dose.
    median : array of float
        Titre a month after it.
    responds, lasts : array of float
        Chances that the titre is protective then, and after ``vaccine.horizon_years``.
    """

    plasmablasts: np.ndarray
    memory: np.ndarray
    median: np.ndarray
    responds: np.ndarray
    lasts: np.ndarray


def respond(vaccine: str, capacities: np.ndarray, settings: Settings) -> Response:
    """Give the schedule of a vaccine.

    Parameters
    ----------
    vaccine : str
        One of `VACCINES`.
    capacities : array of float, shape (doses, ...)
        At each dose.
    settings : Settings
    """
    months, waning = dose_offsets(vaccine, settings), waning_of(vaccine, settings)
    given = give_doses(months, capacities, *boosting(vaccine, settings))
    read, late = months[-1] + READ_MONTHS, months[-1] + 12 * settings["vaccine.horizon_years"]
    scale = titre_scale(vaccine, settings)
    median, lasting = (scale * titre(given, waning, month) for month in (read, late))
    return Response(
        given.plasmablasts[-1],
        given.memory[-1],
        median,
        protected_share(vaccine, median, settings),
        protected_share(vaccine, lasting, settings),
    )


def waning_of(vaccine: str, settings: Settings) -> Waning:
    """Return how the titre of a vaccine wanes."""
    return Waning(
        settings[f"vaccine.{vaccine}.short_lived_share"],
        settings[f"vaccine.{vaccine}.short_lived_months"] / 12,
        settings[f"vaccine.{vaccine}.waning_exponent"],
    )


def boosting(vaccine: str, settings: Settings) -> tuple[float, float]:
    """Return the share of the missing memory that a dose gives, and the gain of recall."""
    return settings[f"vaccine.{vaccine}.priming"], settings[f"vaccine.{vaccine}.recall"]


def titre_scale(vaccine: str, settings: Settings) -> float:
    """Return the titre per plasmablast that gives a healthy person the median titre of the catalogue."""
    months, waning = dose_offsets(vaccine, settings), waning_of(vaccine, settings)
    healthy = give_doses(months, np.ones(len(months)), *boosting(vaccine, settings))
    read = months[-1] + READ_MONTHS
    return settings[f"vaccine.{vaccine}.median_titre"] / float(titre(healthy, waning, read))


def protected_share(vaccine: str, median: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the share of people with a protective titre: log-normal between people.

    Of a vaccine against many serotypes, ``vaccine.<name>.required_share`` of them must be reached;
    they scatter within a person.
    """
    from scipy.special import ndtri

    within = (
        ndtri(settings[f"vaccine.{vaccine}.required_share"]) * settings[f"vaccine.{vaccine}.serotype_ln_sd"]
    )
    with np.errstate(divide="ignore"):
        margin = np.log(median) - np.log(settings[f"vaccine.{vaccine}.threshold"]) - within
    return normal_cdf(margin / settings[f"vaccine.{vaccine}.titre_ln_sd"])


def vaccinate_patient(
    patient: Mapping, tables: Mapping[str, pa.Table], settings: Settings
) -> dict[str, pa.Table]:
    """Return one patient's `RESPONSES` to schedules begun at every visit, and `TITRES` of the usual ones.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    tables : mapping of str to pyarrow.Table
        This patient's ``reconstitution``.
    settings : Settings
        Of the stage ``immunity``.
    """
    months, relative = functional_cells(tables["reconstitution"])
    responses = [response_rows(patient, vaccine, months, relative, settings) for vaccine in VACCINES]
    titres = [titre_rows(patient, vaccine, months, relative, settings) for vaccine in VACCINES]
    return {
        table.name: table.build({name: np.concatenate([p[name] for p in parts]) for name in table.columns})
        for table, parts in ((RESPONSES, responses), (TITRES, titres))
    }


def functional_cells(reconstitution: pa.Table) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return visits, and functional CD4+ and B cells against the median for age."""
    columns = {
        name: reconstitution.column(name).to_numpy(zero_copy_only=False)
        for name in ("month", "cell", "functional_per_ul", "normal_per_ul")
    }
    here = {cell: columns["cell"] == cell for cell in ("cd4_t", "b_cell")}
    relative = {
        cell: columns["functional_per_ul"][at] / columns["normal_per_ul"][at] for cell, at in here.items()
    }
    return columns["month"][here["cd4_t"]], relative


def at_doses(
    vaccine: str,
    first: np.ndarray,
    months: np.ndarray,
    relative: Mapping[str, np.ndarray],
    settings: Settings,
) -> np.ndarray:
    """Return the capacity at each dose of schedules begun in months `first`, shape (doses, schedules)."""
    when = dose_offsets(vaccine, settings)[:, None] + np.asarray(first)
    cells = {cell: np.interp(when, months, values) for cell, values in relative.items()}
    return capacity(vaccine, cells["cd4_t"], cells["b_cell"], settings)


def twins(vaccine: str, null_genotype: bool, settings: Settings) -> np.ndarray:
    """Return the capacity of the healthy, the weakened and the untreated twin."""
    untreated = [
        settings[f"disease.untreated_count.{cell}"] * uncorrected_function(cell, null_genotype, settings)
        for cell in ("cd4_t", "b_cell")
    ]
    weak = settings["vaccine.weakened_cells"]
    helpers, b_cells = np.array([[1.0, weak, untreated[0]], [1.0, weak, untreated[1]]])
    return capacity(vaccine, helpers, b_cells, settings)


def response_rows(
    patient: Mapping, vaccine: str, months: np.ndarray, relative: Mapping[str, np.ndarray], settings: Settings
) -> dict[str, np.ndarray]:
    """Return the columns of `RESPONSES` of one vaccine: visits, then the twins."""
    own = at_doses(vaccine, months, months, relative, settings)
    others = twins(vaccine, patient["null_genotype"], settings)
    capacities = np.hstack([own, np.tile(others, (len(own), 1))])
    made = respond(vaccine, capacities, settings)
    healthy = len(months)
    rows = len(months) + len(others)
    return {
        "patient": np.full(rows, patient["patient"]),
        "month": np.concatenate([months, np.zeros(len(others))]),
        "vaccine": np.full(rows, vaccine),
        "who": np.array(["patient"] * len(months) + list(WHO[1:])),
        "capacity": capacities[0],
        "plasmablasts": made.plasmablasts,
        "memory": made.memory,
        "titre": made.median,
        "response_probability": made.responds,
        "lasting_probability": made.lasts,
        "allowed": np.concatenate(
            [allowed(vaccine, months, relative["cd4_t"], settings), [True] * len(others)]
        ),
        "score": np.minimum(100 * made.responds / made.responds[healthy], 100),
    }


def allowed(vaccine: str, months: np.ndarray, cd4: np.ndarray, settings: Settings) -> np.ndarray:
    """Return whether a vaccine may be given: a live one not before its month, and not without T cells."""
    late = months >= settings[f"vaccine.{vaccine}.start_month"]
    if settings[f"vaccine.{vaccine}.live"] == "no":
        return np.ones(len(months), bool)
    return late & (cd4 >= settings["vaccine.live_cd4"])


def titre_rows(
    patient: Mapping, vaccine: str, months: np.ndarray, relative: Mapping[str, np.ndarray], settings: Settings
) -> dict[str, np.ndarray]:
    """Return the columns of `TITRES` of one vaccine: doses from its recommended month on."""
    start = settings[f"vaccine.{vaccine}.start_month"]
    when = start + dose_offsets(vaccine, settings)
    capacities = at_doses(vaccine, np.array([start]), months, relative, settings)[:, 0]
    given = give_doses(when, capacities, *boosting(vaccine, settings))
    waning, scale = waning_of(vaccine, settings), titre_scale(vaccine, settings)
    own = scale * np.exp(
        settings[f"vaccine.{vaccine}.titre_ln_sd"]
        * stream(patient["patient_seed"], f"immunity.titre.{vaccine}").standard_normal()
    )
    level = own * np.array([float(titre(given, waning, month)) for month in months])
    threshold = settings[f"vaccine.{vaccine}.threshold"]
    return {
        "patient": np.full(len(months), patient["patient"]),
        "vaccine": np.full(len(months), vaccine),
        "month": months,
        "given": months >= start,
        "titre": level,
        "threshold": np.full(len(months), threshold),
        "protected": level >= threshold,
    }


def worthwhile_month(responses: "pd.DataFrame", vaccine: str, share: float) -> "pd.Series":
    """Return the first visit from which a schedule does a share of what it does in health, by patient.

    Parameters
    ----------
    responses : pandas.DataFrame
        `RESPONSES` of some patients.
    vaccine : str
    share : float
        Usually ``vaccine.worthwhile_share``.

    Returns
    -------
    pandas.Series
        Months; without a patient for whom no visit reaches it, or the vaccine is never allowed.
    """
    own = responses[(responses["vaccine"] == vaccine) & (responses["who"] == "patient")]
    return own[own["allowed"] & (own["score"] >= 100 * share)].groupby("patient")["month"].min()
