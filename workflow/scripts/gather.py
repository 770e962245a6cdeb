"""Join the batches of one arm, table by table."""

from hsc_pipeline.logs import start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.tables import gather

for name, path in snakemake.output.items():
    gather(snakemake.input[name], path)
