"""The chapters of the report, in the order of the chain: each composes figures, tables and words."""

from hsc_pipeline.report.page import Section
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections import (
    assumptions,
    blood,
    clones,
    design,
    drivers,
    early,
    immunity,
    marrow,
    outcomes,
    product,
    safety,
    trial,
    trust,
    uncertainty,
)


def compose(results: Results) -> list[Section]:
    """Return the sections of the page."""
    return [
        outcomes.summary(results),
        design.question(results),
        product.product(results),
        marrow.engraftment(results),
        blood.blood(results),
        clones.clone_section(results),
        immunity.immunity(results),
        outcomes.outcomes(results),
        safety.safety(results),
        drivers.drivers(results),
        uncertainty.uncertainty(results),
        early.early(results),
        trial.trial(results),
        trust.validation(results),
        assumptions.assumed(results),
        assumptions.provenance(results),
    ]
