"""ONNX Runtime's own quantization of the same weights: static int8 (QDQ, min-max, per channel), and dynamic."""

import logging

import torch

from candidate import Candidate, Stopwatch

try:
    import onnxruntime
    from onnxruntime import quantization
    from onnxruntime.quantization import shape_inference
    missing = None
except ImportError as error:
    missing = str(error)


class Reader:
    def __init__(self, rows):
        self.batches = iter([{"x": rows[i:i + 32].numpy()} for i in range(0, len(rows), 32)])

    def get_next(self):
        return next(self.batches, None)


def session(path, method, made_in=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Candidate("ONNX Runtime", method, path.stat().st_size, lambda x: {"x": x.contiguous().numpy()},
                     lambda feed: opened.run(None, feed)[0], made_in or {})


def as_float(subject, folder):
    path = folder / "float.onnx"
    torch.onnx.export(subject.network, (subject.calibration[:2],), str(path), opset_version=13, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "rows"}, "y": {0: "rows"}})
    return session(path, "float")


def prepared(folder):
    """Shapes inferred and norms folded, as ONNX Runtime's documentation asks for before either way."""
    path = folder / "prepared.onnx"
    if not path.exists():
        shape_inference.quant_pre_process(str(folder / "float.onnx"), str(path), skip_symbolic_shape=True)
    return path


def static(subject, folder):
    """As it comes, and with weights in 7 bits: processors without VNNI add pairs of products in 16 bits, which saturate
    where codes are large, and ONNX Runtime's documentation advises `reduce_range` for them."""
    logging.getLogger().setLevel(logging.ERROR)
    made = []
    for method, narrower in (("static int8", False), ("static 7 bits", True)):
        watch = Stopwatch()
        path = folder / f"static-{narrower}.onnx"
        quantization.quantize_static(str(prepared(folder)), str(path), Reader(subject.calibration),
                                     quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                                     reduce_range=narrower)
        made.append(session(path, method, watch.read()))
    return made


def dynamic(subject, folder):
    logging.getLogger().setLevel(logging.ERROR)
    watch = Stopwatch()
    path = folder / "dynamic.onnx"
    quantization.quantize_dynamic(str(prepared(folder)), str(path), per_channel=True)
    return session(path, "dynamic int8", watch.read())
