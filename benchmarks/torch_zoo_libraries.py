"""Architectures of torchvision, timm and Hugging Face, made small, for `torch_architectures.py`.

Weights are random, nothing is downloaded. What a library's own arguments can say about width is said here:
heads that keep their size and grow in number, attention's and the read-out's scale, read-outs of their own.
"""

import torch
from torch import nn
from torch_zoo_own import CHARACTERS, CLASSES, LENGTH, SIDE

HEAD, BASE = 8, 32  # the size of a head


def torchvision_resnet(width: int) -> nn.Module:
    """torchvision's `BasicBlock`s; its `ResNet` has 64 channels at any rate."""
    from torchvision.models.resnet import BasicBlock, conv1x1

    shortcut = nn.Sequential(conv1x1(width, 2 * width, 2), nn.BatchNorm2d(2 * width))
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        BasicBlock(width, width),
        BasicBlock(width, 2 * width, 2, shortcut),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, CLASSES),
    )


def torchvision_vgg(width: int) -> nn.Module:
    """torchvision's layers of VGG, without normalization, and a smaller classifier."""
    from torchvision.models.vgg import make_layers

    features = make_layers([width, "M", 2 * width, "M", 2 * width, "M"])
    return nn.Sequential(
        features, nn.Flatten(), nn.Linear(8 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, CLASSES)
    )


def torchvision_convnext(width: int) -> nn.Module:
    """Depthwise convolutions of 7 x 7, norms, and gains of branches that begin at a tenth."""
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    stages = [CNBlockConfig(width, 2 * width, 1), CNBlockConfig(2 * width, None, 1)]
    return ConvNeXt(stages, num_classes=CLASSES, layer_scale=0.1)


def torchvision_mobilenet(width: int) -> nn.Module:
    """Depthwise convolutions between narrow and wide ones, with squeeze and excitation."""
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    def block(before: int, inside: int, after: int, stride: int) -> InvertedResidualConfig:
        return InvertedResidualConfig(before, 3, inside, after, True, "HS", stride, 1, 1.0)

    stages = [block(width, 2 * width, width, 1), block(width, 4 * width, 2 * width, 2)]
    return MobileNetV3(stages, last_channel=2 * width, num_classes=CLASSES, dropout=0.0)


def torchvision_vit(width: int) -> nn.Module:
    """Heads grow in number."""
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIDE, 4, 2, width // HEAD, width, 4 * width, num_classes=CLASSES)


def timm_vit(width: int) -> nn.Module:
    """Heads grow in number."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(SIDE, 4, embed_dim=width, depth=2, num_heads=width // HEAD, num_classes=CLASSES)


def timm_mixer(width: int) -> nn.Module:
    """Layers over patches, whose inner side grows, and over channels."""
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(CLASSES, SIDE, patch_size=4, num_blocks=2, embed_dim=width)


def timm_resnet(width: int) -> nn.Module:
    """timm's `ResNet` takes its channels, but a plain stem has 64 of them at any width."""
    from timm.models.resnet import BasicBlock, ResNet

    return ResNet(
        BasicBlock,
        (1, 1, 1, 1),
        CLASSES,
        channels=(width, width, 2 * width, 2 * width),
        output_stride=8,
        stem_width=width // 2,
        stem_type="deep",
        zero_init_last=False,
    )


def gpt2(width: int) -> nn.Module:
    """Heads grow in number, the read-out is its own."""
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=CHARACTERS,
            n_positions=LENGTH,
            n_embd=width,
            n_layer=2,
            n_head=width // HEAD,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
            tie_word_embeddings=False,
        )
    )


def _llama_like(width: int, **more: object) -> dict[str, object]:
    sizes = {
        "vocab_size": CHARACTERS,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": width // HEAD,
        "num_key_value_heads": width // HEAD // 2,
        "max_position_embeddings": LENGTH,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "use_cache": False,
    }
    return sizes | more


def llama(width: int) -> nn.Module:
    """Two queries a key (GQA); heads grow in number."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_llama_like(width)))


def granite(width: int) -> nn.Module:
    """Four heads that grow in size and a tied read-out: its configuration has a factor for each."""
    from transformers import GraniteConfig, GraniteForCausalLM

    size, base = width // 4, BASE // 4
    return GraniteForCausalLM(
        GraniteConfig(
            **_llama_like(width, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True),
            attention_multiplier=base**0.5 / size,
            logits_scaling=width / BASE,
        )
    )


def bert(width: int) -> nn.Module:
    """Heads grow in number, the decoder is its own."""
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(
            vocab_size=CHARACTERS,
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=width // HEAD,
            intermediate_size=4 * width,
            max_position_embeddings=LENGTH,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            tie_word_embeddings=False,
        )
    )


class Seq2Seq(nn.Module):
    """T5 that reads a text and writes the next characters: its read-out is tied, and divided by width^1/2."""

    def __init__(self, width: int):
        super().__init__()
        from transformers import T5Config, T5ForConditionalGeneration

        self.t5 = T5ForConditionalGeneration(
            T5Config(
                vocab_size=CHARACTERS,
                d_model=width,
                d_kv=HEAD,
                num_heads=width // HEAD,
                d_ff=2 * width,
                num_layers=2,
                dropout_rate=0.0,
                decoder_start_token_id=0,
                use_cache=False,
            )
        )
        self.factor = (BASE / width) ** 0.5

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        """Logits (text, position, character)."""
        return self.t5(input_ids=texts, decoder_input_ids=texts).logits * self.factor


def mamba(width: int) -> nn.Module:
    """Two state-space blocks; the rank of their steps is an argument, so that it stays."""
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(
        MambaConfig(
            vocab_size=CHARACTERS,
            hidden_size=width,
            state_size=4,
            num_hidden_layers=2,
            time_step_rank=4,
            tie_word_embeddings=False,
            use_cache=False,
        )
    )
