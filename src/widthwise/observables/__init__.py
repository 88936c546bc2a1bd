"""From order parameters to named numbers with their 1/N variance and shift. Begin at `theory_dataset.py`."""

from widthwise.observables.derivatives import differentiate as differentiate
from widthwise.observables.derivatives import loss_gradient as loss_gradient
from widthwise.observables.scan import add_richness_scan as add_richness_scan
from widthwise.observables.scan import has_scan_of as has_scan_of
from widthwise.observables.theory_dataset import solve_fluctuations as solve_fluctuations
from widthwise.observables.theory_dataset import theory_hash as theory_hash
from widthwise.observables.theory_dataset import without_corrections as without_corrections
from widthwise.observables.theory_file import read_theory as read_theory
from widthwise.observables.theory_file import write_theory as write_theory
