"""What an audit says: in words, as text, as figures and tables of the page, as files. Begin at `files.py`."""

from widthwise.report.audit.ensembles import Ensembles, ensembles_of
from widthwise.report.audit.gap_series import Gap, Gaps, measure_gaps
from widthwise.report.audit.junit import junit_xml
from widthwise.report.audit.text import audit_text
from widthwise.report.audit.verdict_file import Audited, read_verdict, write_verdict

__all__ = [
    "Audited",
    "Ensembles",
    "Gap",
    "Gaps",
    "audit_text",
    "ensembles_of",
    "junit_xml",
    "measure_gaps",
    "read_verdict",
    "write_verdict",
]
