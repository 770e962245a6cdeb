"""Make the table of one topic."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.tables import write, write_csv
from hsc_pipeline.tracking.series import read_observations, table_of
from hsc_pipeline.tracking.topics import Run, measure

observations = read_observations(*(snakemake.input[name] for name in ("clones", "samples", "assay")))
found = table_of(measure(snakemake.wildcards.topic, Run(observations, snakemake.params.settings)))
write(snakemake.output.parquet, found)
write_csv(snakemake.output.csv, found)
