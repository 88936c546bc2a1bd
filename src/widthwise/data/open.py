"""The data of a study as a stream, whatever kind they are. Begin here."""

from widthwise.data.cifar5m import cifar5m_images
from widthwise.data.endless import mnist1d_stream, synthetic_stream
from widthwise.data.fixed import fixed_stream
from widthwise.data.huggingface_streams import huggingface_stream
from widthwise.data.image_folder import folder_images
from widthwise.data.images import image_stream
from widthwise.data.stream import Stream
from widthwise.data.text_streams import character_text, word_text
from widthwise.data.windows import window_stream
from widthwise.study import Study
from widthwise.study.study import require_study


def open_stream(study: Study) -> Stream:
    """The stream that a study names: the same batches for all widths and seeds, on every machine.

    Offline, `data.train` points are seen again and again, each epoch in a random order of its own
    (`order.offline_batches`); online, each sample once. Held-out points are in no batch. There are batches
    for steps 0 .. `training.steps` - 1; batch k is the same wherever the iteration starts.

    **Errors:** `InputError` naming the file or key, and what to do: files that are missing, damaged, or of
    another layout; too few samples for all steps; a package that is not installed.

    >>> from widthwise.study import DataSettings, TrainingSettings
    >>> data = DataSettings(kind="synthetic", order="online", dimension=3, test=2)
    >>> study = Study(name="demo", data=data, training=TrainingSettings(optimizer="sgd", batch=5, steps=9))
    >>> stream = open_stream(study)
    >>> stream.shape, stream.outputs, [batch.inputs.shape for batch in stream.batches(7)]
    ((3,), 1, [(5, 3), (5, 3)])
    """
    require_study(study)
    match study.data.kind:
        case "arrays" | "digits":
            return fixed_stream(study)
        case "synthetic":
            return synthetic_stream(study) if study.data.order == "online" else fixed_stream(study)
        case "mnist1d":
            return mnist1d_stream(study)
        case "image_folder":
            return image_stream(folder_images(study), study)
        case "cifar5m":
            return image_stream(cifar5m_images(study), study)
        case "tokens":
            return window_stream(word_text(study), study)
        case "text":
            return window_stream(character_text(study), study)
        case "huggingface":
            return huggingface_stream(study)
