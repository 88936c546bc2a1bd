"""Names of everything measured, and the store of trained networks. Begin at `store.py`."""

from widthwise.records.evidence import evidence
from widthwise.records.layout import Cell, Layout
from widthwise.records.parameters import read_parameters as load_parameters
from widthwise.records.read import open_records
from widthwise.records.store import RecordStore, open_store

__all__ = ["Cell", "Layout", "RecordStore", "evidence", "load_parameters", "open_records", "open_store"]
