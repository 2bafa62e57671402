"""A torch module as an ONNX file, with named and dynamic axes and weights beside it when they are large."""

from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir
import torch

OPSET = 18
EXTERNAL_DATA_BYTES = 1_500_000_000  # protobuf ends at 2 GiB


@dataclass
class Graph:
    """One graph to export.

    `inputs` are example values for `module.forward`, by argument name, in order; `axes` has the dynamic axes in the
    same nesting ({argument: {axis: name}}); `input_names` and `output_names` are flat, in the order of the leaves.
    """

    module: torch.nn.Module
    inputs: dict
    axes: dict
    input_names: list[str]
    output_names: list[str]
    output_axes: dict[str, list] = field(default_factory=dict)


def transpose_weights(model):
    """Stores each weight in the orientation that its MatMul wants, so that no Transpose of a weight is left to run time.

    The data is a transposed view of the torch tensor: no copy is made before the file is written.
    """
    graph = model.graph
    for node in list(graph):
        if node.op_type != "Transpose" or not node.inputs[0].is_initializer():
            continue
        weight, order = node.inputs[0], node.attributes["perm"].as_ints()
        tensor = torch.as_tensor(weight.const_value.raw if hasattr(weight.const_value, "raw") else weight.const_value.numpy())
        turned = ir.tensor(tensor.permute(*order), name=f"{weight.name}.t")
        value = ir.Value(name=turned.name, shape=turned.shape, type=ir.TensorType(turned.dtype), const_value=turned)
        graph.register_initializer(value)
        node.outputs[0].replace_all_uses_with(value)
        graph.remove(node, safe=True)
        if not weight.uses():
            graph.initializers.pop(weight.name)


def export_graph(graph, path, external_data_bytes=EXTERNAL_DATA_BYTES):
    """Writes `graph` to `path`; weights above `external_data_bytes` in total go to `path` + "_data" instead.

    Memory: the torch weights are shared with the graph and written tensor by tensor.
    """
    with torch.no_grad():
        program = torch.onnx.export(
            graph.module.eval(),
            kwargs=graph.inputs,
            dynamic_shapes=graph.axes,
            input_names=graph.input_names,
            output_names=graph.output_names,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    model = program.model
    transpose_weights(model)
    for name, dims in graph.output_axes.items():
        value = next(output for output in model.graph.outputs if output.name == name)
        value.shape = ir.Shape(dims)
    for node in model.graph:  # source locations of the exporting machine are no part of the graph
        node.metadata_props.clear()
        node.doc_string = None
    model.metadata_props.clear()
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values())
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = f"{path.name}_data" if size > external_data_bytes else None
    ir.save(model, path, external_data=beside)
    return path
