"""Draw the parameters of one round."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

from hsc_pipeline.calibration.draws import draw
from hsc_pipeline.calibration.run import read_json, write_frame
from hsc_pipeline.calibration.settings import load_calibration

calibration = load_calibration(snakemake.params.settings)
theta = draw(
    calibration.structures[snakemake.wildcards.structure],
    calibration.patients,
    snakemake.params.simulations,
    calibration.file.seed,
    f"{snakemake.wildcards.structure}.{snakemake.wildcards.round}",
    read_json(snakemake.input[0]) if snakemake.input else None,
)
write_frame(snakemake.output[0], theta)
