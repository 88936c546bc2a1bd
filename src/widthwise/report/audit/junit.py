"""An audit as JUnit XML, which continuous integration understands."""

import re
from xml.etree import ElementTree

from widthwise.audit import Audit
from widthwise.report.words import conclude, measured_words, plain_number, where_words

# What XML 1.0 has no way to write.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(audit: Audit) -> bytes:
    """One test case a row, and one for each claim that could not be tested.

    Inconsistent rows are failures, underpowered and untested ones are skipped.
    """
    kinds = [row.verdict for row in audit.rows]
    skipped = kinds.count("underpowered") + len(audit.untested)
    counts = {
        "tests": str(len(kinds) + len(audit.untested)),
        "failures": str(kinds.count("inconsistent")),
        "skipped": str(skipped),
        "errors": "0",
    }
    root = ElementTree.Element("testsuites", {"name": "widthwise", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "width audit", **counts})
    for row in audit.rows:
        case = _case(suite, row.claim, where_words(row.where))
        measured = ", expected ".join(measured_words(row))
        if row.verdict == "inconsistent":
            failure = ElementTree.SubElement(
                case, "failure", {"message": _text(row.advice), "type": row.verdict}
            )
            failure.text = _text(f"{row.advice}\nestimate {measured}, adjusted p {plain_number(row.p_value)}")
        elif row.verdict == "underpowered":
            ElementTree.SubElement(case, "skipped", {"message": _text(row.advice)})
        else:
            ElementTree.SubElement(case, "system-out").text = _text(f"estimate {measured}")
    for each in audit.untested:
        case = _case(suite, each.claim, "not tested")
        ElementTree.SubElement(case, "skipped", {"message": _text(each.why)})
    conclusion = conclude(audit.rows, audit.evidence.get("alpha"), audit.summary)
    said = ElementTree.SubElement(suite, "system-out")
    said.text = _text(" ".join([conclusion.answer, conclusion.detail, *audit.summary]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _case(suite: ElementTree.Element, claim: str, name: str) -> ElementTree.Element:
    names = {"classname": _text(f"widthwise.{claim}"), "name": _text(name), "time": "0"}
    return ElementTree.SubElement(suite, "testcase", names)


def _text(text: str) -> str:
    return FORBIDDEN.sub("?", text)
