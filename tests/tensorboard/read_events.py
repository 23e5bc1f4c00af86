"""Prints the scalars of an event file as TensorBoard's own reader has them: step, wall time, tag, value."""
import sys

from tensorboard.backend.event_processing import event_file_loader
from tensorboard.util import tensor_util

for event in event_file_loader.EventFileLoader(sys.argv[1]).Load():
    if event.HasField("file_version"):
        print("version", event.file_version, "at", event.wall_time)
    for value in event.summary.value:
        number = float(tensor_util.make_ndarray(value.tensor))
        print(event.step, event.wall_time, value.metadata.plugin_data.plugin_name, value.tag, f"{number:.6g}")
