"""Which parts of two study files differ."""

from collections.abc import Iterator, Mapping

from hsc_pipeline.compare.read import Run, matched
from hsc_pipeline.report.style import label
from hsc_pipeline.report.wording import number, unit_words

# Said elsewhere on the page, or the same by what a study is.
LEFT_OUT = ("values", "arms", "name", "title", "kind", "genes")
ABSENT = "–"


def design_differences(first: Run, second: Run) -> list[list[str]]:
    """Return keys of the study file that differ: key, first, second."""
    ours, theirs = ({k: v for k, v in run.study.items() if k not in LEFT_OUT} for run in (first, second))
    return list(_different(ours, theirs))


def arm_differences(first: Run, second: Run) -> list[list[str]]:
    """Return what arms set and the other study's do not: arm, key, first, second."""
    given = [{label(arm["name"]): arm for arm in run.study["arms"]} for run in (first, second)]
    rows = []
    for one, other in matched(first, second):
        sets = [_given(arms[name]) for arms, name in zip(given, (one, other), strict=True)]
        title = one if one == other else f"{one} | {other}"
        rows += [[title, *row] for row in _different(*sets)]
    return rows


def value_differences(first: Run, second: Run) -> list[list[str]]:
    """Return values of the catalogue that differ: name, unit, first, second, meaning."""
    ours, theirs = first.study["values"], second.study["values"]
    rows = []
    for name in sorted({*ours, *theirs}):
        entries = [values.get(name) for values in (ours, theirs)]
        shown = [ABSENT if entry is None else _text(entry["value"]) for entry in entries]
        if entries[0] is None or entries[1] is None or entries[0]["value"] != entries[1]["value"]:
            known = next(entry for entry in entries if entry is not None)
            rows.append([name, *shown, unit_words(known.get("unit", "")), known.get("meaning", "")])
    return rows


def _given(arm: Mapping) -> dict[str, object]:
    return {"product": arm.get("product"), **arm.get("set", {})}


def _different(ours: Mapping, theirs: Mapping, before: str = "") -> Iterator[list[str]]:
    """Yield name, first and second of what differs, part by part where both have parts."""
    for name in dict.fromkeys([*ours, *theirs]):
        parts = [one.get(name, ABSENT) for one in (ours, theirs)]
        if all(isinstance(part, Mapping) for part in parts):
            yield from _different(*parts, f"{before}{name}.")
        elif parts[0] != parts[1]:
            yield [before + name, *map(_text, parts)]


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return number(value) if abs(value) < 1000 else str(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_text(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
