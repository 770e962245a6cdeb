"""Summarise one arm, a row per patient."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import pyarrow.parquet as pq

from hsc_pipeline.outcomes import summarise_arm
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import write

tables = {name: pq.read_table(path, use_threads=False).to_pandas() for name, path in snakemake.input.items()}
write(
    snakemake.output[0], summarise_arm(snakemake.wildcards.arm, tables, Settings(**snakemake.params.settings))
)
