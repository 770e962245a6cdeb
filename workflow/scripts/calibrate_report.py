"""Write the verdict and the report of a calibration."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.report import write_report

write_report(
    snakemake.params.folder, snakemake.output.report, snakemake.output.verdict, snakemake.params.settings
)
