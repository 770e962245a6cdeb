"""Conditioning: how many host stem cells an agent leaves in a patient."""

from collections.abc import Mapping

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread

SENSITIVITY = "engraftment.sensitivity"  # one draw per patient, whatever the agent


def residual_fraction(patient: Mapping, settings: Settings) -> float:
    """Return the share of a patient's host stem cells that conditioning leaves.

    Patients differ by a factor on its odds; for busulfan that is the same as one on A50.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    settings : Settings
        Of the stage ``engraftment``.
    """
    typical = typical_residual(patient["busulfan_auc"], settings)
    ln_sd = settings["conditioning.residual_ln_odds_sd"]
    if settings["conditioning.agent"] == "busulfan":
        ln_sd = settings["conditioning.hill"] * settings["conditioning.a50_ln_sd"]
    factor = spread(patient["patient_seed"], SENSITIVITY, ln_sd)
    return typical * factor / (1 - typical + typical * factor)


def typical_residual(auc: float, settings: Settings) -> float:
    """Return the share of host stem cells that conditioning leaves in the median patient.

    Parameters
    ----------
    auc : float
        Busulfan exposure, mg*h/L; without effect under other agents.
    settings : Settings
    """
    agent = settings["conditioning.agent"]
    if agent == "none":
        return 1.0
    if agent == "busulfan":
        return residual_host_fraction(auc, settings["conditioning.a50"], settings["conditioning.hill"])
    return settings[f"conditioning.residual.{agent}"]


def residual_host_fraction(auc: float, a50: float, hill: float) -> float:
    """Return the share of host stem cells that busulfan leaves: 1 / (1 + (AUC/A50)^hill).

    Parameters
    ----------
    auc, a50 : float
        Cumulative exposure and the exposure that leaves half, mg*h/L.
    """
    return float(1 / (1 + (auc / a50) ** hill))
