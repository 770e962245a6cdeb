"""Read the tables of a tracking file into the tidy form."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.tables import write_csv
from hsc_pipeline.tracking.series import read_tables, table_of, write_observations

observations, found = read_tables(snakemake.params.settings)
write_observations(observations, **{name: snakemake.output[name] for name in ("clones", "samples", "assay")})
for name, rows in found.items():
    write_csv(snakemake.output[name], table_of(rows))
