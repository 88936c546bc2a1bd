"""A recorder in training loops that are not the user's own: Lightning and the Hugging Face Trainer.

Their packages are loaded when a callback is asked for, and not before.
"""

from collections.abc import Mapping
from typing import Any

from widthwise.errors import InputError


def lightning_callback(recorder: Any) -> Any:
    """A Lightning `Callback` that starts, steps and closes the recorder: `Trainer(callbacks=[...])`.

    A step is an update: batches whose gradients only accumulate are none. The loss is what `training_step`
    returns.
    """
    try:
        from lightning.pytorch import Callback  # pyright: ignore[reportMissingImports]
    except ImportError:
        try:
            from pytorch_lightning import Callback  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise InputError("Lightning is not installed: pip install lightning") from error

    class RecorderCallback(Callback):
        """Passes on what happens."""

        updates = 0

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """The model is on its device by now."""
            self.updates = trainer.global_step
            recorder.start()

        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            """After the update, if there was one."""
            if trainer.global_step > self.updates:
                self.updates = trainer.global_step
                recorder.step(loss=outputs.get("loss") if isinstance(outputs, Mapping) else outputs)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            """Close the recorder: the training is over and the run complete."""
            recorder.close()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            """Interrupted, or failed."""
            recorder.close(complete=False)

    return RecorderCallback()


def trainer_callback(recorder: Any) -> Any:
    """A Hugging Face `TrainerCallback`: `Trainer(callbacks=[...])`.

    The Trainer tells callbacks no loss of a step, so give the recorder a `loss_function`. It tells of no
    interruption either: `with recorder: trainer.train()` keeps what was recorded until then.
    """
    try:
        from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("transformers is not installed: pip install transformers") from error

    class RecorderCallback(TrainerCallback):
        """Passes on what happens."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """The model is on its device by now."""
            recorder.start()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Gradients are there, clipped; they are cleared before the step ends."""
            recorder.note_gradients()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """After the update."""
            recorder.step()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """Close the recorder: the training is over and the run complete."""
            recorder.close()

    return RecorderCallback()
