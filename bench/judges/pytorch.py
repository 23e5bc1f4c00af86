"""PyTorch's own quantization: FX graph mode static int8, and `quantize_dynamic`; scripted, engine qnnpack."""

import copy

import torch
from torch.ao import quantization
from torch.ao.quantization import quantize_fx

from candidate import Candidate, Stopwatch


def scripted(network, path, method, made_in=None, traced_with=None):
    """`traced_with`: rows, of a network that cannot be scripted."""
    with torch.no_grad():
        whole = torch.jit.script(network) if traced_with is None else torch.jit.trace(network.eval(), traced_with)
        module = torch.jit.freeze(whole)
    module.save(str(path))
    module = torch.jit.load(str(path))
    return Candidate("PyTorch", method, path.stat().st_size, lambda x: x.contiguous(), module, made_in or {})


def as_float(subject, folder):
    return scripted(copy.deepcopy(subject.network), folder / "pytorch-float.pt", "float", traced_with=subject.traced_with)


def static(subject, folder):
    """Histogram observers, as PyTorch's default for qnnpack, but a weight scale for each channel, where that can be:
    transposed convolutions have no such kernel."""
    per_channel = quantization.QConfig(
        activation=quantization.HistogramObserver.with_args(reduce_range=False),
        weight=quantization.default_per_channel_weight_observer)
    mapping = quantization.get_default_qconfig_mapping("qnnpack")
    stock = mapping.global_qconfig
    mapping.set_global(per_channel)
    for kind, qconfig in list(mapping.object_type_qconfigs.items()):
        if qconfig == stock and "ConvTranspose" not in str(kind) and "conv_transpose" not in str(kind):
            mapping.set_object_type(kind, per_channel)
    watch = Stopwatch()
    network = quantize_fx.prepare_fx(copy.deepcopy(subject.network), mapping, (subject.calibration[:1],))
    with torch.no_grad():
        for begin in range(0, len(subject.calibration), 32):
            network(subject.calibration[begin:begin + 32])
    network = quantize_fx.convert_fx(network)
    made_in = watch.read()
    return scripted(network, folder / "pytorch-static.pt", "static int8", made_in)


def dynamic(subject, folder):
    watch = Stopwatch()
    network = quantization.quantize_dynamic(copy.deepcopy(subject.network), {torch.nn.Linear, torch.nn.LSTM},
                                            dtype=torch.qint8)
    made_in = watch.read()
    return scripted(network, folder / "pytorch-dynamic.pt", "dynamic int8", made_in, subject.traced_with)
