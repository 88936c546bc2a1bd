"""The report in a real browser: headless Chromium, as readers open it from disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from browsing import CHROMIUM, CLIPPED, DESKTOP, PHONE, open_details

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def background(page):
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(part) for part in color[4:-1].split(",")]


def eventually(page, expression):
    """Whether an expression becomes true; the page's policy forbids playwright's own way of waiting."""
    for _ in range(100):
        if page.evaluate(expression):
            return True
        page.wait_for_timeout(50)
    return False


def drawn(page):
    """For each plot: how many curves or heat maps it shows."""
    return page.evaluate(
        "[...document.querySelectorAll('.plot')].map(p => p.querySelectorAll("
        "'.scatterlayer .trace, .heatmaplayer image, .heatmaplayer .hm').length)"
    )


def test_no_error_no_request_and_every_figure_drawn(open_page):
    page, errors, requests = open_page()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    counts = drawn(page)
    assert len(counts) == 15
    assert all(counts)


def test_every_layer_and_the_best_richness_are_drawn(open_page):
    page, _, _ = open_page()
    plot = "document.querySelector('#figure-{}').querySelectorAll('.plot')[{}]"
    last, curves = (plot.format("layers", at) for at in (0, 1))
    theory = page.evaluate(f"{last}.data.find(t => t.name === 'theory')")
    assert theory["x"] == [1, 2, 3] and all(value > 0 for value in theory["y"])
    assert page.evaluate(f"{last}.querySelectorAll('.errorbar').length") >= 9, "three widths, three layers"
    assert page.evaluate(f"{curves}.data.filter(t => !t.band && t.line.dash === 'dash').length") == 3
    best = page.evaluate(f"{plot.format('richness', 0)}.data.find(t => t.name === 'best richness').x")
    assert best == [1, 1, 1]
    assert page.evaluate(f"{plot.format('richness', 0)}.layout.xaxis.type") == "log"


def test_links_of_the_page_lead_somewhere(open_page):
    page, _, _ = open_page()
    targets = page.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1))")
    assert len(targets) > 7
    assert page.evaluate("ids => ids.filter(id => !document.getElementById(id))", targets) == []
    page.click(".contents a[href='#evidence']")
    assert eventually(page, "document.getElementById('evidence').getBoundingClientRect().top < innerHeight")


def test_every_choice_of_every_control_draws(open_page):
    page, errors, _ = open_page()
    for select in page.query_selector_all("select"):
        for value in range(select.evaluate("s => s.options.length")):
            select.select_option(index=value)
    for box in page.query_selector_all(".controls input[type=checkbox]"):
        box.check()
    slider = page.query_selector("input[type=range]")
    slider.evaluate("s => { s.value = 0; s.dispatchEvent(new Event('input')); }")
    assert page.inner_text("output") == "0"
    assert errors == []
    assert all(drawn(page))


def test_subtracting_infinite_width_leaves_zero_for_theory(open_page):
    page, _, _ = open_page()
    page.check("#figure-loss input[type=checkbox]")
    curve = "data.find(t => t.name === 'infinite width' && !t.band)"
    theory = page.evaluate(f"document.querySelector('#figure-loss .plot').{curve}.y")
    assert max(abs(value) for value in theory) < 1e-3
    axis = page.evaluate("document.querySelector('#figure-loss .plot').layout.yaxis.title.text")
    assert "infinite width" in axis


def test_the_legend_hides_and_shows_curves(open_page):
    page, _, _ = open_page()
    before = drawn(page)[0]
    page.click("#figure-loss .legend button >> nth=0")
    assert drawn(page)[0] < before
    page.click("#figure-loss .legend button >> nth=0")
    assert drawn(page)[0] == before


def test_numbers_of_a_figure_can_be_downloaded(open_page):
    page, _, _ = open_page()
    with page.expect_download() as download:
        page.click("#figure-loss .download")
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "panel,curve,x,y"
    assert any("infinite width" in line for line in lines)


@pytest.mark.parametrize("width", [390, 768, 1300])
def test_nothing_is_cut_off_at_any_width(open_page, audited_directory, width):
    page, errors, _ = open_page(audited_directory, viewport={"width": width, "height": 900})
    open_details(page)
    assert errors == []
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert page.evaluate(CLIPPED) == []


def test_on_a_phone_every_cell_names_its_column(open_page, audited_directory):
    page, _, _ = open_page(audited_directory, **PHONE)
    open_details(page)
    labels = page.evaluate(
        "[...document.querySelectorAll('td')].map(c => getComputedStyle(c, '::before').content)"
    )
    assert len(labels) > 100 and not {"none", '""'} & set(labels)
    roles = "[...document.querySelectorAll('table')].every(t => t.querySelector('[role=columnheader]'))"
    assert page.evaluate(roles), "for readers of screens the cards are still a table"


def test_every_chart_has_a_description_and_labels_with_units_at_its_axes(open_page, audited_directory):
    page, _, _ = open_page(audited_directory)
    charts = page.evaluate(
        """[...document.querySelectorAll('.plot')].map(p => [p.getAttribute('aria-label'),
        document.getElementById(p.getAttribute('aria-describedby')).innerText.length,
        p.data[0].type, p.layout.xaxis.title?.text, p.layout.yaxis.title?.text, p.layout.yaxis.ticktext])"""
    )
    assert len(charts) > 15
    for name, words, kind, x, y, rows in charts:
        assert name and words > 40
        # Maps of kernels are of points by points; rows have names in place of a label.
        assert kind == "heatmap" or (x and x != "estimate" and (y or rows)), name


def test_nothing_of_the_page_is_named_as_in_code(open_page, audited_directory):
    page, _, _ = open_page(audited_directory)
    page.evaluate("document.querySelectorAll('code, pre, .evidence').forEach(each => each.remove())")
    words = page.evaluate("document.querySelector('main').innerText").replace("\n", " ")
    assert "`" not in words
    assert [word for word in words.split() if "_" in word.strip("_")] == []


def test_a_phone_sees_no_horizontal_scroll(open_page):
    page, errors, _ = open_page(**PHONE)
    assert errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widest = page.evaluate("Math.max(...[...document.querySelectorAll('.plot')].map(p => p.scrollWidth))")
    assert 250 < widest <= 390


def test_dark_mode_is_dark_and_its_curves_are_light(open_page):
    page, errors, _ = open_page(**DESKTOP, color_scheme="dark")
    assert errors == []
    assert max(background(page)) < 60
    ink = page.evaluate("document.querySelector('#figure-loss .plot').data.at(-1).line.color")
    assert ink == "#f2f4f7"


def test_light_mode_is_light_and_follows_the_system(open_page):
    page, _, _ = open_page(**DESKTOP, color_scheme="light")
    assert min(background(page)) > 230
    page.emulate_media(color_scheme="dark")
    assert eventually(
        page, "document.querySelector('#figure-loss .plot').data.at(-1).line.color === '#f2f4f7'"
    )


@pytest.mark.parametrize("missing", ["theory", "records"])
def test_half_a_run_draws_too(open_page, make_run, missing):
    from widthwise.report import write_report

    directory = make_run(theory=missing != "theory", records=missing != "records")
    write_report(directory)
    page, errors, _ = open_page(directory)
    assert errors == []
    assert all(drawn(page))
    (line,) = [each.inner_text() for each in page.query_selector_all(".missing")]
    assert ("widthwise train " if missing == "records" else "widthwise theory ") in line
    empty = "[...document.querySelectorAll('section')].filter(s => s.children.length < 2).map(s => s.id)"
    assert page.evaluate(empty) == []
    for select in page.query_selector_all("select"):
        for value in range(select.evaluate("s => s.options.length")):
            select.select_option(index=value)
    assert errors == [] and all(drawn(page))


def test_an_audit_can_be_moved_through_its_steps_and_downloaded(open_page, tmp_path):
    from audited import HOSTILE, audit_of, gaps_of, records_of, row

    from widthwise.report import write_report
    from widthwise.report.audit import Audited, write_verdict

    rows = [row("inconsistent", name=HOSTILE), row(name="<b>bold</b>"), row(name="@bad")]
    write_verdict(Audited(replace(audit_of(*rows), gaps=gaps_of(records_of("correct")))), tmp_path)
    write_report(tmp_path)
    page, errors, requests = open_page(tmp_path)
    dialogs = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    labels = page.locator("#figure-audit-0 .ytick text").all_text_contents()
    assert any(HOSTILE in label for label in labels) and any("<b>bold</b>" in label for label in labels)
    assert any("@bad" in label for label in labels), "a name is no role of color"
    places = (
        "[...document.querySelectorAll('#figure-audit-gaps .points path')]"
        ".map(point => point.getAttribute('transform')).join()"
    )
    before = page.evaluate(places)
    page.locator("#figure-audit-gaps input[type=range]").evaluate(
        "slider => { slider.value = 1; slider.dispatchEvent(new Event('input')); }"
    )
    assert before and eventually(page, f"{places} !== {before!r}")
    with page.expect_download() as download:
        page.locator("#download-audit").click()
    assert download.value.suggested_filename == "audit.csv"
    assert "update_rms" in Path(download.value.path()).read_text()
    assert not errors and not dialogs and all(url.startswith(("file:", "data:", "blob:")) for url in requests)
