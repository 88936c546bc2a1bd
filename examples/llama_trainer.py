"""A Llama of Hugging Face under its Trainer, recorded and audited: `python examples/llama_trainer.py`.

`pip install "transformers[torch]"`. Granite is Llama with its factors as arguments of the configuration, here
with four heads of queries and two of keys and values (GQA), whose size grows: `attention_multiplier` takes
the scale that fits. First the model as written: attention divided by the root of the heads' size, one
learning rate. Each copy is trained by `Trainer` with the recorder's callback, and the audit finds the model
inconsistent. Then with `ww.torch.parametrize`, whose groups go to the Trainer: consistent. A minute each on a
CPU. Llama itself has no such argument: there, keep `head_dim` and let heads grow in number.

`widthwise check examples/llama_trainer.py` checks the same model without the Trainer, and writes a page.
"""

import tempfile
from pydoc_data.topics import topics

import torch
from transformers import GraniteConfig, GraniteForCausalLM, Trainer, TrainingArguments

import widthwise as ww

BASE_WIDTH, HEADS, LENGTH, BATCH, CHARACTERS = 32, 4, 16, 16, 128
TEXT = "\n".join(topics[name] for name in sorted(topics)).encode("ascii", "ignore")
TOKENS = torch.tensor(list(TEXT))
lr, widths, seeds, steps = 3e-3, (32, 64, 128, 256), 4, 10


def model(width: int, attention: float) -> GraniteForCausalLM:
    """Two blocks, and attention logits q.k times a number."""
    return GraniteForCausalLM(
        GraniteConfig(
            vocab_size=CHARACTERS,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS // 2,
            attention_multiplier=attention,
            max_position_embeddings=LENGTH,
            tie_word_embeddings=False,
            use_cache=False,
        )
    )


def make(width: int) -> GraniteForCausalLM:
    """As written; `make = parametrized` is consistent."""
    return model(width, attention=(width / HEADS) ** -0.5)


def parametrized(width: int) -> ww.torch.Parametrized:
    """By the rules of width: attention falls as the size of heads, not as its root."""

    def scaled(width: int) -> GraniteForCausalLM:
        return model(width, attention=(BASE_WIDTH / HEADS) ** 0.5 / (width / HEADS))

    return ww.torch.parametrize(scaled, width, base_width=BASE_WIDTH)


def batches(step: int) -> torch.Tensor:
    """Pieces of text (sample, position); the step says which."""
    starts = torch.randint(len(TOKENS) - LENGTH, (BATCH, 1), generator=torch.Generator().manual_seed(step))
    return TOKENS[starts + torch.arange(LENGTH)]


def loss(model: torch.nn.Module, texts: torch.Tensor) -> torch.Tensor:
    """Cross entropy of each next character."""
    return model(input_ids=texts, labels=texts).loss


def train(width: int, seed: int, out: str, ruled: bool) -> None:
    """One copy by the Trainer; the seed changes its initialization, and nothing else."""
    torch.manual_seed(seed)
    made = parametrized(width) if ruled else make(width)
    copy, groups = (made.model, made.param_groups("adamw", lr=lr)) if ruled else (made, made.parameters())
    probes = batches(steps)
    recorder = ww.torch.Recorder(
        copy,
        {"input_ids": probes},
        width=width,
        seed=seed,
        out=out,
        outputs=lambda raw: raw.logits[:, -1],
        targets=probes,
        loss_function=lambda raw, texts: copy.loss_function(raw.logits, texts, vocab_size=CHARACTERS),
        quantities=(*ww.torch.DEFAULT, "attention"),
    )
    texts = [{"input_ids": each, "labels": each} for step in range(steps) for each in batches(step)]
    settings = TrainingArguments(
        out,
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,  # PyTorch's norm falls with the width: see `ww.torch.clip_grad_norm`
        train_sampling_strategy="sequential",
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
    )
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.0)
    callbacks = [ww.torch.trainer_callback(recorder)]
    Trainer(copy, settings, train_dataset=texts, optimizers=(optimizer, None), callbacks=callbacks).train()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for ruled in (False, True):
        with tempfile.TemporaryDirectory() as out:
            for width in widths:
                for seed in range(seeds):
                    train(width, seed, out, ruled)
            found = ww.audit(ww.open_runs(out))
        print(f"{'parametrized' if ruled else 'as written'}: {found.verdict}", *found.summary[:1], sep="\n  ")
