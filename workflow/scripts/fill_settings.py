"""Write what each stage may read for an arm."""

from hsc_pipeline.logs import start

start(snakemake.log[0])

import json

from hsc_pipeline.tables import replacing

with replacing(snakemake.output[0]) as aside:
    aside.write_text(json.dumps(snakemake.params.settings), encoding="utf-8")
