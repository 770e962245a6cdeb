"""Snakemake asks the test cluster every two seconds how its jobs are.

The plugin asks ten seconds later each time nothing has ended, so that a job lost is seen after minutes.
Python loads this file by its name; jobs on the nodes, and all else but the run itself, are left alone.
"""

import sys

if "--slurm-init-seconds-before-status-checks" in sys.orig_argv:
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    RemoteExecutor.next_seconds_between_status_checks = property(lambda _: 2, lambda _, seconds: None)
