"""Turns a Hugging Face vision language checkpoint into the transformers.js / onnx-community folder layout."""

import argparse
import gc
import warnings
from pathlib import Path

import torch
import transformers

from checkpoint import DTYPES, copy_side_files, load_model, read_config
from decoder import Decoder, Embed
from families import family_of
from fused import SMALL_WEIGHTS, CheckpointTensors, check_config, fuse_vision, fused_decoder, text_config, without_layers
from graph import EXTERNAL_DATA_BYTES, Graph, export_graph
from parity import compare, reference

TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2}


def embed_graph(model):
    """input_ids -> inputs_embeds."""
    embedding = model.get_input_embeddings()
    return Graph(
        module=Embed(embedding),
        inputs={"input_ids": torch.zeros(2, 3, dtype=torch.long)},
        axes={"input_ids": {0: "batch_size", 1: "sequence_length"}},
        input_names=["input_ids"],
        output_names=["inputs_embeds"],
        output_axes={"inputs_embeds": ["batch_size", "sequence_length", embedding.weight.shape[1]]},
    )


def decoder_graph(model, family, batch=2, sequence=5, past=4):
    """inputs_embeds, masks, positions and past states -> logits and present states. The sizes are of the example only."""
    text_model = family.text_model(model)
    config = text_model.config
    module = Decoder(text_model, model.get_output_embeddings(), family.blocks)
    heads = config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = range(config.num_hidden_layers)
    state = torch.zeros(batch, heads, past, width, dtype=module.dtype)
    rows = [family.position_rows] if family.position_rows > 1 else []
    inputs = {
        "inputs_embeds": torch.zeros(batch, sequence, config.hidden_size),
        "attention_mask": torch.ones(batch, past + sequence, dtype=torch.long),
        "position_ids": torch.zeros(*rows, batch, sequence, dtype=torch.long),
        "past": [(state.clone(), state.clone()) for _ in layers],
    }
    text = {0: "batch_size", 1: "sequence_length"}
    axes = {
        "inputs_embeds": text,
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        "position_ids": {axis + len(rows): name for axis, name in text.items()},
        "past": [({0: "batch_size", 2: "past_sequence_length"},) * 2 for _ in layers],
    }
    names = [f"{i}.{part}" for i in layers for part in ("key", "value")]
    input_names = ["inputs_embeds", "attention_mask", "position_ids", *(f"past_key_values.{name}" for name in names)]
    if family.blocks:
        inputs["token_type_ids"] = torch.zeros(batch, sequence, dtype=torch.long)
        axes["token_type_ids"] = text
        input_names.append("token_type_ids")
    presents = {f"present.{name}": ["batch_size", heads, "total_sequence_length", width] for name in names}
    logits = ["batch_size", "sequence_length", model.get_output_embeddings().weight.shape[0]]
    return Graph(
        module=module,
        inputs=inputs,
        axes=axes,
        input_names=input_names,
        output_names=["logits", *presents],
        output_axes={"logits": logits, **presents},
    )


def export(source, target, dtype_name="fp32", external_data_bytes=EXTERNAL_DATA_BYTES, verify=True, fused=False):
    """Exports the checkpoint folder `source` to the folder `target` and checks the result; returns the check's differences.

    Memory: the model's weights once, in the export's dtype; each graph is written and dropped before the next. With
    `fused`, vision tower, embeddings and head once, and one tensor of the decoder; the check needs the whole model.
    """
    source, target = Path(source), Path(target)
    family = family_of(read_config(source).get("model_type"))
    if fused:
        check_config(text_config(source))
    model = load_model(source, family, DTYPES[dtype_name], without_layers(source) if fused else None)
    if fused:
        fuse_vision(model)
        external_data_bytes = min(external_data_bytes, SMALL_WEIGHTS)
    copy_side_files(source, target, dtype_name)
    suffix = "" if dtype_name == "fp32" else f"_{dtype_name}"
    graphs = {
        "vision_encoder": lambda: family.vision_graph(model),
        "embed_tokens": lambda: embed_graph(model),
        "decoder_model_merged": lambda: decoder_graph(model, family),
    }
    paths = {}
    if fused:
        del graphs["decoder_model_merged"]
        path = target / "onnx" / f"decoder_model_merged{suffix}.onnx"
        paths["decoder_model_merged"] = fused_decoder(text_config(source), CheckpointTensors(source), path, DTYPES[dtype_name])
    for name, make in graphs.items():
        paths[name] = export_graph(make(), target / "onnx" / f"{name}{suffix}.onnx", external_data_bytes)
        gc.collect()
    if not verify:
        return None
    if fused:
        model = load_model(source, family, DTYPES[dtype_name])
    torch_side = reference(model, family)
    del model, graphs
    gc.collect()
    return compare(torch_side, family, paths, TOLERANCE[dtype_name], with_past=not fused)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("--dtype", choices=sorted(DTYPES), default="fp32")
    parser.add_argument("--external-data-bytes", type=int, default=EXTERNAL_DATA_BYTES,
                        help="weights of a graph above this total go to a .onnx_data file (default %(default)s)")
    parser.add_argument("--fused", action="store_true",
                        help="decoder of onnxruntime's fused operators, for GPUs: streamed, no past, no attention mask")
    parser.add_argument("--no-check", action="store_true", help="skip the comparison with torch")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
    warnings.filterwarnings("ignore", message=".*The axis name.*will not be used")
    if args.fused:  # the text layers are left out on purpose: no list of them
        transformers.logging.set_verbosity_error()
    export(args.checkpoint_dir, args.out_dir, args.dtype, args.external_data_bytes, not args.no_check, args.fused)
    print(f"wrote {args.out_dir}")


if __name__ == "__main__":
    main()
