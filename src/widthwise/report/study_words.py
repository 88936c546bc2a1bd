"""The study in one sentence, as the head of the page has it."""

from widthwise.study import DataSettings, NetworkSettings, Study, TrainingSettings

DATA = {
    "arrays": "arrays of the user",
    "image_folder": "images",
    "cifar5m": "CIFAR-5m",
    "mnist1d": "MNIST-1D",
    "tokens": "tokens",
    "text": "text",
    "huggingface": "a data set of Hugging Face",
}
# What a kind of network is called, and what its depth counts.
NETWORKS = {
    "mlp": ("network", "hidden layer"),
    "cnn": ("convolutional network", "layer"),
    "resnet": ("residual network", "residual block"),
    "transformer": ("transformer", "block"),
}
RULES = {
    "gd": "gradient descent",
    "gradient_flow": "gradient flow",
    "sgd": "SGD",
    "momentum": "SGD with momentum",
    "adam": "Adam",
    "adamw": "AdamW",
}


def study_words(study: Study) -> str:
    """Network, data and training, without the full stop."""
    return f"{_network(study.network)}, {_data(study.data)}; {_training(study.training)}"


def _network(network: NetworkSettings) -> str:
    """By its kind, and the depth that this kind is counted in."""
    depth = sum(network.blocks) if network.kind == "resnet" else network.hidden_layers
    name, unit = NETWORKS[network.kind]
    layers = f"of one {unit}" if depth == 1 else f"of {depth} {unit}s"
    if network.kind != "mlp":
        return f"A {name} {layers} ({network.activation}) at richness {network.richness}"
    article = "An" if network.activation.startswith("e") else "A"
    return f"{article} {network.activation} {name} {layers} at richness {network.richness}"


def _data(data: DataSettings) -> str:
    if data.kind == "digits":
        what = f"trained on the digits {', '.join(map(str, data.classes))}"
    elif data.kind == "synthetic":
        what = f"trained on the synthetic task {data.task.replace('_', ' ')}"
    else:
        return f"trained on {DATA[data.kind]}"
    if data.order == "online":
        return f"{what} (every sample seen once; {data.test} test points)"
    return f"{what} ({data.train} training and {data.test} test points)"


def _training(training: TrainingSettings) -> str:
    updates = training.steps - 1  # step 0 is initialization
    steps = f"{updates} step{'s' if updates != 1 else ''}"
    return f"{steps} of {RULES[training.optimizer]} at learning rate {training.learning_rate}"
