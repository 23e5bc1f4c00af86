#!/usr/bin/python3
"""Writes the .pt files beside it, by Debian's python3-torch (1.13), from values that
trainer_host/trainer/weights/state_dict_test.cpp knows: torch.arange and what follows from it."""
import collections
import os
import pathlib
import pickle
import zipfile

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


def counted(shape, dtype=torch.float32):
    return torch.arange(torch.Size(shape).numel(), dtype=dtype).reshape(shape)


def save(name, value, **options):
    torch.save(value, HERE / name, **options)


def network():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    with torch.no_grad():
        for number, tensor in enumerate(net.state_dict().values()):
            tensor.copy_(counted(tensor.shape, tensor.dtype) + 100 * number)
    return net


class RunsACommand:
    def __reduce__(self):
        return os.system, ("touch outcrop-was-here",)


net = network()
save("plain.pt", net.state_dict())
for protocol in 3, 4, 5:
    save(f"protocol{protocol}.pt", net.state_dict(), pickle_protocol=protocol)
save("parameters.pt", dict(net.named_parameters()))

matrix = counted((3, 4))
save("views.pt", {
    "transposed": matrix.t(),             # [4, 3], strides (1, 4)
    "second_row": matrix[1],              # offset 4
    "every_other": matrix[:, ::2],        # [3, 2], strides (4, 2)
    "expanded": matrix[:1, :1].expand(2, 3),
})
save("dtypes.pt", {
    "half": counted((4,), torch.float16) / 4 - 0.5,
    "tiny_half": torch.tensor([2.0**-24, -(2.0**-15), 65504.0, float("inf")], dtype=torch.float16),
    "bfloat16": counted((4,)).to(torch.bfloat16) * -1.5,
    "double": counted((2, 2), torch.float64) / 2,
    "int": counted((3,), torch.int32) - 1,
    "short": counted((3,), torch.int16) - 1,
    "char": counted((3,), torch.int8) - 1,
    "byte": counted((3,), torch.uint8) + 253,
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(7),
    "empty": torch.zeros((0, 5)),
})

# What is refused.
save("whole_model.pt", net)
save("runs_a_command.pt", {"weight": RunsACommand()})
save("checkpoint.pt", {
    "epoch": 3,
    "state_dict": net.state_dict(),
    "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
})
save("before_1_6.pt", net.state_dict(), _use_new_zipfile_serialization=False)
save("quantized.pt", {"weight": torch.quantize_per_tensor(counted((4,)), 0.5, 0, torch.qint8)})
save("sparse.pt", {"weight": counted((2, 2)).to_sparse()})
save("complex.pt", {"weight": torch.complex(counted((2,)), counted((2,)))})
save("meta.pt", {"weight": torch.empty(2, device="meta")})
torch.jit.save(torch.jit.script(nn.Linear(1, 1)), HERE / "script.pt")
(HERE / "pickle_alone.pt").write_bytes(pickle.dumps(collections.OrderedDict(a=1), protocol=4))
with zipfile.ZipFile(HERE / "plain.pt") as stored, \
        zipfile.ZipFile(HERE / "compressed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
    for entry in stored.namelist():
        packed.writestr(entry, stored.read(entry))
