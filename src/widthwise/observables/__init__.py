"""From order parameters to named numbers with their 1/N variance and shift. Begin at `solve.py`."""

from widthwise.observables.derivatives import differentiate, loss_gradient
from widthwise.observables.files import read_theory, write_theory
from widthwise.observables.scan import add_richness_scan, has_scan_of
from widthwise.observables.solve import solve_fluctuations, theory_hash

__all__ = [
    "add_richness_scan",
    "differentiate",
    "has_scan_of",
    "loss_gradient",
    "read_theory",
    "solve_fluctuations",
    "theory_hash",
    "write_theory",
]
