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
        Keys of the study file; an arm's own where it has the key too.
    """

    values: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    study: tuple[str, ...] = ()


STAGES: dict[str, Reads] = {
    "plan": Reads(
        values=(
            "cohort.",
            "donor.",
            "product.donor",
            "conditioning.agent",
            "conditioning.busulfan_auc",
            "conditioning.auc_",
            "events.",
            # How many T cells are left to reject corrected cells.
            "product.modification",
            "disease.untreated_count.cd4_t",
            "disease.uncorrected_function.cd4_t",
            "disease.null_function_factor",
            "blood.cd4_t.host_survival",
        ),
        tables=("weight_for_age",),
        study=("seed", "independent_arms", "visits_months", "events"),
    ),
    "product": Reads(
        values=(
            "product.",
            "vector.",
            "edit.",
            "expression.",
            "genotoxicity.",
            "drivers.",
            "manufacture.",
            "marrow.capacity_",
            "marrow.division_per_year",
        ),
        tables=("chromosomes", "chromosome_genes", "genes"),
        study=("product_data",),
    ),
    "engraftment": Reads(
        values=(
            "conditioning.agent",
            "conditioning.a50",
            "conditioning.hill",
            "conditioning.residual",
            "conditioning.rescue_",
            "marrow.model",
            "marrow.engine",
            "marrow.capacity_",
            "marrow.division_",
            "marrow.regrowth_",
            "marrow.niche_",
            "marrow.ageing_",
            "marrow.driver_",
            "stress.",
            "disease.corrected_advantage_",
            "disease.thymic_",
            "thymus.",
            "vector.promoter",
            "vector.oncogene_ratio",
            "genotoxicity.",
            "manufacture.rescue_",
            "drivers.",
        ),
        tables=("genes",),
        study=("visits_months",),
    ),
    "blood": Reads(
        values=(
            "blood.",
            "lab.",
            "conditioning.agent",
            "conditioning.a50",
            "conditioning.hill",
            "conditioning.residual.",
            "conditioning.full_dose",
            "conditioning.recovery_",
            "conditioning.neutrophil_",
            "conditioning.platelet_",
            "disease.odds_ratio.",
            "disease.untreated_count.",
            "disease.corrected_count.",
            "disease.red_cell.",
            "disease.thymic_",
            "thymus.",
            "disease.readout.",
            "marrow.clone_output_sigma",
            "product.modification",
            "vector.",
            "edit.",
            "expression.full",
        ),
        tables=("cell_norms", "chromosomes", "chromosome_genes", "genes"),
        study=("visits_months", "sampling", "product_data"),
    ),
    "immunity": Reads(
        values=(
            "score.",
            "challenge.",
            "pathogen.",
            "response.",
            "disease.untreated_count.",
            "disease.uncorrected_function.",
            "disease.null_function_factor",
            "repertoire.",
            "vaccine.",
            "tolerance.",
            "reset.",
            "allogeneic.",
            "events.rejection.",
            "product.modification",
            "product.donor",
            "conditioning.agent",
            "conditioning.a50",
            "conditioning.hill",
            "conditioning.residual.",
            "disease.thymic_",
            "thymus.",
            "marrow.clone_output_sigma",
            "blood.biased_share",
            "blood.bias_concentration",
            "blood.thymic_age_years",
            "blood.spared_",
            "blood.visit_ln_sd",
            "blood.cd4_t.host_",
            "blood.cd8_t.host_",
            "benefit.landmark_month",
            "reconstitution.",
            "trec.",
            "igg.",
            "infection.",
        ),
        tables=("cell_norms", "igg_norms"),
        study=("visits_months",),
    ),
    "outcomes": Reads(
        values=("benefit.", "alarm.", "followup.", "vaccine.worthwhile_share"),
        study=("visits_months", "sampling"),
    ),
}
