#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/train/history.hpp"

// Event files as TensorBoard reads them (`tensorboard --logdir FOLDER`). The format, from tensorflow/core/lib/io/record_writer
// and tensorflow/core/{util/event,framework/summary}.proto: records of a little-endian length (8 bytes), its masked CRC-32C
// (4), so many bytes of a protobuf message Event, and their masked CRC-32C (4).
namespace outcrop::train {

// An Event: where `scalars` is empty, the first of a file, which says the format's version.
struct Event {
  struct Scalar {
    std::string tag;  // "loss/cross_entropy"
    float value = 0;
  };
  double wall_time = 0;  // seconds since 1970
  std::int64_t step = 0;
  std::vector<Scalar> scalars{};
};
[[nodiscard]] std::string event_record(const Event& event);

// Masked as records have it: rotated and moved, since a CRC of what holds CRCs says little.
[[nodiscard]] std::uint32_t masked_crc32c(std::string_view bytes);

// All epochs of a run, which began at `started` (seconds since 1970): at step N what was measured in epoch N, by the columns
// of training.csv. The same history and start give the same bytes, and a longer history begins with those of a shorter.
[[nodiscard]] std::string events_of(const History& history, double started);

// Replaces the event file of a run in `out`, so that a kill leaves no epoch twice and none is missing; when it began is taken
// from the file that is there. A run that looks at it while it grows finds what it has read unchanged.
[[nodiscard]] Status write_event_file(const std::filesystem::path& out, const History& history);

inline constexpr const char* event_file_name = "events.out.tfevents.0.outcrop";

}  // namespace outcrop::train
