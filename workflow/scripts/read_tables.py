"""Read the tables of a tracking file into the tidy form."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.tracking.series import read_tables, write_observations

write_observations(read_tables(snakemake.params.tables), **dict(snakemake.output.items()))
