"""Fit the posterior, and write the study that goes on from it."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.fits import fit_posterior
from hsc_pipeline.calibration.posterior_study import write_studies
from hsc_pipeline.calibration.run import write_frame, write_json
from hsc_pipeline.calibration.settings import load_calibration

calibration = load_calibration(snakemake.params.settings)
found = fit_posterior(calibration, snakemake.input)
for name in ("joint", "summary", "identifiability", "profile", "correlations"):
    write_frame(snakemake.output[name], found[name])
write_json(snakemake.output.fit, found["fit"])
write_studies(calibration, found["joint"], snakemake.output.posterior, snakemake.output.study)
