"""Within-host models: what each pathogen does, and what stops it.

A model is a start, a rate of change and a load, all functions of arrays with one entry a course.
Effectors are a patient's functional cells against the median for age, 1 in health; parameters are
values of the catalogue without their ``pathogen.<name>.`` or ``response.``.  Nothing grows from
less than one cell or microbe in the host: see `growing`.  The equations stand in
docs/immunity_challenge.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]
Start = tuple[np.ndarray | float, ...]
Numbers = Mapping[str, Any]  # each a number, or an array with an entry a course
Change = Callable[..., Arrays]


@dataclass(frozen=True)
class Pathogen:
    """One within-host model.

    Attributes
    ----------
    effectors : tuple of str
        Effectors that its course depends on.
    states : tuple of str
        Names of its states.
    tolerance : tuple of float
        Error of each state that does not matter, in the unit of the state.
    start : callable of (effectors, parameters)
        States at day 0; arrays of shape (courses,).
    change : callable of (effectors, parameters)
        Returns a function of the states to their rates of change per day, so that what does not change
        is computed once.
    load : callable of (states, parameters)
        What a laboratory would measure.
    in_composite : bool
        Whether its score is part of the composite.
    """

    effectors: tuple[str, ...]
    states: tuple[str, ...]
    tolerance: tuple[float, ...]
    start: Callable[[Numbers, Numbers], Start]
    change: Callable[[Numbers, Numbers], Change]
    load: Callable[[Arrays, Numbers], np.ndarray]
    in_composite: bool = True


def growing(number: np.ndarray) -> np.ndarray:
    """Return the share of its growth that a population keeps: x^4 / (1 + x^4) of its number x in the host.

    A mean below one cell or microbe is a chance of having one, from which an equation would grow
    again and a host would not.  Half of the growth is left at one, next to none below a half.
    """
    square = number * number
    fourth = square * square
    return fourth / (1 + fourth)


def helped(e: Numbers, p: Numbers) -> np.ndarray:
    """Return the help of functional CD4+ cells, H (1 + K)/(H + K), at most 1: 1 in health."""
    cells, half = e["cd4_t"], p["half_help"]
    return np.minimum(cells * (1 + half) / (cells + half), 1)


def killer_growth(resting: np.ndarray, e: Numbers, p: Numbers) -> Callable[..., np.ndarray]:
    """Return the change of killer T cells K under a drive D: a (1 - h + h H) K (1 - K/m) D - w (K - K0)."""
    speed = p["t_cell_expansion"] * (1 - p["help_share"] + p["help_share"] * helped(e, p))
    most, decline = p["most_killers"], p["t_cell_decline"]

    def change(killers: np.ndarray, drive: np.ndarray) -> np.ndarray:
        return speed * killers * (1 - killers / most) * drive - decline * (killers - resting)

    return change


# Respiratory virus: Baccam 2006, 10.1128/JVI.01623-05, with responses ----------------------------


def respiratory_start(e: Numbers, p: Numbers) -> Start:
    """All target cells, the inoculum, and the patient's precursors."""
    return p["target_cells"], 0.0, 0.0, p["inoculum"], e["cd8_naive"], e["b_cell"], 0.0


def respiratory_change(e: Numbers, p: Numbers) -> Change:
    """Target, eclipse and infected cells, virus, killer T cells, plasmablasts and antibody."""
    production, clearance, exit_rate = p["production"], p["virion_clearance"], p["eclipse_exit"]
    # Virus counts as the infected cells that would keep it up, so that an inoculum can infect.
    in_cells = clearance / production
    infection_rate, half, whole = p["infection_rate"], p["half_infected"], p["target_cells"]
    death, killing, regrowth = p["infected_cell_death"], p["t_cell_killing"], p["target_regrowth"]
    by_nk = death + p["nk_killing"] * e["nk_cell"]
    resting, answer, fall = e["b_cell"], p["plasmablast_expansion"] * helped(e, p), p["plasmablast_decline"]
    effect, decay = p["antibody_effect"], p["antibody_decay"]
    killer_change = killer_growth(e["cd8_naive"], e, p)

    def change(target, eclipse, infected, virus, killers, plasmablasts, antibody) -> Arrays:
        infection = infection_rate * target * virus * growing(eclipse + infected + virus * in_cells)
        drive = infected / (infected + half)
        called = plasmablasts - resting
        ripe = exit_rate * eclipse
        return (
            regrowth * (whole - target - eclipse - infected) - infection,
            infection - ripe,
            ripe - (by_nk + killing * killers) * infected,
            production * infected - (clearance + effect * antibody) * virus,
            killer_change(killers, drive),
            answer * plasmablasts * drive - fall * called,
            called - decay * antibody,
        )

    return change


# Cytomegalovirus: reactivates from latency, and T cells of memory hold it --------------------------


def cmv_start(e: Numbers, p: Numbers) -> Start:
    """Latent cells, one of them reactivated, and the patient's CD8+ cells."""
    return p["latent_cells"], p["reactivated_cells"], 0.0, e["cd8_t"]


def cmv_change(e: Numbers, p: Numbers) -> Change:
    """Latent, eclipse and infected cells and killer T cells; target cells do not run out (Duke 2021)."""
    death, exit_rate, half = p["infected_cell_death"], p["eclipse_exit"], p["half_infected"]
    spread, most, reactivation = p["reproduction_number"] * death, p["most_infected"], p["reactivation"]
    latent_share, productive_share = p["latency_share"], 1 - p["latency_share"]
    by_nk, killing = death + p["nk_killing"] * e["nk_cell"], p["t_cell_killing"]
    killer_change = killer_growth(e["cd8_t"], e, p)

    def change(latent, eclipse, infected, killers) -> Arrays:
        cells = eclipse + infected
        infection = spread * infected * (1 - cells / most) * growing(cells)
        woken, ripe = reactivation * latent, exit_rate * eclipse
        return (
            latent_share * infection - woken,
            productive_share * infection + woken - ripe,
            ripe - (by_nk + killing * killers) * infected,
            killer_change(killers, infected / (infected + half)),
        )

    return change


# Bacterium: neutrophils with oxidase against growth, Li 2002 and Malka 2012 ------------------------


def bacterium_start(e: Numbers, p: Numbers) -> Start:
    """The inoculum; no inflammation, no neutrophil."""
    return p["inoculum"], 0.0, 0.0


def bacterium_change(e: Numbers, p: Numbers) -> Change:
    """Bacteria and oxidase-competent neutrophils per mL of tissue, and the inflammation that calls these."""
    rate, most, focus = p["growth"], p["most_bacteria"], p["focus_ml"]
    by_each, saturated = rate / p["critical_neutrophils"], p["half_saturated"]
    half, rise, fall = p["half_noticed"], p["inflammation_rise"], p["inflammation_fall"]
    exit_rate, called = p["neutrophil_exit"], p["most_neutrophils"] * e["neutrophil"]

    def change(bacteria, inflammation, neutrophils) -> Arrays:
        killing = by_each * neutrophils / (1 + bacteria / saturated)
        growth = rate * (1 - bacteria / most) * growing(bacteria * focus)
        noticed = bacteria / (bacteria + half)
        return (
            (growth - killing) * bacteria,
            rise * noticed * (1 - inflammation) - fall * inflammation,
            exit_rate * (called * inflammation - neutrophils),
        )

    return change


# Opportunist: macrophages that CD4+ cells activate, helped by antibody ------------------------------


def opportunist_start(e: Numbers, p: Numbers) -> Start:
    """The inoculum; resting macrophages, no antibody."""
    return p["inoculum"], 0.0, 0.0


def opportunist_change(e: Numbers, p: Numbers) -> Change:
    """Organisms in the lung, share of macrophages that are activated, and antibody, 1 at full response."""
    rate, most, half, killing = p["growth"], p["most_organisms"], p["half_noticed"], p["killing"]
    share, rest, decay = p["antibody_share"], p["deactivation"], p["antibody_decay"]
    call = p["activation"] * np.minimum(e["cd4_t"], 1)
    answer = p["antibody_rise"] * helped(e, p) * np.minimum(e["b_cell"], 1)

    def change(organisms, activated, antibody) -> Arrays:
        drive = organisms / (organisms + half)
        growth = rate * (1 - organisms / most) * growing(organisms)
        killed = killing * activated * (1 - share * (1 - antibody))
        return (
            (growth - killed) * organisms,
            call * drive * (1 - activated) - rest * activated,
            answer * drive * (1 - antibody) - decay * antibody,
        )

    return change


# HIV: CD4+ cells are the target, those without CCR5 are none ---------------------------------------


def hiv_start(e: Numbers, p: Numbers) -> Start:
    """All permissive cells without the edit, and the cells that rekindle the infection."""
    return p["permissive_cells"] * (1 - e["protected"]), 0.0, p["inoculum"]


def hiv_change(e: Numbers, p: Numbers) -> Change:
    """Target, eclipse and infected CD4+ cells in the body.

    R0 holds for the whole of the permissive cells as targets, so that with a share f protected it
    is R0 (1 - f), whatever the count: that in blood is not the density where cells meet.
    """
    death, exit_rate, renewal = p["infected_cell_death"], p["eclipse_exit"], p["target_renewal"]
    meeting = p["reproduction_number"] * death / p["permissive_cells"]
    whole = p["permissive_cells"] * (1 - e["protected"])

    def change(target, eclipse, infected) -> Arrays:
        infection = meeting * target * infected * growing(eclipse + infected)
        ripe = exit_rate * eclipse
        return renewal * (whole - target) - infection, infection - ripe, ripe - death * infected

    return change


def per_infected(place: int) -> Callable[[Arrays, Numbers], np.ndarray]:
    """Return a load in proportion to one state: virions turn over far faster than cells that make them."""
    return lambda states, p: states[place] * p["load_per_infected_cell"]


PATHOGENS: dict[str, Pathogen] = {
    "respiratory_virus": Pathogen(
        ("cd8_naive", "cd4_t", "b_cell", "nk_cell"),
        ("target", "eclipse", "infected", "virus", "killers", "plasmablasts", "antibody"),
        (1.0, 1e-3, 1e-3, 1e-5, 1e-6, 1e-6, 1e-6),
        respiratory_start,
        respiratory_change,
        lambda states, p: states[3],
    ),
    "cmv": Pathogen(
        ("cd8_t", "cd4_t", "nk_cell"),
        ("latent", "eclipse", "infected", "killers"),
        (1e-2, 1e-4, 1e-4, 1e-7),
        cmv_start,
        cmv_change,
        per_infected(2),
    ),
    "bacterium": Pathogen(
        ("neutrophil",),
        ("bacteria", "inflammation", "neutrophils"),
        (1e-4, 1e-7, 1.0),
        bacterium_start,
        bacterium_change,
        lambda states, p: states[0],
    ),
    "opportunist": Pathogen(
        ("cd4_t", "b_cell"),
        ("organisms", "activated", "antibody"),
        (1e-4, 1e-7, 1e-7),
        opportunist_start,
        opportunist_change,
        lambda states, p: states[0],
    ),
    "hiv": Pathogen(
        ("protected",),
        ("target", "eclipse", "infected"),
        (1e3, 1e-3, 1e-3),
        hiv_start,
        hiv_change,
        per_infected(2),
        in_composite=False,
    ),
}
