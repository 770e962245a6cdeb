"""Simulate the chosen design with patients whom the search has not seen."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import pandas as pd

from hsc_pipeline.points import POINT_OUTCOMES, read_asked
from hsc_pipeline.tables import replacing
from hsc_pipeline.trials import plan_of
from hsc_pipeline.trials.verify import COLUMNS, verify
from hsc_pipeline.yaml_files import read_yaml

verified = pd.DataFrame(columns=COLUMNS)
if snakemake.params.arms:
    outcomes = POINT_OUTCOMES.read(snakemake.input.sweep[0]).to_pandas()
    settings = {
        arm: read_asked(path)[1]
        for arm, path in zip(snakemake.params.arms, snakemake.input.asked, strict=True)
    }
    verified = verify(
        pd.read_csv(snakemake.input.chosen),
        settings,
        plan_of(read_yaml(snakemake.input.study), float(outcomes["landmark_month"].max())),
        snakemake.params.patients,
        1 + max(int(outcomes["patient"].max()), snakemake.params.patients),
    )
with replacing(snakemake.output[0]) as aside:
    verified.to_csv(aside, index=False)
