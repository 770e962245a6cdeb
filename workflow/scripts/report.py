"""Write the report."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.report import write_report

write_report(
    snakemake.output[0],
    arms=snakemake.params.arms,
    files={
        name: list(paths) if name not in snakemake.input else snakemake.input[name]
        for name, paths in snakemake.input.items()
    },
)
