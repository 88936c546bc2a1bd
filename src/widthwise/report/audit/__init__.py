"""What an audit says: in words, as text, as figures and tables of the page, as files."""

from widthwise.report.audit.exports import junit_xml
from widthwise.report.audit.text import audit_text
from widthwise.report.audit.verdict_file import Audited, Sources, read_verdict, write_verdict

__all__ = ["Audited", "Sources", "audit_text", "junit_xml", "read_verdict", "write_verdict"]
