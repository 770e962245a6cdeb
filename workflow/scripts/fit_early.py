"""Fit and judge the early predictions."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.models.early import chosen, fit_early
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.points import POINT_OUTCOMES, POINT_VISITS
from hsc_pipeline.tables import replacing
from hsc_pipeline.visits import VISITS

swept = snakemake.params.swept
outcomes, visits = (POINT_OUTCOMES, POINT_VISITS) if swept else (OUTCOMES, VISITS)
met = chosen(outcomes.read(snakemake.input.outcomes).to_pandas(), snakemake.params.seed)
reports = visits.read(snakemake.input.visits, among=met["patient"].unique()).to_pandas()
found = fit_early(met, reports, snakemake.params.seed)
for name, frame in found.items():
    with replacing(snakemake.output[name]) as aside:
        frame.to_csv(aside, index=False, float_format="%.10g")
