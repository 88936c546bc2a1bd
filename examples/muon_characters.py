"""Muon for a character model, from the model as written to a verdict: `python examples/muon_characters.py`.

The nanoGPT of `nanogpt_characters.py`, its hidden matrices by `torch.optim.Muon` with updates as large as
AdamW's (`match_rms_adamw`), all other tensors by AdamW. As written, at one rate, the check finds it
inconsistent: the readout starts too large, and such updates move outputs as the root of the width. With
`ww.torch.parametrize` and its `muon_groups` it is consistent. Half a minute each on a CPU. The scale that an
implementation of Muon has decides: see docs/cure.md, "Optimizers".

`widthwise check examples/muon_characters.py` checks what this file defines, and writes a page.
"""

import tempfile

import torch
from nanogpt_characters import GPT, batches, loss, parametrized

import widthwise as ww

RATE, SCALE = 3e-3, "match_rms_adamw"


def optimizer(made: GPT | ww.torch.Parametrized) -> list[torch.optim.Optimizer]:
    """Muon for matrices of the blocks, and AdamW."""
    if isinstance(made, ww.torch.Parametrized):
        muon, others = made.muon_groups(lr=RATE, others_lr=RATE, scale=SCALE)
    else:
        muon = [p for p in made.blocks.parameters() if p.ndim == 2]
        others = [p for p in made.parameters() if all(p is not matrix for matrix in muon)]
    return [
        torch.optim.Muon(muon, lr=RATE, weight_decay=0.0, adjust_lr_fn=SCALE),
        torch.optim.AdamW(others, lr=RATE, weight_decay=0.0),
    ]


make, widths, seeds, steps = GPT, (32, 64, 128, 256), 4, 10  # `make = parametrized` is consistent

if __name__ == "__main__":
    torch.set_num_threads(1)
    for title, factory in (("as written", GPT), ("parametrized", parametrized)):
        with tempfile.TemporaryDirectory() as out:
            settings = {"optimizer": optimizer, "widths": widths, "seeds": seeds, "steps": steps, "out": out}
            found = ww.torch.check(factory, batches, loss, **settings)
        print(f"{title}: {found.verdict}", *found.summary[:1], sep="\n  ")
