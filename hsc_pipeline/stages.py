"""The stages of the chain, and what each may read: its values, tables and parts of the study file.

A rule passes just these to its job as parameters, so a change reruns exactly the stages that read
what changed, and a stage that reads something undeclared fails.
"""

from dataclasses import dataclass


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
