"""A run ends in the audit of its own folder: one verdict on the terminal, in the file, on the page."""

import json
import re
from html import unescape

from commands import call

from widthwise.report.audit import read_verdict
from widthwise.report.words import conclude

STATUS = {"consistent": 0, "inconsistent": 1, "underpowered": 3}


def said(folder) -> tuple[str, str]:
    """Verdict and answer that the file of a run stands for."""
    audit = read_verdict(folder / "verdict.json").audit
    return audit.verdict, conclude(audit.rows, audit.evidence["alpha"], audit.summary).answer


def heading_of(folder) -> str:
    page = (folder / "report.html").read_text()
    return re.sub("<[^>]*>", "", page[page.index("<h1") : page.index("</h1>")]).strip()


def test_a_run_says_what_its_audit_says(finished, tmp_path):
    folder, result = finished
    out = folder / "out"
    verdict, answer = said(out)
    assert f"{verdict.upper()}: {answer}" in " ".join(result.stdout.split())
    assert heading_of(out) == answer
    page = (out / "report.html").read_text()
    rows = json.loads(re.search(r'id="verdict-rows">(.*?)</script>', page, re.DOTALL)[1])
    content = json.loads((out / "verdict.json").read_text())
    mine = [row for row in content["claims"] if row["claim"].startswith("theory: ")]
    assert rows and len(rows) == len(mine), "what is compared with theory is a part of the audit"
    for shown, written in zip(rows, mine, strict=True):
        assert shown["claim"] == written["claim"].removeprefix("theory: ")
        assert all(shown[key] == written[key] for key in ("verdict", "p_value", "where", "advice"))
    again = call("audit", out, "--out", tmp_path / "again", "--json")
    assert again.exit_code == STATUS[verdict]
    assert json.loads(again.stdout)["claims"] == content["claims"], "the audit of the same folder"


def test_names_of_keys_stand_without_marks_of_code_on_the_terminal(finished, tmp_path):
    folder, ran = finished
    audited = call("audit", folder / "out", "--out", tmp_path)
    assert "no attention: record it" in " ".join(audited.stdout.split())
    assert "`" not in ran.output + audited.output
    assert "no `attention`: record it" in (folder / "out" / "verdict.json").read_text(), "files keep them"


def test_a_report_of_a_run_shows_the_verdict_of_its_audit(finished):
    folder, _ = finished
    before = (folder / "out" / "report.html").read_text()
    assert call("report", folder / "out", "--quiet").exit_code == 0
    after = (folder / "out" / "report.html").read_text()
    assert after.partition("<footer>")[0] == before.partition("<footer>")[0]


def test_how_wide_has_one_number_for_one_condition(finished, tmp_path):
    """On the terminal, in the table of the page and on its card, for 1 % of the test predictions."""
    folder, _ = finished
    page = unescape((folder / "out" / "report.html").read_text())
    row = re.search(
        r"<tr[^>]*><th[^>]*><span[^>]*>Predictions, test</span></th>(.*?)</tr>",
        page[page.index("How wide for 1 %?") :],
    )
    cells = re.findall(r'data-label="([^"]*)"><span[^>]*>([\d,]+)', row[1])
    table = {name: number for name, number in cells if not name.startswith("Seeds")}
    assert list(table) == ["Spread, last step", "Spread, worst step", "Shift, last step", "Shift, worst step"]
    told = call("theory", folder / "tiny.toml", "--out", tmp_path).stdout
    said = told[told.index("effects of finite width are below 1 %") :]
    printed = re.search(r"prediction, test +([\d,]+) +([\d,]+) \(\d+\) +([\d,]+) +([\d,]+) \(\d+\)", said)
    assert printed.groups() == tuple(table.values())
    card = r"<dt>(.*?)</dt><dd[^>]*>(N ≈ .*?)</dd><dd[^>]*>(.*?)</dd>"
    title, value, detail = re.search(card, page).groups()
    assert title == "Spread, last step: how wide for 1 %" and value == f"N ≈ {table['Spread, last step']}"
    assert detail == f"predictions, test; shift, last step: N ≈ {table['Shift, last step']}"
    answers = re.findall("N ≈ ([\\d,]+)", page[page.index("</head>") : page.index("<footer>")])
    assert set(answers) <= set(table.values()), "no other answer on the page"
