"""The smallest change that makes an inconsistent model consistent: tried, and given as code."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from widthwise.adapters import open_runs
from widthwise.analysis.verdict import OWN
from widthwise.audit import Audit, AuditSettings, audit
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.torch.candidates import SETTINGS, of_tensors, settings_alike
from widthwise.torch.copies import train_copies
from widthwise.torch.correction import NONE, Correction, without_one
from widthwise.torch.suggested_code import code_of
from widthwise.torch.task import Task

MOST_ROUNDS, MOST_TRIALS = 6, 10
MANY = 3  # tensors, beyond which the rules of width are less work than lines for each


@dataclass(frozen=True)
class Suggestion:
    """What to tell: a sentence, and lines to paste, empty if nothing helped."""

    sentence: str
    code: str = ""


def suggested(task: Task, found: Audit, settings: AuditSettings, progress: Progress) -> Suggestion:
    """Try corrections of what an audit named, one at a time, until copies that are trained with them are
    consistent; where one is not enough, the next beside it.

    Every trial trains all copies anew, with the same seeds. A correction that is not needed beside later ones
    is left out. At most `MOST_TRIALS` are made.
    """
    search = _Search(task, settings, progress)
    chosen, at = NONE, found
    for _ in range(MOST_ROUNDS):
        better = search.best(chosen, at)
        if better is None:
            break
        chosen, at = better
        if at.verdict != "inconsistent":
            chosen = search.pruned(chosen, at)
            return _told(task, chosen, at)
    if chosen is NONE:
        tried = ", ".join(search.names) or "nothing that can be changed from outside of the model"
        return Suggestion(f"No single change was found that makes it consistent; tried: {tried}.")
    return Suggestion(
        f"No change was found that makes it consistent. Nearer to it: {chosen.name}; then: {at.summary[0]}"
    )


def _told(task: Task, chosen: Correction, at: Audit) -> Suggestion:
    now = (
        "consistent" if at.verdict == "consistent" else "no more inconsistent, with too little data for more"
    )
    rules = f" Or by rules for all tensors: `ww.torch.parametrize(make, width, base_width={task.widths[0]})`."
    many = len({*chosen.rates, *chosen.scales}) > MANY
    return Suggestion(
        f"With this change the same copies, trained again, are {now}: {chosen.name}.{rules if many else ''}",
        code_of(chosen, task.widths[0]),
    )


class _Search:
    """Trials, counted."""

    def __init__(self, task: Task, settings: AuditSettings, progress: Progress):
        self._task, self._settings, self._progress = task, settings, progress
        self.names: list[str] = []

    def best(self, chosen: Correction, at: Audit) -> tuple[Correction, Audit] | None:
        """Settings of training that are not alike, made so, if there are any: what else is wrong shows then.
        Else the first of the corrections of tensors that mends what the audit named first, whatever shows
        behind it, or the one that leaves least; None if none leaves less than there is."""
        best: tuple[Correction, Audit] | None = None
        first = _places(at)[0]
        for option in settings_alike(self._task, at) or of_tensors(self._task, at):
            trial = chosen.with_(option)
            result = self._tried(trial)
            if result is None:
                continue
            if first not in _places(result):
                return trial, result
            if _wrong(result) < _wrong(at if best is None else best[1]):
                best = trial, result
        return best

    def pruned(self, chosen: Correction, at: Audit) -> Correction:
        """Without the parts that are not needed."""
        for less in without_one(chosen):
            result = self._tried(less)
            if result is not None and result.verdict == at.verdict:
                return less
        return chosen

    def _tried(self, trial: Correction) -> Audit | None:
        """The audit of copies with a correction; None if they fail, or if there were enough trials."""
        if len(self.names) >= MOST_TRIALS:
            return None
        self.names.append(trial.name)
        try:
            with tempfile.TemporaryDirectory() as folder:
                train_copies(self._task, Path(folder), self._progress, trial)
                return audit(open_runs(folder).load(), settings=self._settings)
        except InputError as error:  # as a scheduler that wants as many groups as there were
            self.names[-1] += f" ({error})"
            return None


def _places(found: Audit) -> list[dict[str, str | int | float]]:
    """What is inconsistent, without the step at which it shows."""
    steps = ("step", "until_step")
    return [
        {"claim": row.claim, **{name: value for name, value in row.where.items() if name not in steps}}
        for row in found.rows
        if row.verdict == "inconsistent"
    ]


def _wrong(found: Audit) -> tuple[int, int, int]:
    """How many settings, how many tensors of their own, and how much in all is inconsistent."""
    bad = [row for row in found.rows if row.verdict == "inconsistent"]
    return sum(row.claim == SETTINGS for row in bad), sum(row.depth == OWN for row in bad), len(bad)
