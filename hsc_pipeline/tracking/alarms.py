"""Alarms of a tracking run, and how often its rules err under its own sampling."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from hsc_pipeline.tracking.run import Run

PATIENTS = 100  # virtual ones for the rules
ADVANTAGES = (0.5, 1.0)  # of the driver clone that they should find, per year


def rules_of(settings: Mapping) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return the rules that a tracking file wants, by name, with its limits or the catalogue's.

    Parameters
    ----------
    settings : mapping
        ``rules`` of the filled `settings.TrackingFile`.
    """
    from hsc_pipeline.tracking import dominance

    known = dominance.rules()
    own = {
        "doubling": (dominance.doubling, "floor"),
        "pielou": (dominance.low_evenness, "below"),
        "uc50": (dominance.low_uc50, "most"),
        "mrce": (dominance.expansion, "least"),
    }
    found: dict[str, Callable] = {}
    for name in settings["use"]:
        limit = settings[name]
        if name == "top_clone" and limit:
            found |= {f"top_{100 * share:g}%": partial(dominance.top_clone, above=share) for share in limit}
        elif name == "top_clone":
            found |= {key: rule for key, rule in known.items() if key.startswith("top_")}
        elif limit:
            rule, argument = own[name]
            found[name] = partial(rule, **{argument: limit})
        else:
            found[name] = known[name]
    return found


def alarms(run: Run):
    """Yield every alarm of every rule, with the clone and its share."""
    import pandas as pd

    named = rules_of(run.settings["rules"])
    for one in run.series:
        share = one.counts / np.maximum(one.counts.sum(axis=0), 1)
        for name, rule in named.items():
            flagged = rule(one.counts)
            at = np.flatnonzero(flagged >= 0)
            clone = flagged[at]
            months, clones = one.months[at], one.clones[clone]
            found = {"rule": name, "month": months, "clone": clones, "share": share[clone, at]}
            yield pd.DataFrame({**one.owner, **found})


def operating(run: Run):
    """Yield false alarms and times to detection of every rule, under this study's sampling and others."""
    from hsc_pipeline.tracking.indices import chao1_interval
    from hsc_pipeline.tracking.operating import Sampling, operating_characteristics

    series = list(run.marrow())
    visits = [one.months for one in series if len(one.months) > 1]
    if not visits:
        return
    # Clones seen are fewer than engrafted: Chao1 of all samples together is a lower bound closer to them.
    engrafted = [chao1_interval(one.counts.sum(axis=1))[0] for one in series]
    seen = np.median([len(one.clones) for one in series])
    clones = max(int(min(np.median(engrafted), run.marked(int(seen)))), 2)
    totals = np.concatenate([one.counts.sum(axis=0) for one in series])
    sampling = Sampling(
        fragments=max(float(np.median(totals)), 1.0), clones=clones, stem_cells=run.marked(clones)
    )
    yield operating_characteristics(
        sampling,
        _schedules(max(visits, key=len)),
        advantages=ADVANTAGES,
        rules=rules_of(run.settings["rules"]),
        patients=PATIENTS,
        seed=run.settings["seed"],
    )


def _schedules(own: np.ndarray) -> dict[str, list[float]]:
    """Return the study's own months, of the subject with most samples, and regular ones as long."""
    regular = {f"every {step} months": np.arange(step, own[-1] + 1, step).tolist() for step in (6, 12)}
    found = {"as sampled": own.tolist(), **regular}
    return {name: months for name, months in found.items() if len(months) > 1}
