"""The decoder for GPUs: onnxruntime's fused operators, no past, no attention mask, weights streamed from the checkpoint.

Rows are padded on the right, and attention is causal, so a token never sees padding: no mask is needed.
"""

from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto
from safetensors import safe_open
from torch import nn

from graph import OPSET
from stream import CUSTOM_DOMAIN, StreamedGraph

# Beside a streamed decoder all large weights lie in files of their own: the graphs stay small enough to be joined.
SMALL_WEIGHTS = 1 << 20

DECODERS = ("llama", "mistral", "qwen2")


def names_in(file):
    with safe_open(file, "pt") as tensors:
        return list(tensors.keys())


class CheckpointTensors:
    """A checkpoint's tensors by name, read from the safetensors files when they are asked for."""

    def __init__(self, folder):
        files = sorted(Path(folder).glob("*.safetensors"))
        if not files:
            raise SystemExit(f"{folder} has no .safetensors file: save the checkpoint with save_pretrained")
        self.owner = {name: file for file in files for name in names_in(file)}
        self.layers = self.prefix("layers.0.self_attn.q_proj.weight")

    def prefix(self, suffix):
        """What stands before `suffix` in the text model's names, which differ between versions of transformers."""
        found = [name for name in self.owner if name.endswith(f".{suffix}") and "vision" not in name]
        if len(found) != 1:
            raise SystemExit(f"the checkpoint has {len(found)} tensors of the text model named *.{suffix}, one is expected")
        return found[0].removesuffix(suffix)

    def text(self, name):
        """A tensor of the text model, such as "layers.3.mlp.up_proj.weight"; None where the checkpoint has none."""
        full = self.layers + name
        return self.read(full) if full in self.owner else None

    def head(self):
        """The head's weights [vocabulary, hidden]; the token embeddings where both are one."""
        heads = [name for name in self.owner if name.endswith("lm_head.weight")]
        return self.read(heads[0]) if heads else self.text("embed_tokens.weight")

    def read(self, name):
        """Opened anew: pages of a mapped file stay in memory as long as it is open."""
        with safe_open(self.owner[name], "pt") as file:
            return file.get_tensor(name)


def rotary_caches(config, length):
    """cos and sin of every position, each float32 [length, head_dim / 2], with the configuration's scaling."""
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    rotary = LlamaRotaryEmbedding(config)
    angles = torch.arange(length)[:, None].float() * rotary.inv_freq[None].float()
    return angles.cos() * rotary.attention_scaling, angles.sin() * rotary.attention_scaling


def check_config(config):
    """Raises SystemExit where the text model is not one that `fused_decoder` builds."""
    if config.model_type not in DECODERS:
        raise SystemExit(f"--fused knows the decoders {', '.join(DECODERS)}; this is {config.model_type}. Export without --fused")
    if config.hidden_act != "silu":
        raise SystemExit(f"--fused knows the activation silu; this is {config.hidden_act}. Export without --fused")
    if head_width(config) % 16:  # what GroupQueryAttention's rotary embedding takes
        raise SystemExit(f"--fused needs attention heads of a multiple of 16; these are {head_width(config)} wide. Export without --fused")
    if len(set(getattr(config, "layer_types", None) or [])) > 1:
        raise SystemExit("--fused knows no decoders whose layers differ in their attention. Export without --fused")


def head_width(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def window_of(config):
    """Keys that a query sees, itself included; -1: all before it."""
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    return window if window and (types is None or types[0] == "sliding_attention") and getattr(config, "use_sliding_window", True) else -1


def fused_decoder(config, tensors, path, dtype):
    """Writes the graph inputs_embeds float32 [batch, sequence, hidden] -> logits float32 [batch, sequence, vocabulary].

    `tensors.text(name)` and `tensors.head()` give weights as torch tensors; one is held at a time.
    """
    check_config(config)
    g = StreamedGraph(path, dtype)
    g.input("inputs_embeds", TensorProto.FLOAT, ["batch_size", "sequence_length", config.hidden_size])
    cos, sin = rotary_caches(config, config.max_position_embeddings)
    g.weight("rotary.cos", cos), g.weight("rotary.sin", sin)
    last_key, length = sequence_lengths(g)

    def linear(x, name, out):
        y = g.node("MatMul", [x, g.weight(f"{name}.weight", tensors.text(f"{name}.weight").T)], out)
        bias = tensors.text(f"{name}.bias")
        return y if bias is None else g.node("Add", [y, g.weight(f"{name}.bias", bias)], f"{out}.biased")

    def norm(x, skip, name, out):
        """RMS norm of x + skip, and the sum."""
        gamma = g.weight(f"{name}.weight", tensors.text(f"{name}.weight"))
        if skip is None:
            return g.node("SimplifiedLayerNormalization", [x, gamma], out, axis=-1, epsilon=config.rms_norm_eps, stash_type=1), x
        outputs = [out, "", "", f"{out}.sum"]
        g.node("SkipSimplifiedLayerNormalization", [x, skip, gamma], outputs, CUSTOM_DOMAIN, epsilon=config.rms_norm_eps)
        return out, outputs[3]

    stream, added = g.node("Cast", ["inputs_embeds"], "embeds", to=g.onnx_type), None
    for i in range(config.num_hidden_layers):
        at = f"layers.{i}"
        x, stream = norm(stream, added, f"{at}.input_layernorm", f"{at}.norm")
        q, k, v = (linear(x, f"{at}.self_attn.{part}_proj", f"{at}.{part}") for part in "qkv")
        attended = g.node(
            "GroupQueryAttention",
            [q, k, v, "", "", last_key, length, "rotary.cos", "rotary.sin"],
            [f"{at}.attended", f"{at}.key", f"{at}.value"],
            CUSTOM_DOMAIN,
            num_heads=config.num_attention_heads,
            kv_num_heads=config.num_key_value_heads,
            do_rotary=1,
            scale=head_width(config) ** -0.5,
            local_window_size=window_of(config),
        )
        x, stream = norm(linear(attended, f"{at}.self_attn.o_proj", f"{at}.o"), stream, f"{at}.post_attention_layernorm", f"{at}.norm2")
        gate = g.node("QuickGelu", [linear(x, f"{at}.mlp.gate_proj", f"{at}.gate")], f"{at}.silu", CUSTOM_DOMAIN, alpha=1.0)
        product = g.node("Mul", [gate, linear(x, f"{at}.mlp.up_proj", f"{at}.up")], f"{at}.product")
        added = linear(product, f"{at}.mlp.down_proj", f"{at}.down")
    hidden, _ = norm(stream, added, "norm", "hidden")
    head = tensors.head()
    g.node("MatMul", [hidden, g.weight("lm_head.weight", head.T)], "logits.typed")
    g.node("Cast", ["logits.typed"], "logits", to=TensorProto.FLOAT)
    g.output("logits", TensorProto.FLOAT, ["batch_size", "sequence_length", head.shape[0]])
    return g.finish(OPSET)


def sequence_lengths(g):
    """What GroupQueryAttention wants to know: for each row the index of its last key, and the number of keys."""
    g.constant("one", [1], np.int32)
    g.constant("to_scalar", [], np.int64)
    batch = g.node("Shape", ["inputs_embeds"], "batch", start=0, end=1)
    length = g.node("Cast", [g.node("Shape", ["inputs_embeds"], "length.long", start=1, end=2)], "length.vector", to=TensorProto.INT32)
    last = g.node("Expand", [g.node("Sub", [length, "one"], "last_key.vector"), batch], "last_key")
    return last, g.node("Reshape", [length, "to_scalar"], "length")


def without_layers(folder):
    """The checkpoint's configuration with no text layers: what loads is the vision tower, the embeddings and the head."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    text = config.get_text_config()
    text.num_hidden_layers = 0
    if getattr(text, "layer_types", None):
        text.layer_types = []
    return config


def text_config(folder):
    """The checkpoint's text model configuration."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()


class PatchProjection(nn.Module):
    """A convolution whose patches don't overlap, as a matrix product: on CUDA a convolution needs cuDNN and, for every
    new number of images, a search for its fastest kernel.
    """

    def __init__(self, convolution):
        super().__init__()
        self.weight, self.bias, self.side = convolution.weight, convolution.bias, convolution.kernel_size[0]

    def forward(self, pixels):
        patches = pixels.unflatten(3, (-1, self.side)).unflatten(2, (-1, self.side))  # [n, c, rows, side, columns, side]
        flat = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)
        return nn.functional.linear(flat, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def project_patches(model):
    """Replaces every convolution of `model` over patches that don't overlap."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            square = isinstance(child, nn.Conv2d) and len({*child.kernel_size, *child.stride}) == 1
            if square and child.groups == 1 and not any(child.padding if isinstance(child.padding, tuple) else (0,)):
                setattr(parent, name, PatchProjection(child))


FUSED_ATTENTION = "onnxruntime_multi_head"


def multi_head_attention(module, query, key, value, attention_mask, scaling=None, **_kwargs):
    """transformers' attention function as one onnxruntime operator: for encoders, which see all of their tokens."""
    if attention_mask is not None:
        raise SystemExit("--fused knows vision towers whose attention has no mask. Export without --fused")
    flat = [states.transpose(1, 2).flatten(2) for states in (query, key, value)]  # [batch, tokens, heads * width]
    attributes = {"num_heads": query.shape[1], "scale": float(scaling if scaling is not None else query.shape[-1] ** -0.5)}
    out = torch.onnx.ops.symbolic(
        f"{CUSTOM_DOMAIN}::MultiHeadAttention", flat, attributes, dtype=query.dtype, shape=flat[0].shape, version=1
    )
    return out.unflatten(2, (query.shape[1], -1)), None


def fuse_vision(model):
    """Makes the vision tower's convolution a product and its attention one operator; for export only, it no longer runs."""
    from transformers import AttentionInterface

    project_patches(model)
    AttentionInterface.register(FUSED_ATTENTION, multi_head_attention)
    model.model.vision_tower.set_attn_implementation(FUSED_ATTENTION)
