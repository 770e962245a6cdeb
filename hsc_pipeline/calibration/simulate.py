"""From parameters to statistics: one simulated patient, sampled as the real one was.

The stages are those of the chain, from the plan to the blood; of the laboratory only the tubes that the
patient has are simulated, and no site is placed in the genome.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hsc_pipeline.blood.clones import stem_cell_weights
from hsc_pipeline.blood.count import count_blood, digital_pcr
from hsc_pipeline.blood.laboratory import MOST_SITES, NOTHING, SORTED, meet_clones, sequence_tube, sort_cells
from hsc_pipeline.blood.lineages import NUCLEATED, PARTS, Blood, ratio
from hsc_pipeline.calibration.data import Design, Tube
from hsc_pipeline.calibration.plans import ARM
from hsc_pipeline.calibration.statistics import Measured, Sample, statistics
from hsc_pipeline.chain import join
from hsc_pipeline.engraftment import engraft_patients
from hsc_pipeline.errors import ModelError, UserError
from hsc_pipeline.norms import Norms
from hsc_pipeline.plan import plan_events, plan_patients
from hsc_pipeline.points import at_point
from hsc_pipeline.possible import check_product
from hsc_pipeline.product import make_products
from hsc_pipeline.settings import Settings
from hsc_pipeline.streams import sequence, stream
from hsc_pipeline.tables import by_patient

# Lengths so many that no two fragments share one: molecules are counted, or an estimate corrects for it.
UNLIMITED = 1_000_000
DERIVED = "derived."
# Pools of blood that a clinical lineage is measured in.
MEASURED_IN: Mapping[str, tuple[str, ...]] = {
    "Myeloid": SORTED["neutrophil"],
    "B": SORTED["b_cell"],
    "T": SORTED["t_cell"],
    "NK": SORTED["nk_cell"],
    "Megakaryo": ("platelet",),
    "Other": NUCLEATED,
    "": NUCLEATED,
}


@dataclass(frozen=True)
class Person:
    """One patient to simulate again and again.

    Attributes
    ----------
    settings : mapping of str to Settings
        By stage.
    design : Design
    weight_kg : float or None
    least_reads : int
    stable_month : float
    """

    settings: Mapping[str, Settings]
    design: Design
    weight_kg: float | None
    least_reads: int
    stable_month: float


def simulate_rows(
    theta: pd.DataFrame, persons: Sequence[Person], names: Sequence[Mapping[str, str]], seed: int, what: str
) -> Iterator[dict]:
    """Yield a row of statistics for each row of parameters.

    Parameters
    ----------
    theta : pandas.DataFrame
        Its index numbers the simulations: a number has the same random draws in whatever job.
    persons : sequence of Person
    names : sequence of mapping of str to str
        Which column holds a catalogue value for each person.
    seed : int
    what : str
        Round and structure, so that no two share their draws.

    Yields
    ------
    dict
        ``simulation``, ``failed`` (empty, or why the parameters are impossible together), and the
        statistics and what is derived; see `labelled` and `simulate_person`.
    """
    seeds = [
        int(sequence(seed, f"calibration.{what}.{number}").generate_state(1, np.uint64)[0] >> np.uint64(1))
        for number in range(len(persons))
    ]
    for simulation, row in theta.iterrows():
        found: dict = {"simulation": int(simulation), "failed": ""}
        try:
            for number, (person, columns) in enumerate(zip(persons, names, strict=True)):
                values = {name: float(row[column]) for name, column in columns.items()}
                of = simulate_person(person, values, seeds[number], int(simulation))
                found |= labelled(of, number, len(persons))
        except (ModelError, UserError) as error:
            found = {"simulation": int(simulation), "failed": str(error)}
        yield found


def labelled(of: Mapping[str, float], patient: int, patients: int) -> dict[str, float]:
    """Return names with the number of the patient behind, ``@1``, where there are several."""
    return {f"{name}@{patient + 1}" if patients > 1 else name: value for name, value in of.items()}


def simulate_person(person: Person, values: Mapping[str, float], seed: int, number: int) -> dict[str, float]:
    """Return the statistics of one simulated patient, and what is derived of the parameters and chance.

    Names of the latter begin with `DERIVED`: ``engrafted``, corrected stem cells that took, and
    ``residual_host``, share of the host's stem cells that conditioning left.

    Raises
    ------
    UserError, ModelError
        If the values are impossible together.
    """
    found = measure(person, values, seed, number)
    derived = {DERIVED + name: value for name, value in found.derived.items()}
    return {**statistics(found, person.stable_month), **derived}


def measure(person: Person, values: Mapping[str, float], seed: int, number: int) -> Measured:
    """Simulate a patient from the plan to the blood, and return what would have been measured."""
    settings = at_point(person.settings, values)
    every = {name: value for of in settings.values() for name, value in of.values.items()}
    check_product(ARM, every, settings["product"].tables["genes"])
    plan = replace(settings["plan"], study={**settings["plan"].study, "seed": seed})
    rows = plan_patients([number], plan, ARM).to_pylist()
    if person.weight_kg is not None:
        rows[0]["weight_kg"] = person.weight_kg
    patient = rows[0]
    events = by_patient(plan_events(rows, plan), [number])
    made = join(make_products(rows, settings["product"]))
    product = made["products"].to_pylist()[0]
    of = {name: by_patient(made[name], [number]) for name in ("clones", "sites", "drivers")}
    grown = join(
        engraft_patients(
            rows, {number: product}, of["clones"], of["drivers"], events, settings["engraftment"]
        )
    )
    marrow, sizes = (by_patient(grown[name], [number])[number] for name in ("marrow", "clone_sizes"))
    norms = Norms(settings["blood"].rows("cell_norms"))
    blood, _ = count_blood(patient, product, marrow, norms, settings["blood"], events[number])
    clones, sites = of["clones"][number], of["sites"][number]
    met = meet_clones(patient, product, blood, clones, sizes, sites, settings["blood"])
    samples = {
        instrument: _samples(patient, product, blood, met, instrument, person, settings["blood"])
        for instrument in person.design.tubes
    }
    clinical = _clinical(patient, blood, person.design, settings["blood"])
    colonies = [
        (month, n, _coalescences(patient, sizes, clones["corrected"], month, n))
        for month, n in person.design.colonies
    ]
    derived = {
        "engrafted": float(grown["grafts"]["took_corrected"][0].as_py()),
        "residual_host": float(marrow["residual_host_fraction"][0]),
    }
    return Measured(samples, clinical, colonies, derived)


# The laboratory -------------------------------------------------------------------------------------


def _samples(
    patient: Mapping, product: Mapping, blood: Blood, met, instrument: str, person: Person, settings: Settings
) -> dict[str, list[Sample]]:
    """Return the samples of one instrument; what two instruments read is one tube's."""
    found: dict[str, list[Sample]] = {}
    count = "reads" if instrument == "reads" else "fragments"
    saturates = instrument == "reads" or person.design.saturates[instrument]
    for tube in person.design.tubes[instrument]:
        own = of_tube(tube, saturates, settings)
        weights = stem_cell_weights(blood, met.outputs, met.sizes, met.is_corrected, tube.month)
        drawn = sort_cells(patient, blood, tube.month, lineage_of(tube), own)
        seen = NOTHING
        if drawn.cells and drawn.dna_ng >= own["lab.least_dna_ng"] and product["infused"]:
            rng = stream(patient["patient_seed"], f"lab.sites.{tube.sort}.{tube.month:g}")
            seen = sequence_tube(rng, drawn, weights, met, own)
        kept = seen["reads"] >= person.least_reads
        key = (seen["clone"] * MOST_SITES + seen["site"])[kept]
        sample = Sample(tube.month, key, seen[count][kept].astype(float))
        found.setdefault(tube.lineage, []).append(sample)
    return found


def lineage_of(tube: Tube) -> str:
    """Return the sort that the laboratory knows; a tube of all cells is one whose gate lets all pass."""
    return "neutrophil" if tube.sort == "whole" else tube.sort


def of_tube(tube: Tube, saturates: bool, settings: Settings) -> Settings:
    """Return the laboratory's settings for one tube."""
    name = f"lab.dna_ng.{lineage_of(tube)}"
    values = dict(settings.values)
    if tube.dna_ng is None:
        values[name] *= tube.tubes
    else:
        values |= {name: tube.dna_ng, "lab.dna_ln_sd": 0.0}
    if tube.sort == "whole":
        values |= {"lab.leak.neutrophil": 1.0, "lab.leak_ln_sd": 0.0}
    if not saturates:
        values["lab.fragment_lengths"] = UNLIMITED
    return replace(settings, values=values)


# The clinic, and colonies ---------------------------------------------------------------------------


def _clinical(patient: Mapping, blood: Blood, design: Design, settings: Settings) -> dict:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for measure_, lineage, month, limit in design.clinical:
        visit = int(np.searchsorted(blood.months, month))
        pools = MEASURED_IN[lineage]
        per_ul = sum(float(blood.per_ul[pool][visit]) for pool in pools)
        if measure_ == "count":
            value = per_ul
        elif measure_ == "chimerism":
            value = float(ratio(sum(blood.corrected(pool)[visit] for pool in pools), per_ul))
        else:
            copies = sum(float(blood.parts[pool][PARTS.index("copies"), visit]) for pool in pools)
            vcn = np.array([float(ratio(copies, per_ul))])
            genomes = settings["lab.ddpcr_ng"] * settings["lab.genomes_per_ng"] * (per_ul > 0)
            rng = stream(patient["patient_seed"], f"lab.vcn.{lineage}.{month:g}")
            value = float(digital_pcr(rng, vcn, np.array([genomes]), settings["lab.vcn_ln_sd"])[0])
        found.setdefault((measure_, lineage), []).append((month, max(value, limit)))
    return found


def _coalescences(
    patient: Mapping, sizes: Mapping[str, np.ndarray], corrected: np.ndarray, month: float, colonies: int
) -> int:
    """Draw colonies of corrected stem cells, and count those that share a founder with an earlier one."""
    here = (sizes["month"] == month) & np.asarray(corrected, bool)[sizes["clone"]]
    cells = sizes["cells"][here].astype(np.int64)
    if not len(cells):
        return 0
    rng = stream(patient["patient_seed"], f"lab.colonies.{month:g}")
    if cells.sum() >= colonies:
        drawn = rng.multivariate_hypergeometric(cells, colonies, method="marginals")
    else:  # fewer stem cells than colonies: several grow from daughters of one
        drawn = rng.multinomial(colonies, cells / cells.sum())
    return int(colonies - np.count_nonzero(drawn))
