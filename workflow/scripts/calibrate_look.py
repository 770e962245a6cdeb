"""See whether the data are among the simulations of the prior, and stop where they are not."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.fits import look
from hsc_pipeline.calibration.run import write_frame, write_json

inside, farthest = look(
    snakemake.input.theta,
    snakemake.input.statistics,
    snakemake.input.observed,
    snakemake.input.pilot[0],
    snakemake.params.outside,
)
write_json(snakemake.output.inside, inside)
write_frame(snakemake.output.farthest, farthest)
