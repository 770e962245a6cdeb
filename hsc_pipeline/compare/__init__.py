"""Two finished studies, or two versions of one, on a page: what differs in design and in outcome."""

from pathlib import Path

from hsc_pipeline import __version__
from hsc_pipeline.compare.read import Run, matched, read_runs
from hsc_pipeline.report import FOOTER
from hsc_pipeline.report.page import render
from hsc_pipeline.report.style import colour
from hsc_pipeline.report.wording import counted
from hsc_pipeline.tables import replacing

__all__ = ["compare"]


def compare(first: str | Path, second: str | Path, out: str | Path) -> None:
    """Write a page that sets two finished studies side by side.

    The same two folders make the same bytes.

    Parameters
    ----------
    first, second : path
        Result folders, ``results/<study>``; differences are the second minus the first.
    out : path
        The page to write.

    Raises
    ------
    UserError
        If one is no finished study, or they cannot be compared.
    """
    from hsc_pipeline.compare.sections import compose

    runs = read_runs(first, second)
    page = render(_head(*runs), compose(*runs))
    with replacing(out) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def _head(first: Run, second: Run) -> dict[str, object]:
    """Return what the page says before its sections; see `report.page.render`."""
    shown = [arm for pair in matched(first, second) for arm in pair]
    arms = [arm for arm in dict.fromkeys([*first.arms, *second.arms]) if arm in shown]
    chips = [{"name": arm, "colour": colour(place)} for place, arm in enumerate(arms)]
    said = [
        f"{run.name}: {run.study.get('title') or run.study['disease_title']} · "
        f"{counted(run.patients, 'virtual patient')} in each of {counted(len(run.arms), 'arm')}."
        for run in (first, second)
    ]
    return {
        "title": f"{first.name} beside {second.name}",
        "study": f"{first.name}_{second.name}".replace("/", "_"),
        "kicker": "Comparison of two simulated studies",
        "subtitle": " ".join(said),
        "version": __version__,
        "footer": FOOTER,
        "arms": chips,
        "colours": {chip["name"]: chip["colour"] for chip in chips} if len(chips) > 1 else {},
    }
