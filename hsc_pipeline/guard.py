"""Study files from strangers are checked before Snakemake reads them.

Snakemake reads ``--configfile`` before any rule file, through a template engine that runs Python where
the file says ``__use_yte__: true``, and follows aliases without end.  The profiles in ``profiles/`` call
`protect`, which comes earlier still: settings first, then the study.
"""

import sys
from pathlib import Path


def protect() -> None:
    """Have every configuration file of this process read by `yaml_files.read_yaml`, and by nothing else."""
    from snakemake.common import configfile

    load = configfile._load_configfile
    if getattr(load, "guarded", False):
        return

    def guarded(source, filetype: str = "Config"):
        return checked(source) if isinstance(source, str | Path) else load(source, filetype)

    guarded.guarded = True  # type: ignore[attr-defined]
    configfile._load_configfile = guarded


def checked(path: str | Path) -> dict:
    """Return the content of a study file, or end the process with one sentence."""
    from hsc_pipeline.errors import UserError
    from hsc_pipeline.yaml_files import read_yaml

    try:
        return read_yaml(path)
    except UserError as error:
        sys.exit(f"{error}")
