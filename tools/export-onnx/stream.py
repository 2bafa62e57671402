"""Writes an ONNX graph whose weights go to the file beside it one at a time, so that memory holds one of them."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

ONNX_TYPES = {torch.float32: TensorProto.FLOAT, torch.float16: TensorProto.FLOAT16}

# onnxruntime maps weights that begin at a multiple of this; small ones are read.
ALIGNMENT = 65536
MAPPED_BYTES = 1 << 20

CUSTOM_DOMAIN = "com.microsoft"


class StreamedGraph:
    """A graph under construction; `weight` writes at once, `finish` writes the graph itself.

    Memory: the tensor being written. Weights lie in `path` + "_data".
    """

    def __init__(self, path, dtype):
        self.path, self.dtype = Path(path), dtype
        self.onnx_type = ONNX_TYPES[dtype]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.location = f"{self.path.name}_data"
        self.file = open(self.path.parent / self.location, "wb")
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []

    def weight(self, name, tensor):
        """Writes `tensor` in the graph's dtype; returns `name`."""
        data = tensor.to(self.dtype).contiguous().cpu()
        alignment = ALIGNMENT if data.nbytes >= MAPPED_BYTES else 16
        self.file.write(b"\0" * (-self.file.tell() % alignment))
        offset = self.file.tell()
        data.numpy().tofile(self.file)
        info = TensorProto(name=name, data_type=self.onnx_type, dims=list(data.shape), data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self.location), ("offset", offset), ("length", data.nbytes)):
            info.external_data.add(key=key, value=str(value))
        self.initializers.append(info)
        return name

    def constant(self, name, values, dtype):
        self.initializers.append(onnx.numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def node(self, op_type, inputs, outputs, domain="", **attributes):
        """Adds a node; returns its first output."""
        outputs = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(op_type, inputs, outputs, name=f"{outputs[0]}.{op_type}", domain=domain, **attributes))
        return outputs[0]

    def input(self, name, onnx_type, dims):
        self.inputs.append(helper.make_tensor_value_info(name, onnx_type, dims))
        return name

    def output(self, name, onnx_type, dims):
        self.outputs.append(helper.make_tensor_value_info(name, onnx_type, dims))

    def finish(self, opset):
        self.file.close()
        graph = helper.make_graph(self.nodes, "decoder", self.inputs, self.outputs, self.initializers)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(CUSTOM_DOMAIN, 1)]
        onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=10), self.path)
        return self.path
