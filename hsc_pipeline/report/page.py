"""The page: one file that holds everything it shows, with the same bytes for the same content.

Each figure stands twice: as a drawing that needs no JavaScript and prints, and as the specification
from which the page makes it interactive.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from hsc_pipeline.report.style import CONFIG, FONT

FOLDER = Path(__file__).parent
VEGA_LITE = "6.4"
SIGNIFICANT = 4
# What a drawing holds that neither draws nor is read: a third of its size.
UNSEEN = re.compile(
    r'<path class="(?:foreground|background)"[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>'
    r'| (?:class|role|aria-[a-z]+|pointer-events|font-family)="[^"]*"| opacity="1"(?=[ />])'
)
# The page may run its own scripts, draw and style; nothing may be fetched from anywhere.
POLICY = "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True)
class Choice:
    """A menu beside a figure; the drawing without scripts shows the first option.

    Attributes
    ----------
    name : str
        Of the parameter in the chart, and of the menu.
    options : sequence
        Their values.
    labels : sequence of str
        What the menu says of each.
    """

    name: str
    options: Sequence[object]
    labels: Sequence[str]

    def parameter(self) -> dict:
        """Return the parameter of Vega-Lite that the menu sets."""
        menu = {"input": "select", "options": list(self.options), "labels": list(self.labels)}
        return {"name": self.name, "value": self.options[0], "bind": {**menu, "name": self.name}}


@dataclass(frozen=True)
class Figure:
    """A figure with what is said of it.

    Attributes
    ----------
    name : str
        Unique on the page.
    title, caption : str
        What it shows; then how: patients, bands, units.
    label : str
        What a person who does not see it hears.
    chart : altair.ConcatChart
        Of `figures.common.grid`.
    choices : sequence of Choice
        What a reader may pick beside the figure; the chart reads them as parameters.
    """

    name: str
    title: str
    caption: str
    label: str
    chart: alt.ConcatChart
    choices: Sequence[Choice] = ()
    kind: str = "figure"


@dataclass(frozen=True)
class TextTable:
    """A table of texts; columns at the places in `numbers` are aligned to the right."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    tall: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Text:
    """A paragraph; `quiet` for a remark."""

    text: str
    quiet: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Section:
    """A chapter of the page: a name for links, a short one for the bar, sentences, cards and blocks."""

    name: str
    short: str
    title: str
    blocks: Sequence[Figure | TextTable | Text]
    lead: Sequence[str] = ()
    cards: Sequence[object] = ()


def render(head: Mapping[str, object], sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    head : mapping
        ``title``, ``kicker``, ``subtitle``, ``study``, ``version``, ``footer``, ``arms`` (name and colour of
        each) and ``colours`` of arms by name.
        Like all texts of sections, they may come from a stranger's study file: they are escaped.
    sections : sequence of Section
    """
    figures = [block for section in sections for block in section.blocks if block.kind == "figure"]
    specs = {figure.name: specification(figure) for figure in figures}
    drawings = {name: Markup(drawing(spec, name)) for name, spec in specs.items()}
    scripts = [bundle(), (FOLDER / "page.js").read_text(encoding="utf-8")]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_unbroken,
    )
    return environment.get_template("template.html").render(
        **head,
        sections=sections,
        drawings=drawings,
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        data=Markup(script_json(together(specs, str(head["study"])))),
        scripts=[Markup(script) for script in scripts],
        policy=POLICY.format(scripts=" ".join(_digest(script) for script in scripts)),
    )


def _unbroken(value: object) -> object:
    """Keep a number and its percent sign on one line; scripts and drawings stay as they are."""
    return value.replace(" %", "\u00a0%") if type(value) is str else value


def specification(figure: Figure) -> dict:
    """Return a figure's Vega-Lite specification for a wide page."""
    # Set here: on a chart, both would be copied with everything in it.
    highlight = {"name": "highlight", "value": ""}
    spec = figure.chart.to_dict(validate=False)
    params = [highlight, *(choice.parameter() for choice in figure.choices if len(choice.options) > 1)]
    return {**spec, "params": params, "config": CONFIG, "description": figure.label}


def drawing(spec: Mapping, name: str) -> str:
    """Return a specification as SVG, with numbers cut to hundredths of a pixel.

    The names of its parts are counted through by the library within a process; they are
    counted anew here, under the figure's name, so that they are the same in every process and
    unique on the page.
    """
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    for count, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg))):
        new = f"{name}-{count}"
        svg = svg.replace(f'id="{old}"', f'id="{new}"').replace(f"url(#{old})", f"url(#{new})")
    svg = re.sub(r'\b(d|transform)="[^"]*"', lambda match: _cut_numbers(match.group()), svg)
    return UNSEEN.sub("", svg).replace("<svg ", f'<svg font-family="{FONT}" ', 1)


def _cut_numbers(attribute: str) -> str:
    return re.sub(r"-?\d+\.\d{3,}(e-?\d+)?", lambda match: f"{float(match.group()):.2f}", attribute)


def together(specs: Mapping[str, dict], study: str) -> dict:
    """Return what the page's script reads: the figures, and their data by column."""
    data: dict[str, dict] = {}
    figures: dict[str, dict] = {}
    for name, spec in specs.items():
        data |= {key: by_column(rows) for key, rows in spec["datasets"].items() if key not in data}
        figures[name] = {key: value for key, value in spec.items() if key not in ("datasets", "config")}
    return {"study": study, "config": CONFIG, "figures": figures, "data": data}


def by_column(rows: Sequence[Mapping]) -> dict[str, list | dict]:
    """Return a data set as lists by column, floats with `SIGNIFICANT` digits.

    A column of few texts is ``levels`` and their ``codes``: texts are half of a page's data otherwise.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _column(values: list) -> list | dict:
    levels = list(dict.fromkeys(values))
    if len(levels) > len(values) / 2 or not all(isinstance(level, str) for level in levels):
        return [_short(value) for value in values]
    places = {level: at for at, level in enumerate(levels)}
    return {"levels": levels, "codes": [places[value] for value in values]}


def _short(value: object) -> object:
    if not isinstance(value, float):
        return value
    short = float(f"{value:.{SIGNIFICANT}g}")
    return int(short) if short.is_integer() else short


def script_json(content: object) -> str:
    """Return JSON that cannot end a script element, whatever the texts in it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


@cache
def bundle() -> str:
    """Return the JavaScript of Vega, Vega-Lite and Vega-Embed, which comes with vl-convert."""
    script = vl_convert.javascript_bundle(vl_version=VEGA_LITE)
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise ValueError("the bundle of vl-convert cannot stand inside a script element")
    return script


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
