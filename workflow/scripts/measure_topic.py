"""Make the table of one topic."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.tables import write_csv
from hsc_pipeline.tracking.series import read_observations, table_of
from hsc_pipeline.tracking.topics import Run, measure

observations = read_observations(**dict(snakemake.input.items()))
found = measure(snakemake.wildcards.topic, Run(observations, snakemake.params.settings))
write_csv(snakemake.output[0], table_of(found))
