"""Join the outcomes of all arms."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import pyarrow.parquet as pq

from hsc_pipeline.tables import gather, write_csv

gather(snakemake.input, snakemake.output.parquet)
write_csv(snakemake.output.csv, pq.read_table(snakemake.output.parquet, use_threads=False))
