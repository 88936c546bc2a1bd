"""From order parameters to named numbers with their 1/N variance and shift. Begin at `theory_dataset.py`."""

from widthwise.observables.derivatives import differentiate, loss_gradient
from widthwise.observables.scan import add_richness_scan, has_scan_of
from widthwise.observables.theory_dataset import solve_fluctuations, theory_hash, without_corrections
from widthwise.observables.theory_file import read_theory, write_theory

__all__ = [
    "add_richness_scan",
    "differentiate",
    "has_scan_of",
    "loss_gradient",
    "read_theory",
    "solve_fluctuations",
    "theory_hash",
    "without_corrections",
    "write_theory",
]
