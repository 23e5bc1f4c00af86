# A public client of the Open Inference Protocol (tritonclient), unchanged, beside an agent: ADDRESS of it.
import sys

import numpy
import tritonclient.http as http

client = http.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("curvefault")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
model = client.get_model_metadata("curvefault")
assert [entry["name"] for entry in model["inputs"]] == ["batch_size", "seed"], model


def ask(binary):
    inputs = []
    for name, value in (("batch_size", 2), ("seed", 7)):
        inputs.append(http.InferInput(name, [1], "INT64"))
        inputs[-1].set_data_from_numpy(numpy.array([value], numpy.int64), binary_data=binary)
    wanted = [http.InferRequestedOutput("velocity", binary_data=binary)]
    return client.infer("curvefault", inputs, outputs=wanted, request_id="a").as_numpy("velocity")


for binary in (True, False):
    velocity = ask(binary)
    assert velocity.dtype == numpy.float32 and velocity.shape == (2, 1, 3, 3), velocity
    assert velocity[0, 0, 0, 0] == 7000 and velocity[1, 0, 0, 0] == 8000, velocity
try:
    client.infer("another", [])
except http.InferenceServerException as error:
    assert "serves 'curvefault'" in error.message(), error
else:
    raise AssertionError("another model was answered")
print("answered as bytes and as JSON")
