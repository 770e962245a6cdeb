"""Simulate draws of the posterior, and compare what was not fitted."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.fits import predict
from hsc_pipeline.calibration.run import read_frame, read_json, write_frame
from hsc_pipeline.calibration.settings import load_calibration

replicated, predictive = predict(
    load_calibration(snakemake.params.settings),
    read_frame(snakemake.input.joint),
    read_json(snakemake.input.designs),
    read_frame(snakemake.input.observed),
    snakemake.params.predictions,
)
write_frame(snakemake.output.replicated, replicated)
write_frame(snakemake.output.predictive, predictive)
