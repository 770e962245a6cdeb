"""Look at the first simulations before the others start."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.run import look_at_pilot, read_frame, write_json

constant = look_at_pilot(read_frame(snakemake.input.part), read_frame(snakemake.input.observed))
write_json(snakemake.output[0], {"constant": constant})
