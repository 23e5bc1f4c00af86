#!/usr/bin/python3
"""Writes codes.pt: codes that public programs choose for weights of a seed. For Debian's python3-torch (1.13):

    pip download --no-deps bitsandbytes==0.50.2 && unzip -d BNB bitsandbytes-*.whl
    git clone https://github.com/IST-DASLab/gptq GPTQ && git -C GPTQ checkout 2d65066
    git clone https://github.com/mit-han-lab/llm-awq AWQ && git -C AWQ checkout d6e797a
    /usr/bin/python3 make_codes.py BNB GPTQ AWQ

Their code runs as it is; what it imports and does not need here (transformers, CUDA) is an empty stand-in."""
import ast
import ctypes
import importlib.util
import sys
import types
from pathlib import Path

import torch
from torch import nn

BNB, GPTQ_HOME, AWQ_HOME = (Path(argument) for argument in sys.argv[1:4])


def stand_in(name, **contents):
    module = types.ModuleType(name)
    module.__path__ = []
    for key, value in contents.items():
        setattr(module, key, value)
    sys.modules[name] = module
    return module


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def functions_of(path, names):
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    for node in tree.body:
        node.decorator_list, node.returns = [], None
        for argument in node.args.args:
            argument.annotation = None
    space = {"torch": torch}
    exec(compile(tree, str(path), "exec"), space)
    return [space[name] for name in names]


def bitsandbytes(weight, kept):
    get_4bit_type, create_dynamic_map = functions_of(BNB / "bitsandbytes/functional.py",
                                                     ["get_4bit_type", "create_dynamic_map"])
    kernels = {}

    def register_kernel(name, device):
        return lambda function: kernels.setdefault(name, function)
    stand_in("bitsandbytes")
    stand_in("bitsandbytes._ops", register_kernel=register_kernel)
    stand_in("bitsandbytes.backends")
    stand_in("bitsandbytes.backends.utils",
             _get_4bit_code=lambda kind, device: get_4bit_type(kind, device="cpu"))
    stand_in("bitsandbytes.backends.default")
    load("bitsandbytes.backends.default.ops", BNB / "bitsandbytes/backends/default/ops.py")
    packed, absmax = kernels["bitsandbytes::quantize_4bit"](weight, 64, "nf4", torch.uint8)
    kept["nf4_packed"], kept["nf4_absmax"] = packed.flatten(), absmax
    # functional.quantize_4bit, compress_statistics: the CPU's kernel is the library's.
    library = ctypes.CDLL(str(BNB / "bitsandbytes/libbitsandbytes_cpu.so"))
    offset = absmax.mean()
    rest, code = (absmax - offset).contiguous(), create_dynamic_map()
    codes = torch.empty(rest.numel(), dtype=torch.uint8)
    tops = torch.empty(-(rest.numel() // -256))
    library.cquantize_blockwise_cpu_fp32(
        *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (code, rest, tops, codes)),
        ctypes.c_longlong(256), ctypes.c_longlong(rest.numel()))
    kept["nf4_scale_codes"], kept["nf4_second_scales"] = codes, tops
    kept["nf4_mean"], kept["nf4_map"] = offset.reshape(1), code


def gptq(weight, inputs, kept):
    stand_in("transformers", Conv1D=type("Conv1D", (nn.Module,), {}))
    quant = load("quant", GPTQ_HOME / "quant.py")
    program = load("gptq", GPTQ_HOME / "gptq.py")
    torch.cuda.synchronize = lambda: None
    for name, group, symmetric, order in (("gptq", 64, False, False), ("gptq_rows", -1, True, False),
                                          ("gptq_order", 32, False, True)):
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = weight.clone()
        run = program.GPTQ(layer)
        run.add_batch(inputs[:40].unsqueeze(1), None)
        run.add_batch(inputs[40:].unsqueeze(1), None)
        run.quantizer = quant.Quantizer()
        run.quantizer.configure(4, perchannel=True, sym=symmetric, mse=False)
        codes = []
        # What it writes are values: their codes are taken where it computes them.
        def quantize(x, scale, zero, maxq):
            codes.append(torch.clamp(torch.round(x / scale) + zero, 0, maxq).flatten())
            return quant.quantize(x, scale, zero, maxq)
        program.quantize = quantize
        run.fasterquant(groupsize=group, actorder=order)
        kept[name] = torch.stack(codes, 1).to(torch.uint8)
        kept[name + "_values"] = layer.weight.data.half()


def awq(weight, inputs, kept):
    for name, classes in {"bloom.modeling_bloom": ["BloomBlock", "BloomGelu"],
                          "opt.modeling_opt": ["OPTDecoderLayer"],
                          "llama.modeling_llama": ["LlamaDecoderLayer", "LlamaRMSNorm"],
                          "qwen2.modeling_qwen2": ["Qwen2RMSNorm", "Qwen2DecoderLayer"]}.items():
        stand_in("transformers.models." + name, **{one: type(one, (nn.Module,), {}) for one in classes})
    stand_in("transformers.activations", GELUActivation=type("GELUActivation", (nn.Module,), {}))
    stand_in("tqdm", tqdm=None)
    for package in ("awq", "awq.quantize", "awq.utils"):
        stand_in(package)
    stand_in("awq.quantize.qmodule", ScaledActivation=type("ScaledActivation", (nn.Module,), {}))
    load("awq.utils.module", AWQ_HOME / "awq/utils/module.py")
    quantizer = load("awq.quantize.quantizer", AWQ_HOME / "awq/quantize/quantizer.py")
    auto_scale = load("awq.quantize.auto_scale", AWQ_HOME / "awq/quantize/auto_scale.py")

    def linear(values):
        layer = nn.Linear(values.shape[1], values.shape[0], bias=False)
        layer.weight.data = values.clone()
        return layer

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q_proj, self.k_proj, self.v_proj, self.out_proj = (linear(weight) for _ in range(4))

        def forward(self, x):
            return self.q_proj(x) + self.k_proj(x) + self.v_proj(x)

    block = sys.modules["transformers.models.opt.modeling_opt"].OPTDecoderLayer()
    block.self_attn, block.fc1, block.fc2 = Attention(), linear(weight), linear(weight.flip(0, 1))
    block.self_attn_layer_norm, block.final_layer_norm = nn.LayerNorm(4), nn.LayerNorm(4)
    features = {name: inputs for name in ("self_attn.q_proj", "self_attn.out_proj", "fc1", "fc2")}
    for name, layer, group in (("awq", "fc1", 64), ("awq_rows", "fc1", -1), ("awq_flipped", "fc2", 32)):
        config = {"zero_point": True, "q_group_size": group}
        found = auto_scale.auto_scale_block(block, {}, 4, config, features)
        scales = next(scales for _, layers, scales in found if layers == (layer,))
        values, steps, zeros = quantizer.pseudo_quantize_tensor(
            getattr(block, layer).weight.data * scales.view(1, -1), n_bit=4, get_scale_zp=True, **config)
        rows = values.shape[0]
        steps, zeros = steps.reshape(rows, -1, 1), zeros.reshape(rows, -1, 1)
        codes = torch.round(values.reshape(rows, steps.shape[1], -1) / steps) + zeros
        kept[name], kept[name + "_scales"] = codes.reshape(rows, -1).to(torch.uint8), scales


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    kept = {"nf4_weight": (torch.randn(132, 125) * .02).half()}
    # Inputs of a layer: related, a few of them large, one that is always 0.
    spread = torch.exp(torch.randn(192) * .8)
    spread[torch.randperm(192)[:4]] *= 12
    inputs = (torch.randn(96, 24) @ torch.randn(24, 192) * .3 + torch.randn(96, 192)) * spread
    inputs[:, 5] = 0
    kept["weight"], kept["inputs"] = (torch.randn(32, 192) * .05).half(), inputs.half()
    with torch.no_grad():
        bitsandbytes(kept["nf4_weight"].float(), kept)
        gptq(kept["weight"].float(), kept["inputs"].float(), kept)
        awq(kept["weight"].float(), kept["inputs"].float(), kept)

    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            for name, tensor in kept.items():
                self.register_buffer(name, tensor.contiguous())

        def forward(self):
            return 0
    torch.jit.script(Kept()).save(str(Path(__file__).parent / "codes.pt"))


if __name__ == "__main__":
    main()
