"""Join the outcomes of all arms."""

from hsc_pipeline.logs import start

start(snakemake.log[0], pandas=False)

from hsc_pipeline.tables import copy_csv, gather

for name in ("outcomes", "visits"):
    gather(snakemake.input[name], snakemake.output[name])
copy_csv(snakemake.output.outcomes, snakemake.output.csv)
