"""Within-host models: what each pathogen does, and what stops it.

A model is a start, a rate of change and a load, all functions of arrays with one entry a course.
Effectors are a patient's functional cells against the median for age, 1 in health; parameters are
values of the catalogue without their ``pathogen.<name>.`` or ``response.``.  Nothing grows from
less than one cell or microbe in the host: see `growing`.  The equations stand in
docs/immunity_challenge.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = tuple[np.ndarray, ...]
Numbers = Mapping[str, np.ndarray]


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
    start, change : callable of (effectors, parameters) and (states, effectors, parameters)
        States at day 0, and their rates of change per day; arrays of shape (courses,).
    load : callable of (states, parameters)
        What a laboratory would measure.
    in_composite : bool
        Whether its score is part of the composite.
    """

    effectors: tuple[str, ...]
    states: tuple[str, ...]
    tolerance: tuple[float, ...]
    start: Callable[[Numbers, Numbers], Arrays]
    change: Callable[[Arrays, Numbers, Numbers], Arrays]
    load: Callable[[Arrays, Numbers], np.ndarray]
    in_composite: bool = True


def growing(number: np.ndarray) -> np.ndarray:
    """Return the share of its growth that a population keeps: x^4 / (1 + x^4) of its number x in the host.

    A mean below one cell or microbe is a chance of having one, from which an equation would grow
    again and a host would not.  Half of the growth is left at one, next to none below a half.
    """
    square = number * number
    return square * square / (1 + square * square)


def helped(e: Numbers, p: Numbers) -> np.ndarray:
    """Return the help of functional CD4+ cells, H (1 + K)/(H + K), at most 1: 1 in health."""
    cells, half = e["cd4_t"], p["half_help"]
    return np.minimum(cells * (1 + half) / (cells + half), 1)


def killer_growth(killers: np.ndarray, resting: np.ndarray, drive: np.ndarray, e: Numbers, p: Numbers):
    """Return the rate of change of killer T cells K: a (1 - h + h H) K (1 - K/m) D - w (K - K0)."""
    speed = p["t_cell_expansion"] * (1 - p["help_share"] + p["help_share"] * helped(e, p))
    grown = speed * killers * (1 - killers / p["most_killers"]) * drive
    return grown - p["t_cell_decline"] * (killers - resting)


# Respiratory virus: Baccam 2006, 10.1128/JVI.01623-05, with responses ----------------------------


def respiratory_start(e: Numbers, p: Numbers) -> Arrays:
    """All target cells, the inoculum, and the patient's precursors."""
    return p["target_cells"], 0.0, 0.0, p["inoculum"], e["cd8_naive"], e["b_cell"], 0.0


def respiratory_change(states: Arrays, e: Numbers, p: Numbers) -> Arrays:
    """Target, eclipse and infected cells, virus, killer T cells, plasmablasts and antibody."""
    target, eclipse, infected, virus, killers, plasmablasts, antibody = states
    # Virus counts as the infected cells that would keep it up, so that an inoculum can infect.
    cells = eclipse + infected + virus * p["virion_clearance"] / p["production"]
    infection = p["infection_rate"] * target * virus * growing(cells)
    drive = infected / (infected + p["half_infected"])
    killing = p["infected_cell_death"] + p["nk_killing"] * e["nk_cell"] + p["t_cell_killing"] * killers
    called = plasmablasts - e["b_cell"]
    return (
        p["target_regrowth"] * (p["target_cells"] - target - eclipse - infected) - infection,
        infection - p["eclipse_exit"] * eclipse,
        p["eclipse_exit"] * eclipse - killing * infected,
        p["production"] * infected - (p["virion_clearance"] + p["antibody_effect"] * antibody) * virus,
        killer_growth(killers, e["cd8_naive"], drive, e, p),
        p["plasmablast_expansion"] * helped(e, p) * plasmablasts * drive - p["plasmablast_decline"] * called,
        called - p["antibody_decay"] * antibody,
    )


# Cytomegalovirus: reactivates from latency, and T cells of memory hold it --------------------------


def cmv_start(e: Numbers, p: Numbers) -> Arrays:
    """Latent cells, one of them reactivated, and the patient's CD8+ cells."""
    return p["latent_cells"], p["reactivated_cells"], 0.0, e["cd8_t"]


def cmv_change(states: Arrays, e: Numbers, p: Numbers) -> Arrays:
    """Latent, eclipse and infected cells and killer T cells; target cells do not run out (Duke 2021)."""
    latent, eclipse, infected, killers = states
    room = 1 - (eclipse + infected) / p["most_infected"]
    infection = p["reproduction_number"] * p["infected_cell_death"] * infected * room
    infection = infection * growing(eclipse + infected)
    woken = p["reactivation"] * latent
    drive = infected / (infected + p["half_infected"])
    killing = p["infected_cell_death"] + p["nk_killing"] * e["nk_cell"] + p["t_cell_killing"] * killers
    return (
        p["latency_share"] * infection - woken,
        (1 - p["latency_share"]) * infection + woken - p["eclipse_exit"] * eclipse,
        p["eclipse_exit"] * eclipse - killing * infected,
        killer_growth(killers, e["cd8_t"], drive, e, p),
    )


# Bacterium: neutrophils with oxidase against growth, Li 2002 and Malka 2012 ------------------------


def bacterium_start(e: Numbers, p: Numbers) -> Arrays:
    """The inoculum; no inflammation, no neutrophil."""
    return p["inoculum"], 0.0, 0.0


def bacterium_change(states: Arrays, e: Numbers, p: Numbers) -> Arrays:
    """Bacteria and oxidase-competent neutrophils per mL of tissue, and the inflammation that calls these."""
    bacteria, inflammation, neutrophils = states
    killing = p["growth"] / p["critical_neutrophils"] * neutrophils / (1 + bacteria / p["half_saturated"])
    growth = p["growth"] * (1 - bacteria / p["most_bacteria"]) * growing(bacteria * p["focus_ml"])
    noticed = bacteria / (bacteria + p["half_noticed"])
    return (
        (growth - killing) * bacteria,
        p["inflammation_rise"] * noticed * (1 - inflammation) - p["inflammation_fall"] * inflammation,
        p["neutrophil_exit"] * (p["most_neutrophils"] * e["neutrophil"] * inflammation - neutrophils),
    )


# Opportunist: macrophages that CD4+ cells activate, helped by antibody ------------------------------


def opportunist_start(e: Numbers, p: Numbers) -> Arrays:
    """The inoculum; resting macrophages, no antibody."""
    return p["inoculum"], 0.0, 0.0


def opportunist_change(states: Arrays, e: Numbers, p: Numbers) -> Arrays:
    """Organisms in the lung, share of macrophages that are activated, and antibody, 1 at full response."""
    organisms, activated, antibody = states
    drive = organisms / (organisms + p["half_noticed"])
    growth = p["growth"] * (1 - organisms / p["most_organisms"]) * growing(organisms)
    killing = p["killing"] * activated * (1 - p["antibody_share"] * (1 - antibody))
    call = p["activation"] * np.minimum(e["cd4_t"], 1)
    answer = p["antibody_rise"] * helped(e, p) * np.minimum(e["b_cell"], 1)
    return (
        (growth - killing) * organisms,
        call * drive * (1 - activated) - p["deactivation"] * activated,
        answer * drive * (1 - antibody) - p["antibody_decay"] * antibody,
    )


# HIV: CD4+ cells are the target, those without CCR5 are none ---------------------------------------


def hiv_start(e: Numbers, p: Numbers) -> Arrays:
    """All permissive cells without the edit, and the cells that rekindle the infection."""
    return p["permissive_cells"] * (1 - e["protected"]), 0.0, p["inoculum"]


def hiv_change(states: Arrays, e: Numbers, p: Numbers) -> Arrays:
    """Target, eclipse and infected CD4+ cells in the body.

    R0 holds for the whole of the permissive cells as targets, so that with a share f protected it
    is R0 (1 - f), whatever the count: that in blood is not the density where cells meet.
    """
    target, eclipse, infected = states
    meeting = p["reproduction_number"] * p["infected_cell_death"] / p["permissive_cells"]
    infection = meeting * target * infected * growing(eclipse + infected)
    whole = p["permissive_cells"] * (1 - e["protected"])
    return (
        p["target_renewal"] * (whole - target) - infection,
        infection - p["eclipse_exit"] * eclipse,
        p["eclipse_exit"] * eclipse - p["infected_cell_death"] * infected,
    )


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
