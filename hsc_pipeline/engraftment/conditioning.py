"""Conditioning: how many host stem cells an agent leaves in a patient."""

from collections.abc import Mapping

from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import spread

SENSITIVITY = "engraftment.sensitivity"  # one draw per patient, whatever the agent


def residual_fraction(patient: Mapping, settings: Settings) -> float:
    """Return the share of a patient's host stem cells that conditioning leaves.

    Parameters
    ----------
    patient : mapping
        Row of `plan.PATIENTS`.
    settings : Settings
        Of the stage ``engraftment``.
    """
    agent, seed = settings["conditioning.agent"], patient["patient_seed"]
    if agent == "none":
        return 1.0
    if agent == "busulfan":
        return residual_host_fraction(
            patient["busulfan_auc"],
            a50=settings["conditioning.a50"] * spread(seed, SENSITIVITY, settings["conditioning.a50_ln_sd"]),
            hill=settings["conditioning.hill"],
        )
    median = settings[f"conditioning.residual.{agent}"]
    factor = spread(seed, SENSITIVITY, settings["conditioning.residual_ln_odds_sd"])
    return median * factor / (1 - median + median * factor)


def residual_host_fraction(auc: float, a50: float, hill: float) -> float:
    """Return the share of host stem cells that busulfan leaves: 1 / (1 + (AUC/A50)^hill).

    Parameters
    ----------
    auc, a50 : float
        Cumulative exposure and the exposure that leaves half, mg*h/L.
    """
    return float(1 / (1 + (auc / a50) ** hill))
