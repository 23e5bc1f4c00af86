#!/usr/bin/python3
"""Holds exported files against the TorchScript that they were made of: judge.py MODEL FILE… [--method M] [--part P] [--output I]
[--rows FOLDER|--shape NAME=SIZES…] [--calls N]

Each file is run by its own runtime: .tflite by LiteRT, as it runs by itself and by its reference kernels, .onnx by ONNX Runtime
without optimizations, behind onnx's checker. Without words, those of one job come on each line of standard input. Prints, a line for each: the largest difference, in the unit of the answer, and in
steps of the last codes where it answers codes; how many values differ; and the ratio of the answer to the difference in dB."""
import argparse
import json
import math
import shlex
import sys

import numpy
import torch

torch.backends.quantized.engine = "qnnpack"


def tensors_of(answer):
    return [answer] if isinstance(answer, torch.Tensor) else list(answer)


def inputs_of(arguments, names, call):
    generator = torch.Generator().manual_seed(call)
    if arguments.rows:
        rows = [torch.from_numpy(numpy.load(f"{arguments.rows}/{name}.npy")) for name in names]
        return [one[call % len(one) :][:1] for one in rows]
    inputs = []
    for text in arguments.shape:
        sizes, _, dtype = text.partition("=")[2].partition(":")
        shape = [int(size) for size in sizes.split(",")]
        if dtype == "int64":
            inputs.append(torch.randint(0, arguments.ids, shape, generator=generator))
        else:
            inputs.append(torch.randn(shape, generator=generator) * arguments.spread)
    return inputs


def run_tflite(file, kernels):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_path=file, experimental_op_resolver_type=OpResolverType[kernels], num_threads=1)
    interpreter.allocate_tensors()
    takes = {one["name"].replace(".channels_last", ""): one for one in interpreter.get_input_details()}
    step = 0.0
    for op in interpreter._get_ops_details():
        if op["op_name"] == "DEQUANTIZE" and any(one["index"] in op["outputs"] for one in interpreter.get_output_details()):
            step = float(interpreter._get_tensor_details(op["inputs"][0], 0)["quantization_parameters"]["scales"][0])

    def call(names, inputs):
        for name, value in zip(names, inputs):
            value = value.numpy()
            last = list(value.shape) != list(takes[name]["shape"])
            interpreter.set_tensor(takes[name]["index"], value.transpose(0, 2, 3, 1) if last else value)
        interpreter.invoke()
        return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]

    return call, step


def run_onnx(file):
    import onnx
    import onnxruntime

    onnx.checker.check_model(onnx.load(file), full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(file).graph
    scales = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    names = {one.name for one in graph.output}
    step = 0.0
    makers = {output: node for node in graph.node for output in node.output}
    for name in names:
        node = makers[name]
        while node.op_type == "Identity" and node.input[0] in makers:
            node = makers[node.input[0]]
        if node.op_type == "DequantizeLinear":
            step = float(scales[node.input[1]])
    return (lambda given, inputs: session.run(None, {n: v.numpy() for n, v in zip(given, inputs)})), step


def judge(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--method", default="forward")
    parser.add_argument("--part", default="")
    parser.add_argument("--output", type=int)
    parser.add_argument("--rows")
    parser.add_argument("--shape", action="append", default=[])
    parser.add_argument("--ids", type=int, default=16)
    parser.add_argument("--spread", type=float, default=1.0)
    parser.add_argument("--calls", type=int, default=8)
    arguments = parser.parse_args(words)
    model = torch.jit.load(arguments.model).eval()
    for name in filter(None, arguments.part.split(".")):
        model = getattr(model, name)
    method = getattr(model, arguments.method)
    runs = []
    for file in arguments.files:
        if file.endswith(".onnx"):
            runs.append((file, "onnxruntime", *run_onnx(file)))
        else:
            for kernels in ("AUTO", "BUILTIN_REF"):
                try:
                    runs.append((file, kernels, *run_tflite(file, kernels)))
                except ValueError as error:  # some operators have no reference kernel
                    if kernels == "AUTO" or "find op for builtin" not in str(error):
                        raise
        with open(file.rpartition("/")[0] + "/export.json") as listed:
            entry = json.load(listed)[file.rpartition("/")[2]]
        names = [one["name"] for one in entry["inputs"]]
    worst = {(file, kernels): [0.0, 0, 0, 0.0, 0.0, 0.0] for file, kernels, _, _ in runs}
    for call in range(arguments.calls):
        inputs = inputs_of(arguments, names, call)
        with torch.no_grad():
            truth = tensors_of(method(*inputs))
        if arguments.output is not None:
            truth = [truth[arguments.output]]
        for file, kernels, run, step in runs:
            figures = worst[file, kernels]
            for true, answer in zip(truth, run(names, inputs), strict=True):
                if true.is_quantized:  # the model ends in codes: these are compared
                    true, step = true.int_repr(), 1.0
                true = true.contiguous().numpy()
                if list(true.shape) != list(answer.shape):
                    true = true.transpose(0, 2, 3, 1)
                assert true.shape == answer.shape and true.dtype == answer.dtype, (file, true.shape, answer.shape)
                difference = numpy.abs(true.astype(numpy.float64) - answer)
                figures[0] = max(figures[0], float(difference.max()))
                figures[1] += int((difference > 1e-6 * max(1e-9, float(numpy.abs(true).max()))).sum())
                figures[2] += true.size
                figures[3] += float((true.astype(numpy.float64) ** 2).sum())
                figures[4] += float((difference**2).sum())
                figures[5] = step
    for (file, kernels), (largest, differing, count, signal, noise, step) in worst.items():
        decibels = 150.0 if noise == 0 else min(150.0, 10 * math.log10(max(signal, 1e-30) / noise))
        steps = largest / step if step else math.nan
        print(json.dumps({"file": file.rpartition("/")[2], "by": kernels, "largest": largest, "steps": steps if step else None,
                          "differing": differing, "of": count, "db": round(decibels, 1)}))


def main():
    for words in [sys.argv[1:]] if len(sys.argv) > 1 else map(shlex.split, sys.stdin):
        judge(words)


if __name__ == "__main__":
    sys.exit(main())
