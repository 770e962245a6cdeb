"""Values of a product that are possible one by one and not together; checked before any job."""

from collections.abc import Mapping, Sequence
from math import exp

from hsc_pipeline.errors import UserError

MOST_STEM_CELLS = 1e7  # in one product; a job holds a few numbers of each
MOST_COPIES = 20  # per stem cell, in the mean
MOST_DRIVERS = 1e7  # in one marrow and lifetime
MOST_DRIVER_ADVANTAGE = 1.0  # per year, in the mean; the fastest published driver has half of it
MOST_CUT = 20  # of the gamma law of drivers: e^-20 of them are above
KG, HIGH = 75, 2  # an adult; standard deviations above the median


def check_product(arm: str, values: Mapping[str, float | str], genes: Sequence[Sequence]) -> None:
    """Refuse a product that cannot be.

    Parameters
    ----------
    arm : str
        Its name, for the message.
    values : mapping of str to float or str
        Of the arm, by dotted name.
    genes : sequence of (gene, class, frequency, ...)
        Where its vector prefers to land.

    Raises
    ------
    UserError
        One sentence: the arm, the values, what is allowed.
    """
    checks = [_check_graft, _check_drivers]
    if "product.mean_copies" in values:
        _check_preference(arm, values, genes)
        checks += [_check_copies, _check_expression, _check_advantage]
    if "edit.intended" in values:
        checks += [_check_alleles, _check_rearrangements]
    for check in checks:
        check(arm, values)


def _refuse(arm: str, values: Mapping, names: Sequence[str], problem: str) -> None:
    shown = ", ".join(f"{name} = {values[name]:g}" for name in names)
    raise UserError(f"arm {arm!r}: {shown}{problem}")


def _check_graft(arm: str, values: Mapping) -> None:
    harvests = values["manufacture.most_harvests"]
    if harvests % 1 or harvests > 100:
        _refuse(arm, values, ["manufacture.most_harvests"], "; allowed: a whole number from 1 to 100")
    ratio = f"product.lt_hsc_ratio.{values['product.source']}"
    names = ["product.cd34_per_kg", "product.lt_hsc_per_cd34", ratio]
    spreads = ["product.cd34_ln_sd", "product.lt_hsc_log10_sd"]
    dose, frequency, source = (values[name] for name in names)
    cells = KG * dose * frequency * source
    cells *= exp(HIGH * values[spreads[0]]) * 10 ** (HIGH * values[spreads[1]])
    if cells > MOST_STEM_CELLS:
        problem = (
            f": up to {cells:.2g} stem cells in a patient of {KG} kg, {HIGH} standard deviations above "
            f"the median; allowed: at most {MOST_STEM_CELLS:g}"
        )
        _refuse(arm, values, [*names, *spreads], problem)


def _check_drivers(arm: str, values: Mapping) -> None:
    supply, cells = values["drivers.per_cell_year"], values["marrow.capacity_adult"]
    if supply * cells * 100 > MOST_DRIVERS:
        problem = f": {supply * cells * 100:.2g} in 100 years; allowed: at most {MOST_DRIVERS:g}"
        _refuse(arm, values, ["drivers.per_cell_year", "marrow.capacity_adult"], problem)
    shape, rate = values["drivers.shape"], values["drivers.years_per_advantage"]
    if shape / rate > MOST_DRIVER_ADVANTAGE:
        problem = f": {shape / rate:.3g} a year in the mean; allowed: at most {MOST_DRIVER_ADVANTAGE:g}"
        _refuse(arm, values, ["drivers.shape", "drivers.years_per_advantage"], problem)
    if values["drivers.least_advantage"] * rate > MOST_CUT:
        problem = f": next to none is so large; allowed: a least advantage of at most {MOST_CUT / rate:.3g}"
        _refuse(arm, values, ["drivers.least_advantage", "drivers.years_per_advantage"], problem)


def _check_copies(arm: str, values: Mapping) -> None:
    """Refuse a transduced fraction that no law of copies with that mean can have, and copies beyond it."""
    mean, fraction = values["product.mean_copies"], values["product.transduced_fraction"]
    most = 1 - exp(-mean)
    if not 0 < fraction < most:
        raise UserError(
            f"arm {arm!r}: product.transduced_fraction = {fraction:g} with "
            f"product.mean_copies = {mean:g}; allowed: above 0 and below {most:.3f}, the Poisson limit"
        )
    names = ["product.mean_copies", "product.lt_copies_ratio", "product.mean_copies_ln_sd"]
    if mean * values[names[1]] > MOST_COPIES:
        problem = f": {mean * values[names[1]]:g} copies per stem cell; allowed: at most {MOST_COPIES}"
        _refuse(arm, values, names[:2], problem)
    if values[names[2]] > 1:
        _refuse(arm, values, names[2:], "; allowed: at most 1")


def _check_expression(arm: str, values: Mapping) -> None:
    if not values["expression.most"]:
        _refuse(arm, values, ["expression.most"], "; allowed: above 0; expression.per_copy may be 0")


def _check_advantage(arm: str, values: Mapping) -> None:
    names = ["genotoxicity.advantage_least", "genotoxicity.advantage_most"]
    if values[names[0]] > values[names[1]]:
        _refuse(arm, values, names, "; allowed: the most not below the least")


def _check_preference(arm: str, values: Mapping, genes: Sequence[Sequence]) -> None:
    ratio = values["vector.oncogene_ratio"]
    taken = sum(row[2] * (ratio if row[1] == "oncogene" else 1) for row in genes)
    if taken > 1:
        problem = f": the named genes would take {taken:.3g} of all insertions; allowed: at most 1"
        _refuse(arm, values, ["vector.oncogene_ratio"], problem)


def _check_alleles(arm: str, values: Mapping) -> None:
    """Refuse outcomes of an allele that together are more than certain."""
    names = [f"edit.{name}" for name in ("intended", "indel", "large_deletion", "bystander")]
    if sum(values[name] for name in names) > 1:
        shown = " + ".join(f"{name} = {values[name]:g}" for name in names)
        raise UserError(f"arm {arm!r}: {shown}; allowed: at most 1 together")


def _check_rearrangements(arm: str, values: Mapping) -> None:
    names = ["edit.off_target_per_cell", "edit.translocation_per_cell"]
    if sum(values[name] for name in names) > 1:
        _refuse(arm, values, names, "; allowed: at most 1 together")
