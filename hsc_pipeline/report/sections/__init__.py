"""The chapters of the report, in the order of the chain: each composes figures, tables and words."""

from hsc_pipeline.report.page import Section
from hsc_pipeline.report.results import Results
from hsc_pipeline.report.sections import (
    assumptions,
    blood,
    design,
    drivers,
    early,
    immunity,
    marrow,
    outcomes,
    product,
    safety,
    trial,
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
        blood.clones(results),
        immunity.immunity(results),
        safety.safety(results),
        outcomes.outcomes(results),
        drivers.drivers(results),
        early.early(results),
        uncertainty.uncertainty(results),
        trial.trial(results),
        assumptions.assumed(results),
        assumptions.provenance(results),
    ]
