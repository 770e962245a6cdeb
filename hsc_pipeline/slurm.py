"""Snakemake goes on asking for its jobs on Slurm after the controller was away.

The executor plugin (2.8.0) asks for the states of its jobs round by round.  After a round that nobody
answered it drops every job, and Snakemake waits for them for ever.  One is enough: while the controller is
away the plugin turns to sacct, which never answers where there is no accounting.  ``profiles/slurm`` calls
`keep_asking`.
"""

import importlib
from typing import Any


def keep_asking() -> None:
    """Have a round that Slurm did not answer be one that tells of no job, so that another follows."""
    try:
        plugin: Any = importlib.import_module("snakemake_executor_plugin_slurm")
    except ImportError:
        return  # Snakemake's own words for a missing executor are better
    ask = plugin.query_job_status
    if getattr(ask, "patient", False):
        return

    async def patient(command: str, logger: Any) -> tuple[dict[str, str], float]:
        states, seconds = await ask(command, logger)
        return ({}, 0.0) if states is None else (states, seconds)

    patient.patient = True  # type: ignore[attr-defined]
    plugin.query_job_status = patient
