"""What rates cannot do for attention is seen on the model, and only where it is so."""

import pytest

import widthwise as ww

torch = pytest.importorskip("torch")
nn = torch.nn
BASE, WIDTH = 16, 64


class Attention(nn.Module):
    """Attention of two heads that names nothing of its sizes."""

    def __init__(self, width, scale=None, heads=2):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.head = nn.Linear(width, 3)
        self.scores, self.count = scale, heads

    def forward(self, x):
        q, k, v = (
            f(x).unflatten(-1, (self.count, -1)).transpose(1, 2)
            for f in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, scale=self.scores)
        return self.head(mixed.transpose(1, 2).flatten(2))


class Embedded(nn.Module):
    def __init__(self, width, **settings):
        super().__init__()
        self.first, self.attention = nn.Linear(5, width), Attention(width, **settings)

    def forward(self, x):
        return self.attention(self.first(x))


PROBES = torch.ones(2, 4, 5)


def warnings(make, **settings):
    return ww.torch.parametrize(make, WIDTH, base_width=BASE, seed=0, **settings).warnings


def test_the_default_scale_of_heads_that_grow_is_seen_in_a_forward_pass():
    assert warnings(Embedded) == ()  # nothing tells it without probes
    usual = nn.functional.scaled_dot_product_attention
    (message,) = warnings(Embedded, probes=PROBES)
    assert nn.functional.scaled_dot_product_attention is usual
    assert message.startswith("attention 1: heads have size 32, 8 at the base width")
    assert "scale=8**0.5 / head_size" in message
    assert 'multipliers={"*q_proj*": 0.5}' in message


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Embedded(n, scale=8**0.5 / (n / 2)),
        lambda n: Embedded(n, heads=n // 8),
    ],
)
def test_a_right_scale_and_heads_of_fixed_size_are_no_fault(make):
    assert warnings(make, probes=PROBES) == ()


def test_the_line_that_is_offered_makes_the_logits_those_of_the_right_scale():
    line = {"*q_proj*": 0.5}
    folded = ww.torch.parametrize(Embedded, WIDTH, base_width=BASE, seed=0, multipliers=line).model
    right = ww.torch.parametrize(
        lambda n: Embedded(n, scale=8**0.5 / (n / 2)), WIDTH, base_width=BASE, seed=0
    ).model
    inputs = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(folded(inputs), right(inputs))


def test_usual_modules_tell_the_size_of_their_heads():
    (message,) = warnings(lambda n: nn.TransformerEncoderLayer(n, 2, n), tags=None)
    assert message.startswith("self_attn: heads have size 32, 8 at the base width")
    assert warnings(lambda n: nn.MultiheadAttention(n, n // 8)) == ()


def test_configurations_of_hugging_face_tell_theirs():
    transformers = pytest.importorskip("transformers")

    def llama(width, heads):
        settings = transformers.LlamaConfig(
            hidden_size=width,
            intermediate_size=2 * width,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            num_hidden_layers=2,
            vocab_size=32,
            tie_word_embeddings=False,
        )
        return transformers.LlamaForCausalLM(settings)

    (message,) = warnings(lambda n: llama(n, 2))
    assert "self_attn" in message and "heads have size 32" in message
    built = ww.torch.parametrize(lambda n: llama(n, n // 8), WIDTH, base_width=BASE, seed=0)
    assert built.warnings == ()
    assert {row.role for row in built.rows if row.tensor.endswith("k_proj.weight")} == {"hidden"}
    assert {row.tensor: row.role for row in built.rows}["lm_head.weight"] == "readout"
