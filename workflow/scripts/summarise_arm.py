"""Summarise one arm, a row per patient."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import pyarrow.parquet as pq

from hsc_pipeline.outcomes import monitor, summarise_arm
from hsc_pipeline.settings import Settings
from hsc_pipeline.tables import each_patient, whole, write

files = dict(snakemake.input.items())
settings = Settings(**snakemake.params.settings)
monitoring = monitor(each_patient(files.pop("integration_sites")), settings.study["sampling"]["months"])
tables = {}
for name, path in files.items():
    with whole(path):
        tables[name] = pq.read_table(path, use_threads=False).to_pandas()
write(
    snakemake.output[0],
    summarise_arm(snakemake.wildcards.arm, {**tables, "monitoring": monitoring}, settings),
)
