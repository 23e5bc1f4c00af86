"""Our files beside what a user would pick instead: PyTorch's own quantization, and ONNX Runtime's. Same weights, same
calibration rows, same process. See script/bench-quantize."""

import argparse
import os
import pathlib
import platform
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
import torch

import judge
import onnx_runtime
import ours
import pytorch
import subjects
import table

WEIGHTS_ONLY = ["fp16", "int8-weights", "rtn-4bit", "nf4-4bit", "gptq-4bit", "awq-4bit"]


def say(text):
    print("bench quantize: " + text, file=sys.stderr, flush=True)


def attempt(what, make):
    """A way that cannot do a network is named with the reason; the others go on."""
    try:
        made = make()
        return made if isinstance(made, list) else [made]
    except Exception as error:
        say(f"{what}: {type(error).__name__}: {str(error).strip()[:600]}")
        return []


def candidates(subject, folder, options):
    own = ["float-mobile"] + ["static"] * subject.static + ["dynamic"] * subject.dynamic
    made = attempt(f"{subject.name}, PyTorch float", lambda: pytorch.as_float(subject, folder))
    make_own = subject.variants or (lambda: ours.make(options.outcrop, subject, folder, own))
    made += attempt(f"{subject.name}, outcrop", make_own)
    others = [("PyTorch", pytorch)]
    if onnx_runtime.missing is None:
        made += attempt(f"{subject.name}, ONNX Runtime float", lambda: onnx_runtime.as_float(subject, folder))
        others.append(("ONNX Runtime", onnx_runtime))
    for name, other in others:
        if subject.static:
            made += attempt(f"{subject.name}, {name} static", lambda: other.static(subject, folder))
        if subject.dynamic:
            made += attempt(f"{subject.name}, {name} dynamic", lambda: other.dynamic(subject, folder))
    if subject.name == "transformer":
        made += attempt("transformer, weights alone",
                        lambda: ours.make(options.outcrop, subject, folder, WEIGHTS_ONLY))
    return made


def read_options():
    parser = argparse.ArgumentParser(prog="script/bench-quantize")
    parser.add_argument("--outcrop", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--tsv", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="networks, with commas")
    parser.add_argument("--stage", type=pathlib.Path, help="of a training on texts: that one alone")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("build/text-data"))
    options = parser.parse_args()
    options.threads = os.cpu_count()
    options.rows = 256  # to calibrate with
    options.held_out = 2000 if options.quick else 10000
    options.steps = 300 if options.quick else 1500
    options.rounds, options.seconds = (20, 10) if options.quick else (100, 30)
    return options


def text_subject(options):
    import texts  # and with it `transformers`
    return texts.subject(options)


def main():
    options = read_options()
    torch.backends.quantized.engine = "qnnpack"
    if onnx_runtime.missing is not None:
        say(f"ONNX Runtime is missing ({onnx_runtime.missing}): PyTorch alone is what we are compared with")
    about = {"torch": torch.__version__, "machine": platform.machine(), "calibration_rows": options.rows,
             "onnxruntime": None if onnx_runtime.missing else onnx_runtime.onnxruntime.__version__}
    lines = []
    makers = {"texts": lambda: text_subject(options)} if options.stage else subjects.all_of(options, say)
    wanted = options.only.split(",") if options.only else list(makers)
    for name in wanted:
        if name not in makers:
            say(f"no network '{name}'; there are: {', '.join(makers)}")
            return 2
        subject = makers[name]()
        with tempfile.TemporaryDirectory(prefix="outcrop-judges-") as folder:
            made = candidates(subject, pathlib.Path(folder), options)
            if not made:
                continue
            of_one = table.beside_float(judge.judge(subject, made, options))
        table.show(of_one)
        print()
        lines += of_one
        # After each, so that a run that was ended leaves what it had.
        if options.json:
            table.write_json(options.json, about, lines)
        if options.tsv:
            table.write_tsv(options.tsv, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
