"""Copies a model folder and adds graphs of reduced precision, for `npm run bench:precision`.

usage: make_graphs.py MODEL_DIR OUT_DIR

MODEL_DIR has the float32 graphs and the checkpoint's weights beside them (data/models/demo does). OUT_DIR gets, by suffix:
  _fp16        all three graphs in half precision, by tools/export-onnx from the checkpoint
  _quantized   the decoder with 8-bit weights and activations quantised as they come (DynamicQuantizeLinear, MatMulInteger)
  _q4          the decoder with 4-bit weights in blocks of 32 (MatMulNBits), float32 activations
Needs bench/scoring/requirements.txt; no network, no GPU.
"""

import logging
import shutil
import sys
import warnings
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "export-onnx"))
from export import export  # noqa: E402


def main():
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)  # the quantizers report every node
    export(source, target, "fp16")
    shutil.copytree(source / "onnx", target / "onnx", dirs_exist_ok=True)
    # The fp16 export notes its cache's dtype there; the float32 graphs go by the model's own.
    shutil.copyfile(source / "config.json", target / "config.json")
    decoder = source / "onnx" / "decoder_model_merged.onnx"
    # Both sides unsigned: signed weights overflow on processors without VNNI.
    quantize_dynamic(decoder, target / "onnx" / "decoder_model_merged_quantized.onnx", weight_type=QuantType.QUInt8, op_types_to_quantize=["MatMul"])
    four_bit = MatMulNBitsQuantizer(onnx.load(decoder), block_size=32, is_symmetric=True)
    four_bit.process()
    onnx.save(four_bit.model.model, target / "onnx" / "decoder_model_merged_q4.onnx")


if __name__ == "__main__":
    main()
