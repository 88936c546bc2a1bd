"""`widthwise forecast`: exit statuses, files, and one clear message for whatever is wrong."""

import json
import re

import numpy as np
import pytest
from commands import assert_refused, call

from widthwise.report import write_report

KEYS = {
    "schema",
    "verdict",
    "widths",
    "steps",
    "loss",
    "low",
    "high",
    "level",
    "backtest",
    "advice",
    "optimum",
}


def write_log(path, widths=(64, 128, 256, 512), seeds=3, gap=lambda n: 0.3 * (n / 64) ** -0.7):
    rng = np.random.default_rng(0)
    rows = [
        f"{n},{e},{t},{1 + 0.5 * t**-0.5 + gap(n) + 1e-4 * rng.standard_normal():.7g}"
        for n in widths
        for e in range(seeds)
        for t in (1, 3, 10, 30, 100, 300, 1000, 3000)
    ]
    path.write_text("\n".join(["width,seed,step,loss", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Folder and command of a forecast; to be read only."""
    folder = tmp_path_factory.mktemp("told")
    log = write_log(folder / "log.csv")
    return folder / "out", call("forecast", log, "--width", 1024, "--width", 2048, "--out", folder / "out")


def test_a_forecast_that_holds_exits_with_0_and_prints_what_it_says(told):
    folder, result = told
    assert result.exit_code == 0, result.output
    assert (
        result.stdout.startswith("held: ") and "infinite" in result.stdout and "Use widths" in result.stdout
    )
    assert str(folder / "forecast.json") in result.stdout and str(folder / "report.html") in result.stdout


def test_the_file_is_that_of_the_contract(told):
    found = json.loads((told[0] / "forecast.json").read_text())
    assert set(found) >= KEYS | {"evidence"} and found["schema"] == 1 and found["verdict"] == "held"
    assert found["widths"] == [1024, 2048] and found["steps"][-1] == 3000 and found["level"] == 0.95
    truth = 1 + 0.5 * 3000**-0.5 + 0.3 * (1024 / 64) ** -0.7
    assert found["low"][0][-1] < truth < found["high"][0][-1]
    assert found["backtest"]["left_out"] == [512] and 0 <= found["backtest"]["relative_error"] < 0.01


def test_the_page_says_the_advice_first_and_is_built_again_from_the_files(told):
    page = (told[0] / "report.html").read_text()
    advice = json.loads((told[0] / "forecast.json").read_text())["advice"]
    assert page.index(advice.split(":")[0]) < page.index('id="figure-forecast-curves"')
    for figure in ("forecast-curves", "forecast-width", "forecast-backtest"):
        assert f'id="figure-{figure}"' in page
    csv = re.search(r'id="download-forecast" href="data:text/csv;charset=utf-8,width%2Cstep%2Closs', page)
    assert csv is not None
    assert "The forecast held" in write_report(told[0]).read_text()


def test_json_and_a_step_are_printed(told, tmp_path):
    log = write_log(tmp_path / "log.csv")
    result = call("forecast", log, "--width", 1024, "--json", "--out", tmp_path / "out")
    assert json.loads(result.stdout)["widths"] == [1024]
    result = call("forecast", log, "--width", 1024, "--step", 100, "--out", tmp_path / "out")
    assert "loss at step 100\n" in result.stdout
    assert_refused(
        call("forecast", log, "--width", 1024, "--step", 9000, "--out", tmp_path / "out", "--quiet"),
        "--step 9000: the runs share steps 1 to 3000",
    )


def test_a_forecast_that_breaks_exits_with_1_and_one_without_data_with_3(tmp_path):
    log = write_log(tmp_path / "a.csv", gap=lambda n: 0.1 * np.log(n))
    broke = call("forecast", log, "--width", 1024, "--out", tmp_path / "a")
    assert broke.exit_code == 1 and broke.stdout.startswith("broke: the loss rises with width")
    log = write_log(tmp_path / "b.csv", widths=(64, 128))
    little = call("forecast", log, "--width", 1024, "--out", tmp_path / "b")
    assert little.exit_code == 3 and "2 widths: a forecast that can be tested needs 4" in little.stdout
    content = json.loads((tmp_path / "b" / "forecast.json").read_text())
    assert (
        content["loss"][0][-1] is None and "Too little data" in (tmp_path / "b" / "report.html").read_text()
    )


def test_what_is_no_log_is_refused(tmp_path):
    out = ("--out", tmp_path / "out", "--quiet")
    assert_refused(call("forecast", tmp_path / "none.csv", "--width", 64, *out), "does not exist")
    assert_refused(call("forecast", write_log(tmp_path / "a.csv"), "--width", 0, *out), "`widths` = [0]")


def test_logs_at_several_rates_also_say_where_the_optimum_goes(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{n},{e},{t},{rate:.6g},{1 + t**-0.5 + 20 / n + bend + 1e-4 * rng.standard_normal():.7g}"
        for rate in 0.02 * 2.0 ** np.arange(6)
        for n in (64, 128, 256, 512)
        for bend in [0.05 * np.log(rate / (0.1 + 4 / n)) ** 2]
        for e in range(3)
        for t in (1, 10, 100, 1000)
    ]
    (tmp_path / "log.csv").write_text("\n".join(["width,seed,step,lr,loss", *rows]) + "\n")
    command = (
        "forecast",
        tmp_path / "log.csv",
        "--columns",
        "rate=lr",
        "--width",
        1024,
        "--out",
        tmp_path / "out",
    )
    result = call(*command)
    assert result.exit_code in (0, 1, 3) and "optimum drifts" in result.stdout, result.output
    found = json.loads((tmp_path / "out" / "forecast.json").read_text())["optimum"]
    assert abs(found["drift"] - 4) < 0.05 and found["widths"] == [64, 128, 256, 512]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Optimum against width" in page and found["advice"][:20] in page
