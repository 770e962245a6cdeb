"""Which parts of two study files differ."""

from collections.abc import Iterator, Mapping

from hsc_pipeline.compare.read import Run, matched
from hsc_pipeline.report.style import label
from hsc_pipeline.report.wording import number

# Said elsewhere on the page, or the same by what a study is.
LEFT_OUT = ("values", "arms", "name", "kind", "genes")
ABSENT = "–"


def design_differences(first: Run, second: Run) -> list[list[str]]:
    """Return keys of the study file that differ: key, first, second."""
    parts = [_flat({k: v for k, v in run.study.items() if k not in LEFT_OUT}) for run in (first, second)]
    return _different(*parts)


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
            rows.append([name, *shown, known.get("unit", ""), known.get("meaning", "")])
    return rows


def _given(arm: Mapping) -> dict[str, object]:
    return {"product": arm.get("product"), **arm.get("set", {})}


def _flat(content: Mapping, before: str = "") -> dict[str, object]:
    return dict(_leaves(content, before))


def _leaves(content: Mapping, before: str) -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _different(ours: Mapping, theirs: Mapping) -> list[list[str]]:
    return [
        [name, *(_text(part[name]) if name in part else ABSENT for part in (ours, theirs))]
        for name in dict.fromkeys([*ours, *theirs])
        if name not in ours or name not in theirs or ours[name] != theirs[name]
    ]


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return number(value) if abs(value) < 1000 else str(value)
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
