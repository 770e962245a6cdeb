"""Report: one page to read and to send round, made of the tables of a finished run."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from hsc_pipeline import __version__
from hsc_pipeline.report.page import render
from hsc_pipeline.report.results import Results, read_results
from hsc_pipeline.report.sections import compose
from hsc_pipeline.report.style import colour
from hsc_pipeline.report.wording import counted
from hsc_pipeline.tables import replacing

__all__ = ["write_report"]

FOOTER = "Scores, not clinical probabilities; virtual patients, not real ones; not a medical device."

logger = logging.getLogger("hsc_pipeline")


def write_report(
    path: str | Path, arms: Sequence[str], files: Mapping[str, str | Path | Sequence[str | Path]]
) -> None:
    """Write the report of a finished run.

    The same tables make the same bytes: nothing on the page is drawn at random or dated.

    Parameters
    ----------
    path : path
        The page to write.
    arms : sequence of str
        In the order of the study file.
    files : mapping of str to path or sequence of path
        ``study`` and ``outcomes``: one file each; ``answers``: the tables of models and trials;
        ``clone_sizes``, ``sites`` and every table of `results.TABLES`: one file an arm, in their order.
    """
    study = yaml.safe_load(Path(files["study"]).read_text(encoding="utf-8"))
    results = read_results(study, arms, files)
    logger.info("%d patients in %d arms read", len(results.outcomes), len(arms))
    page = render(head_of(results), compose(results))
    with replacing(path) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")
    logger.info("report of %d kB written", len(page) // 1000)


def head_of(results: Results) -> dict[str, object]:
    """Return what the page says before its sections; see `page.render`."""
    study = results.study
    n, arms = study["patients"], len(results.all_arms)
    of_arms = f"in each of {arms} arms" if arms > 1 else "in one arm"
    who, last = counted(n, "virtual patient"), study["visits_months"][-1]
    chips = [{"name": arm, "colour": colour(place)} for place, arm in enumerate(results.arms)]
    return {
        "title": study["title"] or study["name"],
        "study": study["name"],
        "kicker": f"Simulated study {study['name']} · {study['disease_title']}",
        "subtitle": f"{who} {of_arms}, followed for {last:g} months after infusion.",
        "version": __version__,
        "footer": FOOTER,
        "arms": chips,
        "colours": {chip["name"]: chip["colour"] for chip in chips} if len(chips) > 1 else {},
    }
