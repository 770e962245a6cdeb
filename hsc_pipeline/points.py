"""Points: other values than an arm's, each simulated in patients of its own, from plan to outcomes.

A sweep lays its points where the study file asks; the uncertainty of the catalogue draws all its
uncertain values together.  Both are simulated in memory, many points a job: only outcomes are kept.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hsc_pipeline.chain import simulate
from hsc_pipeline.errors import ModelError, UserError
from hsc_pipeline.outcomes import OUTCOMES, summarise
from hsc_pipeline.possible import check_product
from hsc_pipeline.prior import within
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import stream
from hsc_pipeline.tables import Column, Table
from hsc_pipeline.visits import VISITS

_POINT = Column(pa.int32(), "", "number of the point", 0)
_ARM = Column(pa.string(), "", "arm whose values the point replaces")

MOST_ATTEMPTS = 50  # to draw values that are possible together

POINTS = Table(
    "points",
    ("point", "arm", "parameter"),
    {
        "point": _POINT,
        "arm": _ARM,
        "parameter": Column(pa.string(), "", "name of a catalogue value"),
        "value": Column(pa.float64(), "see the catalogue", "what it is at the point"),
    },
)
POINT_OUTCOMES = Table("outcomes", ("point", *OUTCOMES.key), {"point": _POINT, **OUTCOMES.columns})
POINT_VISITS = Table("visits", ("point", *VISITS.key), {"point": _POINT, **VISITS.columns})
FAILED = Table(
    "failed",
    ("point", "arm"),
    {
        "point": _POINT,
        "arm": _ARM,
        "reason": Column(pa.string(), "", "why values that are possible one by one are not together"),
    },
)


def read_asked(path: str | Path) -> tuple[dict, dict[str, Settings]]:
    """Read what points of an arm are laid by, and its settings by stage, as rule ``ask_points`` left them."""
    asked = json.loads(Path(path).read_text(encoding="utf-8"))
    return asked["lay"], {stage: Settings(**given) for stage, given in asked["settings"].items()}


def lay_points(arm: str, lay: Mapping, settings: Mapping[str, Settings]) -> pa.Table:
    """Return `POINTS` of one arm.

    Parameters
    ----------
    arm : str
    lay : mapping
        Keyword arguments of `lay_sweep`, `draw_posterior` or `draw_uncertain`.
    settings : mapping of str to Settings
        Of the arm, by stage.
    """
    if "sweep" in lay:
        return long(lay_sweep(**lay), arm)
    if "rows" in lay:
        return long(draw_posterior(**lay), arm)
    return long(draw_uncertain(**lay, settings=settings), arm)


def lay_sweep(sweep: Mapping, whole: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Return the points of a sweep by name of the value.

    Parameters
    ----------
    sweep : mapping
        The part of the study file: ``design``, ``over``, ``points``.
    whole : sequence of str
        Names of values that are whole numbers.
    seed : int
        Of the study.
    """
    over = sweep["over"]
    if sweep["design"] == "grid":
        axes = np.meshgrid(*(levels(span) for span in over.values()), indexing="ij")
        columns = {name: axis.ravel() for name, axis in zip(over, axes, strict=True)}
    else:
        u = filled_cube(sweep["design"], sweep["points"], len(over), seed)
        columns = {name: spanned(u[:, i], span) for i, (name, span) in enumerate(over.items())}
    return {name: np.round(column) if name in whole else column for name, column in columns.items()}


def levels(span: Mapping) -> np.ndarray:
    """Return the values of a span on a grid."""
    if span["values"]:
        return np.array(span["values"], float)
    space = np.geomspace if span["scale"] == "log" else np.linspace
    return space(span["least"], span["most"], span["levels"])


def spanned(u: np.ndarray, span: Mapping) -> np.ndarray:
    """Return the values of a span at quantiles, or of a list with equal chances."""
    if span["values"]:
        listed = np.array(span["values"], float)
        return listed[np.minimum((u * len(listed)).astype(int), len(listed) - 1)]
    least, most = span["least"], span["most"]
    if span["scale"] == "log":
        return least * (most / least) ** u
    return least + (most - least) * u


def filled_cube(design: str, points: int, dimensions: int, seed: int) -> np.ndarray:
    """Return points that fill the unit cube: scipy's Latin hypercube or scrambled Sobol sequence.

    Returns
    -------
    array of float, shape (points, dimensions)
    """
    from scipy.stats import qmc

    rng = stream(seed, f"points.{design}")
    if design == "sobol":
        return qmc.Sobol(dimensions, scramble=True, rng=rng).random_base2(int(math.log2(points)))
    return qmc.LatinHypercube(dimensions, rng=rng).random(points)


def draw_uncertain(
    ranges: Mapping[str, Sequence], draws: int, seed: int, settings: Mapping[str, Settings]
) -> dict[str, np.ndarray]:
    """Return draws of all uncertain values together by name: a Latin hypercube over their ranges.

    Ranges of single values do not know of one another: a draw whose values are impossible together is
    drawn anew.  A value has the same draws in every arm in which they are possible.

    Parameters
    ----------
    ranges : mapping of str to (least, most, whole)
        By name of the value.
    draws : int
    seed : int
        Of the study.
    settings : mapping of str to Settings
        By stage.
    """
    drawn = {name: np.empty(draws) for name in ranges}
    impossible = list(range(draws))
    for attempt in range(MOST_ATTEMPTS):
        for name, (least, most, whole) in ranges.items():
            rng = stream(seed, f"points.uncertainty.{attempt}.{name}")
            u = (rng.permutation(draws) + rng.random(draws)) / draws
            drawn[name][impossible] = within(u, least, most, whole)[impossible]
        impossible = [
            point
            for point in impossible
            if not _possible(at_point(settings, {name: float(v[point]) for name, v in drawn.items()}))
        ]
        if not impossible:
            break
    return drawn


def _possible(settings: Mapping[str, Settings]) -> bool:
    try:
        check_point("", settings)
    except UserError:
        return False
    return True


def draw_posterior(rows: Mapping[str, Sequence[float]], draws: int, seed: int) -> dict[str, np.ndarray]:
    """Return rows of a posterior drawn without replacement, by name of the value."""
    held = len(next(iter(rows.values())))
    chosen = stream(seed, "points.posterior").permutation(held)[:draws]
    return {name: np.asarray(column, float)[chosen] for name, column in rows.items()}


def long(columns: Mapping[str, np.ndarray], arm: str) -> pa.Table:
    """Return `POINTS` of one array of values a parameter."""
    points, names = len(next(iter(columns.values()), ())), list(columns)
    return POINTS.build(
        {
            "point": np.repeat(np.arange(points), len(names)),
            "arm": [arm] * (points * len(names)),
            "parameter": names * points,
            "value": [float(columns[name][point]) for point in range(points) for name in names],
        }
    )


def simulate_points(
    points: pa.Table,
    arm: str,
    first: int,
    last: int,
    settings: Mapping[str, Settings],
    *,
    patients: int,
    same_patients: bool,
    may_fail: bool,
) -> Iterator[dict[str, pa.Table]]:
    """Yield `POINTS`, `POINT_OUTCOMES`, `POINT_VISITS` and `FAILED` point by point.

    Parameters
    ----------
    points : pyarrow.Table
        `POINTS`.
    arm : str
    first, last : int
        Points to simulate.
    settings : mapping of str to Settings
        Of the arm, by stage.
    patients : int
        At each point.
    same_patients : bool
        Whether these are the same at every point: common random numbers.
    may_fail : bool
        Whether a point that is scientifically impossible is put down; else it ends the run.

    Raises
    ------
    ModelError
        If a point is impossible and none may be.
    """
    for point in range(first, last + 1):
        here = points.filter((pc.field("point") == point) & (pc.field("arm") == arm))
        values = dict(zip(here["parameter"].to_pylist(), here["value"].to_pylist(), strict=True))
        start = 0 if same_patients else point * patients
        found = {
            "points": here,
            "outcomes": POINT_OUTCOMES.schema.empty_table(),
            "visits": POINT_VISITS.schema.empty_table(),
            "failed": FAILED.schema.empty_table(),
        }
        try:
            made = simulate_point(settings, arm, values, range(start, start + patients))
        except (ModelError, UserError) as error:
            if not may_fail:
                raise ModelError(f"point {point} of the sweep, arm {arm!r}: {error}") from error
            found["failed"] = FAILED.build({"point": [point], "arm": [arm], "reason": [str(error)]})
        else:
            found["outcomes"] = numbered(POINT_OUTCOMES, made["outcomes"], point)
            found["visits"] = numbered(POINT_VISITS, made["visits"], point)
        yield found


def simulate_point(
    settings: Mapping[str, Settings], arm: str, values: Mapping[str, float], patients: Sequence[int]
) -> dict[str, pa.Table]:
    """Return ``outcomes`` and ``visits`` of some patients of an arm under other values.

    Parameters
    ----------
    settings : mapping of str to Settings
        Of the arm, by stage.
    arm : str
    values : mapping of str to float
        Replace the arm's, by name.
    patients : sequence of int
        Numbers of the patients.

    Raises
    ------
    UserError, ModelError
        If the values are impossible together.
    """
    own = at_point(settings, values)
    check_point(arm, own)
    return summarise(arm, simulate(own, arm, patients), own["outcomes"])


def at_point(settings: Mapping[str, Settings], values: Mapping[str, float]) -> dict[str, Settings]:
    """Return the settings of each stage with other values, in the stages that read them."""
    return {
        stage: replace(given, values={n: values.get(n, v) for n, v in given.values.items()})
        for stage, given in settings.items()
    }


def check_point(arm: str, settings: Mapping[str, Settings]) -> None:
    """Refuse a product that cannot be, as `possible.check_product`."""
    values = {name: value for given in settings.values() for name, value in given.values.items()}
    check_product(arm, values, settings["product"].tables["genes"])


def numbered(schema: Table, table: pa.Table, point: int) -> pa.Table:
    """Return a table with the number of its point."""
    return schema.check(
        pa.Table.from_arrays(
            [pa.array([point] * table.num_rows, pa.int32()), *table.columns], schema=schema.schema
        )
    )
