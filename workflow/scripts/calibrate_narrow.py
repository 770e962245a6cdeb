"""Fit what was simulated so far, and keep the box in which the next round draws."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.fits import narrow
from hsc_pipeline.calibration.run import write_json
from hsc_pipeline.calibration.settings import load_calibration

write_json(snakemake.output[0], narrow(load_calibration(snakemake.params.settings), snakemake.input))
