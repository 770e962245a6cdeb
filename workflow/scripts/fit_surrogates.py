"""Fit and judge the surrogate models of the outcomes."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.models import fit_surrogates
from hsc_pipeline.outcomes import OUTCOMES
from hsc_pipeline.tables import replacing

found = fit_surrogates(OUTCOMES.read(snakemake.input.outcomes).to_pandas(), snakemake.params.seed)
for name, frame in found.items():
    with replacing(snakemake.output[name]) as aside:
        frame.to_csv(aside, index=False)
