"""Write the report of a tracking run."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.tracking.page import write_page

files = dict(zip(snakemake.params.settings["topics"], snakemake.input.topics, strict=True))
tidy = {name: snakemake.input[name] for name in ("clones", "samples", "assay")}
write_page(snakemake.output[0], tidy, files, snakemake.params.settings)
