"""Write the report of a tracking run."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.tracking.page import write_page

tidy = {name: snakemake.input[name] for name in ("clones", "samples", "assay")}
tables = {name: snakemake.input[name] for name in ("near_sites", "collisions")}
tables |= dict(zip(snakemake.params.topics, snakemake.input.topics, strict=True))
write_page(snakemake.output[0], tidy, tables, snakemake.params.settings)
