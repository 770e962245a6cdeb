"""What the marrow sends out: short-lived infused progenitors first, long-term stem cells later.

Beside both stand corrected progenitors that settle in an empty thymus and stay for years.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hsc_pipeline.blood.lineages import ratio, select
from hsc_pipeline.engraftment.conditioning import typical_residual
from hsc_pipeline.engraftment.thymus import settle_in_thymus
from hsc_pipeline.settings import Settings


@dataclass(frozen=True)
class Production:
    """What enters the blood at each time, against a full marrow.

    Attributes
    ----------
    running : array of float, shape (times,)
        Cells made, 1 in health.
    stem, early : array of float, shape (times,)
        Of these, the share corrected and from long-term stem cells or short-term progenitors.
    uncorrected_stem, uncorrected_early : array of float, shape (times,)
        The same of infused uncorrected cells.
    thymic : array of float, shape (times,)
        Share of a full thymus that corrected thymic progenitors hold.
    copies, function : dict of str to array, shape (times,)
        Per corrected cell, by origin.
    wave : array of float, shape (times,)
        Short-term progenitors still active.
    spared : float
        Share of the host's own blood formation that conditioning spared.
    seeded : int
        Corrected progenitors that settled in the thymus.
    """

    running: np.ndarray
    stem: np.ndarray
    early: np.ndarray
    uncorrected_stem: np.ndarray
    uncorrected_early: np.ndarray
    thymic: np.ndarray
    copies: Mapping[str, np.ndarray]
    function: Mapping[str, np.ndarray]
    wave: np.ndarray
    spared: float
    seeded: int

    @property
    def corrected(self) -> np.ndarray:
        """Corrected share of what enters the blood, before any selection."""
        return self.stem + self.early


def produce(
    times: np.ndarray,
    patient: Mapping,
    product: Mapping,
    marrow: Mapping[str, np.ndarray],
    settings: Settings,
) -> Production:
    """Return one patient's `Production` at `times`, in months.

    Parameters
    ----------
    times : array of float, shape (times,)
    patient, product : mapping
        Rows of `plan.PATIENTS` and `product.PRODUCTS`.
    marrow : mapping of str to array
        Columns of `engraftment.MARROW` of this patient, month 0 first.
    settings : Settings
    """
    spared = spared_share(patient["busulfan_auc"], settings) if product["infused"] else 1.0
    born = np.maximum(times - settings["blood.stem_cell_transit_months"], 0)
    cells = marrow["host"] + marrow["uncorrected"] + marrow["corrected"]
    at_birth = {
        name: np.interp(born, marrow["month"], ratio(marrow[name], cells))
        for name in ("corrected", "uncorrected")
    }
    filled = np.interp(born, marrow["month"], cells / marrow["capacity"])

    dose = product["cd34_per_kg"] / settings["conditioning.full_dose"]
    infused = early_infused_share(spared, dose)
    half = settings["blood.half_output_share"]
    wave = 1 - erlang_cdf(times, settings["blood.early_wave_months"], settings["blood.early_wave_stages"])
    early_made = wave * output(dose * (1 - spared) + spared, half)
    stem_made = (1 - wave) * output(filled, half)
    running = early_made + stem_made
    from_early, from_stem = ratio(early_made, running), ratio(stem_made, running)
    corrected = product["corrected_fraction"]

    seeded = settle_in_thymus(patient, product, settings)
    fade = np.exp(-times / 12 / settings["blood.thymic_life_years"])
    held = seeded / (seeded + settings["blood.thymic_half_filled"])
    of_product = {name: np.full(len(times), product[key]) for name, key in PER_CORRECTED.items()}
    of_stem = {name: known_mean(born, marrow, f"{name}_per_corrected") for name in PER_CORRECTED}
    return Production(
        running=running,
        stem=from_stem * at_birth["corrected"],
        early=from_early * infused * corrected,
        uncorrected_stem=from_stem * at_birth["uncorrected"],
        uncorrected_early=from_early * infused * (1 - corrected),
        thymic=settings["disease.thymic_niches_free"] * held * fade,
        **{
            name: {"stem": of_stem[name], "early": of_product[name], "thymic": of_product[name]}
            for name in PER_CORRECTED
        },
        wave=wave,
        spared=spared,
        seeded=seeded,
    )


def spared_share(auc: float, settings: Settings) -> float:
    """Return how much of the host's own blood formation conditioning spares, in the first weeks.

    Progenitors are killed before stem cells, and with less difference between patients: the odds that
    one is spared are those of a typical patient's stem cell times a ratio, unless the agent has a share
    of its own.

    Parameters
    ----------
    auc : float
        Busulfan exposure, mg*h/L; without effect under other agents.
    settings : Settings
    """
    own = settings.values.get(f"blood.spared_share.{settings['conditioning.agent']}")
    if own is not None:
        return own
    return float(select(typical_residual(auc, settings), settings["blood.spared_odds_ratio"]))


# Columns of `product.PRODUCTS` that hold what a corrected cell of the product has.
PER_CORRECTED = {"copies": "copies_per_corrected", "function": "function"}


def known_mean(times: np.ndarray, marrow: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Return a mean over corrected stem cells at `times`, from the visits that have any; else 0."""
    values = np.asarray(marrow[name], float)
    known = np.isfinite(values)
    return np.interp(times, marrow["month"][known], values[known]) if known.any() else np.zeros(len(times))


def output(filled: np.ndarray | float, half: float) -> np.ndarray | float:
    """Return what a marrow makes against a full one: (1 + half) x / (half + x), at most 1.

    Progenitors amplify, so that few stem cells make normal counts and very few do not.
    """
    return np.minimum((1 + half) * filled / (half + filled), 1.0)


def early_infused_share(spared: float, dose: float) -> float:
    """Return the infused share of short-term output: r(1-s) / (r(1-s) + s).

    Parameters
    ----------
    spared : float
        The host's own blood formation left by conditioning, s.
    dose : float
        CD34+ dose against a full one, r, which by itself makes as much as a healthy marrow.
    """
    infused = dose * (1 - spared)
    return infused / (infused + spared) if infused + spared > 0 else 0.0


def erlang_cdf(time: np.ndarray, mean: float, stages: float) -> np.ndarray:
    """Return P(passed by `time`) of a chain of equal compartments with a mean passage."""
    from scipy.special import gammainc

    return gammainc(stages, stages * np.asarray(time) / mean)


def erlang_quantile(probability: float, stages: float) -> float:
    """Return the time, in units of the mean, by which a chain lets `probability` pass."""
    from scipy.special import gammaincinv

    return float(gammaincinv(stages, probability) / stages)
