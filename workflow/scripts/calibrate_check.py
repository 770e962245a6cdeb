"""Check the fit on simulations whose parameters are known."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.fits import check
from hsc_pipeline.calibration.run import write_frame
from hsc_pipeline.calibration.settings import load_calibration

for name, rows in check(load_calibration(snakemake.params.settings), snakemake.input).items():
    write_frame(snakemake.output[name], rows)
