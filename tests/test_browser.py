"""The pages in a real browser without a network: silent, usable, printable, readable for all."""

import os
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from test_workflow import TINY, complete, new_project

CHROMIUM = Path(__file__).parent / "browser/chromium.sh"
STUDY = {**TINY, "sweep": None, "uncertainty": {"draws": 0}}
WIDTHS = {"laptop": 1280, "telephone": 400}
HARMLESS = ("file:", "data:", "blob:")

pytestmark = pytest.mark.browser
widths = pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="NOT TESTED: say make test-browser for playwright"
    )
    found = subprocess.run([str(CHROMIUM)], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"NOT TESTED. {found.stderr.strip()}")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of the tiny study: one arm, and one whose products hold no stem cell."""
    project = new_project(tmp_path_factory.mktemp("browser") / "project", STUDY)
    complete(project)
    return project / "results/tiny/report.html"


@pytest.fixture
def opened(browser, report):
    """Open the report at a width, with the network cut off; what it says and asks for is collected."""
    contexts = []

    def at(width, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(report.as_uri())
        return page

    yield at
    for context in contexts:
        context.close()


def drawn(page):
    """Scroll past every figure until all are drawn."""
    for figure in page.locator("figure").all():
        figure.scroll_into_view_if_needed()
    # Not wait_for_function: it polls by eval, which the page's policy forbids and reports.
    page.locator("figure:not(.drawn)").first.wait_for(state="detached")
    return page


# The marks of a figure in any order and to hundredths: a choice and its undoing change order and last digits.
MARKS = """(figure) => [...document.querySelectorAll(`#figure-${figure} .live svg.marks path`)]
  .map((mark) => ["d", "transform", "fill", "opacity", "stroke-width"].map((name) => mark.getAttribute(name)))
  .map((mark) => String(mark).replace(/\\d+\\.\\d+/g, (number) => Number(number).toFixed(2)))
  .sort().join("\\n")"""


def live(page, figure):
    """Return the marks of the interactive drawing of a figure."""
    return page.evaluate(MARKS, figure)


def becomes(page, figure, same, before):
    """Wait until the interactive drawing of a figure is, or is no longer, what it was."""
    for _ in range(100):
        if (live(page, figure) == before) == same:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"{figure} is {'not ' if same else ''}drawn as before")


@pytest.fixture(scope="module")
def laptop(browser, report):
    """The report with all figures drawn; tests leave it as they found it."""
    page = browser.new_page(viewport={"width": WIDTHS["laptop"], "height": 900})
    page.goto(report.as_uri())
    return drawn(page)


@widths
def test_page_is_silent_asks_for_nothing_and_does_not_scroll_sideways(opened, width, tmp_path):
    page = drawn(opened(width))
    assert page.locator("figure").count() > 15
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(HARMLESS)] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=folder / f"report-{width}.png", full_page=True)
    assert (folder / f"report-{width}.png").stat().st_size > 100_000


def test_what_would_be_asked_for_is_refused(opened):
    """The page's policy stands in the way of a request, should one ever be made."""
    page = opened(1280)
    assert (
        page.evaluate("fetch('https://example.org').then(() => 'sent', (error) => error.name)") == "TypeError"
    )
    assert any("Content Security Policy" in said for said in page.said)


@widths
def test_no_barrier_for_people_with_other_senses(laptop, width):
    """Contrast, alternative text, names, headings and more: rules of axe-core, any impact."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    laptop.set_viewport_size({"width": width, "height": 900})
    found = axe.Axe().run(drawn(laptop)).response["violations"]
    laptop.set_viewport_size({"width": WIDTHS["laptop"], "height": 900})
    assert [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found] == []


def test_picking_an_arm_lets_the_others_fade_and_picking_it_again_does_not(laptop):
    before, chip = live(laptop, "chimerism"), laptop.get_by_role("button", name="empty")
    chip.click()
    becomes(laptop, "chimerism", False, before)
    assert chip.get_attribute("aria-pressed") == "true"
    assert laptop.locator("td.faded").count() > 10
    chip.click()
    becomes(laptop, "chimerism", True, before)
    assert laptop.locator("td.faded").count() == 0


@pytest.mark.parametrize("figure", ["largest-clones", "bubbles", "ranks", "sharing", "chimerism"])
def test_menus_choose_what_a_figure_shows(laptop, figure):
    before = live(laptop, figure)
    menu = laptop.locator(f"#figure-{figure}").get_by_label("patient")
    menu.select_option(index=1)
    becomes(laptop, figure, False, before)
    menu.select_option(index=0)
    becomes(laptop, figure, True, before)


def test_data_of_a_figure_are_what_it_draws(laptop, report):
    button = laptop.locator("#figure-chimerism").get_by_role("button", name="CSV")
    with laptop.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "tiny_chimerism.csv"
    rows = pd.read_csv(download.value.path())
    marrow = pd.read_parquet(report.parent / "engraftment/full/marrow.parquet")
    share = 100 * marrow["corrected"] / marrow[["host", "uncorrected", "corrected"]].sum(axis=1)
    expected = share.groupby(marrow["month"]).median()
    bands = rows[(rows["panel"] == "full") & rows["median"].notna()].drop_duplicates("month")
    assert bands.set_index("month")["median"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-3)
    assert set(bands["n"]) == {STUDY["patients"]}


def test_without_scripts_drawings_stand_and_nothing_promises_more(opened):
    page = opened(1280, java_script_enabled=False)
    for figure in page.locator("figure").all():
        assert figure.locator(".static svg").bounding_box()["height"] > 50
    for control in (".chips", ".data button"):
        assert not page.locator(control).first.is_visible()


def test_print_shows_drawings_and_whole_tables(laptop):
    page = laptop
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert not page.locator(".data").first.is_visible()
    assert page.locator("#figure-counts .static svg").is_visible()
    inner = "(e) => e.scrollHeight <= e.clientHeight + 1 || getComputedStyle(e).overflowY === 'visible'"
    assert all(table.evaluate(inner) for table in page.locator(".scroll").all())
    page.emulate_media(media="screen")
