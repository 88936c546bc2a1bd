"""`ww.torch.check`: is my PyTorch model scaled rightly with width? Small copies are trained, and audited."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from widthwise.adapters import open_runs
from widthwise.adapters.torch_isolation import all_random_states_kept
from widthwise.audit import Audit, AuditSettings, audit
from widthwise.progress import SILENT, Progress
from widthwise.report import write_report
from widthwise.report.audit import Audited, Sources, write_verdict
from widthwise.report.gather import trained_networks
from widthwise.torch.copies import train_copies
from widthwise.torch.folder import records_kept
from widthwise.torch.suggest import Suggestion, suggested
from widthwise.torch.task import Training, prepare

WIDTHS, SEEDS, STEPS = (64, 128, 256, 512), 4, 10


def check(
    make: Callable[..., Any],
    batches: Iterable[Any] | Callable[..., Any],
    loss: Callable[..., Any],
    *,
    optimizer: Any = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    scheduler: Callable[..., Any] | None = None,
    clip: float | Callable[..., Any] | None = None,
    widths: Sequence[int] = WIDTHS,
    seeds: int = SEEDS,
    steps: int = STEPS,
    probes: Any = None,
    out: str | Path = "check",
    suggest: bool = False,
    limit: Literal["mup", "ntk", "standard"] = "mup",
    device: Any = None,
    resume: str = "",
    progress: Progress = SILENT,
    **recording: Any,
) -> Audit:
    """Train small copies of a PyTorch model at several widths, and audit whether they behave as one model.

        found = ww.torch.check(make, batches, torch.nn.functional.cross_entropy, optimizer=optimizer)
        found.verdict, found.summary, found.page

    Before each copy the generators of PyTorch, NumPy and Python are seeded, at every width by the same seeds,
    and again at each step, so that what training draws (dropout, augmentation) is alike. All copies see the
    same batches. They run where PyTorch finds an accelerator, else on the processor. The generators are put
    back, and the records replace those of the last check in `out`.

    **Arguments:** `make(width)`, a model, or what `ww.torch.parametrize` returns; `batches`, at least
    `steps` of them, or a function of the step, or of (step, width) if training takes others at other
    widths; `loss`, a function of (model, batch), or of (outputs, targets) for batches (inputs, targets):
    PyTorch's own are known, others by the name of their first argument, else it is tried; `optimizer`, a
    name in `torch.optim` with `lr` and `weight_decay` (of a parametrized model with its groups), or a
    function of what `make` returned, and of the width if it has a second argument, that returns one or a
    list; `scheduler`, of the optimizer, and perhaps of the width, stepped after every update; `clip`, a
    norm that gradients are clipped to, or a function of what `make` returned, called before every update
    (for `ww.torch.clip_grad_norm`); `widths`, three or more; `steps`, updates of each copy; `probes`,
    inputs at which the model is looked at, by default the first 64 of the last batch, which no recorded
    state was trained on; `out`, a folder for records, verdict.json and report.html; `suggest`, whether to
    search for the smallest change that makes an inconsistent model consistent; `limit`, "mup", "ntk" or
    "standard"; `device`; `resume`, a text that tells this check from others: copies that an interrupted
    check with the same text trained in `out` are not trained again; `recording`, further arguments of
    `Recorder`.
    **Returns:** the audit, with `page`, and with `suggestion` if one was found.
    **Errors:** `InputError`, which also names the line where the user's own code failed.
    """
    training = Training(make, loss, optimizer, lr, weight_decay, scheduler, clip)
    folder, settings = Path(out), AuditSettings(limit=limit)
    with all_random_states_kept():
        task = prepare(
            training,
            batches,
            widths=widths,
            seeds=seeds,
            steps=steps,
            probes=probes,
            device=device,
            recording=recording,
        )
        with records_kept(folder, resume):
            train_copies(task, folder, progress)
            records = open_runs(folder)
            found = audit(records, settings=settings, progress=progress)
            if suggest and found.verdict == "inconsistent":
                found = with_suggestion(found, suggested(task, found, settings, progress))
            write_verdict(Audited(found, Sources((str(folder),), (), trained_networks(records))), folder)
            return replace(found, page=write_report(folder, progress=progress))


def with_suggestion(found: Audit, suggestion: Suggestion) -> Audit:
    """The audit that tells the suggestion behind the cause."""
    cause, *rest = found.summary
    return replace(found, summary=(cause, suggestion.sentence, *rest), suggestion=suggestion.code)
