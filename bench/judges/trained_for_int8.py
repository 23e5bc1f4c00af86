"""Static int8 beside training for int8 (QAT), each against float of the same weights.

A generator and a classifier are trained in float, then by as many steps further, once in float and once for int8, from the same
weights and with the same learning rate: what differs is the rounding alone. The generator's files decode the same latents, those of
held-out maps, float and int8; the classifier's name the class of held-out images. Files are called as boards call them."""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch.jit.mobile import _load_for_lite_interpreter

import rows

VARIANTS = {"static": "int8-qint8", "qat": "int8-qat"}
# Two-sided 95 %, of Student's distribution with that many degrees of freedom.
QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}

GENERATOR = """gathers = "decoder"
[data]
train = "{data}/train"
validation = "{data}/held-out"
"""
CLASSIFIER = """kind = "classifier"
widths = [32, 64]
hidden = {hidden}
[data]
train = "{data}"
"""


def say(text):
    print("bench qat: " + text, file=sys.stderr, flush=True)


def run(options, *arguments, log):
    with open(log, "w", encoding="utf-8") as file:
        code = subprocess.run([options.outcrop, *map(str, arguments)], stdout=file, stderr=file).returncode
    if code != 0:
        raise SystemExit(f"bench qat: outcrop {arguments[0]} failed; its last words, of {log}:\n" +
                         "\n".join(log.read_text().splitlines()[-4:]))


class Trainings:
    """The runs of one seed: `base` in float, then `float` and `qat` from it. What is there already is not done again."""

    def __init__(self, options, folder, model, steps, seed):
        self.options, self.folder, self.model, self.seed = options, folder, model, seed
        self.steps = steps  # keys of [train] besides
        folder.mkdir(parents=True, exist_ok=True)

    def stage(self, name, epochs, rate, variants, qat=False, init=None):
        out = self.folder / name
        stage = out / "stage1"
        if (stage / "quantization.json").exists():
            return stage
        config = self.folder / f"{name}.toml"
        names = ", ".join(f'"{one}"' for one in variants)
        config.write_text(f'[model]\nname = "bench"\n{self.model}[train]\nout = "{out}"\nseed = {self.seed}\n'
                          f"stage_epochs = {epochs}\nlearning_rate = {rate}\n{self.steps}" +
                          ("qat_from = 1\nqat_rate = 1.0\n" if qat else "") + f"[quantize]\nvariants = [{names}]\n")
        say(f"{self.folder.name}, {name}: {epochs} epochs")
        run(self.options, "train", config, "--stages", 1, *(["--init", init] if init else []), log=self.folder / f"{name}.log")
        return stage

    def all(self, base_epochs, epochs, rate, base=None):
        if base is None:
            base = self.stage("base", base_epochs, rate, ["float"]) / "bench_stage1.weights"
        tenth = rate / 10
        return {"static": self.stage("float", epochs, tenth, ["float", VARIANTS["static"]], init=base),
                "qat": self.stage("qat", epochs, tenth, ["float", VARIANTS["qat"], VARIANTS["static"]], qat=True, init=base)}


def file_of(stage, variant):
    return stage / f"bench_stage1_{variant}.ptl"


def log_scaled(gathers):
    return torch.sign(gathers) * torch.log1p(gathers.abs())


def decoded(path, latents):
    module = _load_for_lite_interpreter(str(path))
    pairs = [module.run_method("decode", one) for one in latents.split(1)]
    return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])


def held_out_maps(held_out, at_most):
    return torch.from_numpy(np.concatenate([np.load(path) for path in sorted(held_out.glob("vel*.npy"))])[:at_most])


def latents_of(stage, maps):
    encoder = torch.jit.load(str(stage / "bench_stage1_encoder.pt"))
    with torch.no_grad():
        return encoder((maps - 3000.0) / 1500.0).flatten(1)


def generator_errors(stage, variant, held_out, at_most):
    """Root mean squares over all values: maps in m/s, gathers under log1p. `lost`: what int8 adds to the mean absolute error of
    reconstructed maps, m/s; `right`: that error itself."""
    true = held_out_maps(held_out, at_most)
    latents = latents_of(stage, true)
    float_maps, float_gathers = decoded(file_of(stage, "float"), latents)
    maps, gathers = decoded(file_of(stage, variant), latents)
    off, float_off = (maps - true).abs().mean().item(), (float_maps - true).abs().mean().item()
    return {"maps": (maps - float_maps).square().mean().sqrt().item(),
            "gathers": (log_scaled(gathers) - log_scaled(float_gathers)).square().mean().sqrt().item(),
            "right": off, "lost": off - float_off}


def interval(values):
    """Mean, and half of its 95 % interval over seeds; None of one seed."""
    half = QUANTILES[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return statistics.mean(values), half


def spoken(mean, half, digits):
    return f"{mean:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def generator(options, folder):
    data = folder / "data"
    for name, count, seed in (("train", options.count, 1), ("held-out", options.held_out, 2)):
        if not (data / name / "dataset.json").exists():
            say(f"{count} maps and gathers: {name}")
            run(options, "synth", "--family", "curvefault-a", "--count", count, "--seed", seed, "--out", data / name,
                log=folder / f"{name}.log")
    seeds = []
    for seed in range(1, options.seeds + 1):
        trainings = Trainings(options, folder / f"seed{seed}", GENERATOR.format(data=data), f"threads = {options.threads}\n", seed)
        stages = trainings.all(options.epochs, options.more, 0.002, options.generator_weights)
        of_seed = {}
        for name, stage, variant in (("static", stages["static"], VARIANTS["static"]), ("qat", stages["qat"], VARIANTS["qat"]),
                                     ("static of qat's weights", stages["qat"], VARIANTS["static"])):
            of_seed[name] = generator_errors(stage, variant, data / "held-out", options.held_out)
        seeds.append(of_seed)
        say(f"seed {seed}: {json.dumps(of_seed)}")
    result = {"seeds": seeds}
    print(f"generator, {options.held_out} held-out maps, {len(seeds)} seeds: int8 beside float of the same weights at the same latents "
          "(RMS), and beside the true maps (mean, m/s)")
    print(f"{'':<26}{'maps, m/s':>18}{'gathers, log1p':>20}{'to the truth':>18}{'lost by int8':>18}")
    for name in seeds[0]:
        cells = [interval([one[name][output] for one in seeds]) for output in ("maps", "gathers", "right", "lost")]
        print(f"{name:<26}{spoken(*cells[0], 2):>18}{spoken(*cells[1], 4):>20}{spoken(*cells[2], 1):>18}{spoken(*cells[3], 2):>18}")
    for name in ("qat", "static of qat's weights"):
        ratios = {output: [one[name][output] / one["static"][output] for one in seeds] for output in ("maps", "gathers", "right")}
        cells = {output: interval(values) for output, values in ratios.items()}
        result[name + " of static"] = {output: {"mean": mean, "half": half} for output, (mean, half) in cells.items()}
        print(f"{name + ', of static':<26}{spoken(*cells['maps'], 2):>18}{spoken(*cells['gathers'], 2):>20}{spoken(*cells['right'], 3):>18}")
    return result


def accuracy(path, images, classes):
    module = _load_for_lite_interpreter(str(path))
    right = 0
    for first in range(0, len(images), 250):
        answer = module.forward(images[first:first + 250])
        answer = answer[0] if isinstance(answer, (tuple, list)) else answer
        right += (answer.argmax(1) == classes[first:first + 250]).sum().item()
    return right / len(images)


def fashion(options, folder):
    data = rows.Images()
    model = CLASSIFIER.format(hidden=options.hidden, data=rows.FASHION_MNIST)
    steps = f"batch = 128\nweight_decay = 0.05\nthreads = {options.threads}\n"
    trainings = Trainings(options, folder / "fashion", model, steps, 1)
    stages = trainings.all(options.fashion_epochs, options.fashion_more, 0.002, options.fashion_weights)
    result = {}
    print(f"Fashion-MNIST, {len(data.held_out)} held-out images")
    print(f"{'':<26}{'accuracy':>10}{'size of float':>15}")
    for name, stage, variant in (("float", stages["static"], "float"), ("static", stages["static"], VARIANTS["static"]),
                                 ("float of qat's weights", stages["qat"], "float"), ("qat", stages["qat"], VARIANTS["qat"])):
        path = file_of(stage, variant)
        # Files take images as they are stored, [rows, 1, 28, 28], of 0 to 1.
        result[name] = {"accuracy": accuracy(path, data.held_out, data.held_out_classes),
                        "size": path.stat().st_size / file_of(stage, "float").stat().st_size}
        print(f"{name:<26}{result[name]['accuracy']:>10.4f}{result[name]['size']:>15.3f}", flush=True)
    return result


def read_options():
    parser = argparse.ArgumentParser(prog="script/bench-qat")
    parser.add_argument("--outcrop", type=pathlib.Path, required=True)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--only", default="generator,fashion")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--more", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=1900)
    parser.add_argument("--generator-weights", type=pathlib.Path)
    parser.add_argument("--fashion-weights", type=pathlib.Path)
    options = parser.parse_args()
    quick = options.quick
    options.count = options.count or (16 if quick else 128)
    options.epochs = options.epochs or (1 if quick else 12)
    options.more = options.more or (1 if quick else 6)
    options.held_out = 8 if quick else 64
    options.fashion_epochs, options.fashion_more = (1, 1) if quick else (20, 2)
    return options


def main():
    options = read_options()
    torch.backends.quantized.engine = "qnnpack"
    torch.set_num_threads(1)
    made = {"generator": generator, "fashion": fashion}
    results = {}
    with tempfile.TemporaryDirectory(prefix="outcrop-qat-") as temporary:
        folder = options.keep or pathlib.Path(temporary)
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.only.split(","):
            results[name] = made[name](options, folder)
            print()
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
