"""Simulate some rows of parameters."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.run import read_frame, read_json, simulate, write_frame
from hsc_pipeline.calibration.settings import load_calibration

first, last = snakemake.params.rows
found = simulate(
    load_calibration(snakemake.params.settings),
    snakemake.wildcards.structure,
    f"round_{snakemake.wildcards.round}",
    read_frame(snakemake.input.theta).iloc[first : last + 1],
    read_json(snakemake.input.designs),
)
write_frame(snakemake.output[0], found)
