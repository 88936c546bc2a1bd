"""Run directories for the report's tests."""

import warnings
import zlib

import numpy as np
import pytest
from audited import records_of
from browsing import CHROMIUM, DESKTOP
from synthetic_run import Truth, make_records, make_theory

from widthwise.audit import audit
from widthwise.report import write_report
from widthwise.report.audit import Audited, write_verdict

TRUTH = Truth(seeds=12, steps=6, train=4, test=3, widths=(16, 32, 64), layers=3, scan=(0.5, 1.0, 2.0))


def write_theory(directory, truth=TRUTH, **attributes):
    directory.mkdir(parents=True, exist_ok=True)
    make_theory(truth).assign_attrs(attributes).to_netcdf(directory / "theory.nc", engine="h5netcdf")


def write_records(directory, truth=TRUTH, change=lambda records: records):
    directory.mkdir(parents=True, exist_ok=True)
    records = make_records(truth, np.random.default_rng(zlib.crc32(b"records")))
    records["split"] = records["split"].astype(object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(records).to_zarr(directory / "records.zarr", zarr_format=3, consolidated=False)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory):
    """A run with both files and its report."""
    directory = tmp_path_factory.mktemp("runs") / "both"
    write_theory(directory)
    write_records(directory)
    write_report(directory)
    return directory


@pytest.fixture(scope="session")
def audited_directory(tmp_path_factory):
    """A run with theory and networks, and an audit of more than they record."""
    directory, records = tmp_path_factory.mktemp("audited") / "run", records_of("faulty")
    write_theory(directory)
    write_records(directory)
    write_verdict(Audited(audit(records)), directory)
    write_report(directory)
    return directory


@pytest.fixture
def make_run(tmp_path):
    """Makes a run directory with the given files; returns it."""

    def make(
        name="run", *, theory=True, records=True, truth=TRUTH, change=lambda records: records, **attributes
    ):
        directory = tmp_path / name
        directory.mkdir()
        if theory:
            write_theory(directory, truth, **attributes)
        if records:
            write_records(directory, truth, change)
        return directory

    return make


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, run_directory):
    """Opens the report of a folder; returns the page, and lists that its errors and requests go to."""
    contexts = []

    def open_it(directory=run_directory, **options):
        context = browser.new_context(**(options or DESKTOP))
        contexts.append(context)
        page = context.new_page()
        errors, requests = [], []
        page.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"file://{directory / 'report.html'}")
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page, errors, requests

    yield open_it
    for context in contexts:
        context.close()
