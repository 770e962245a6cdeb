"""Join the batches of a round."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import pandas as pd

from hsc_pipeline.calibration.run import read_frame, write_frame

write_frame(snakemake.output[0], pd.concat([read_frame(part) for part in snakemake.input], ignore_index=True))
