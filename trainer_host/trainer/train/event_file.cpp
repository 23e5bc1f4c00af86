#include "trainer_host/trainer/train/event_file.hpp"

#include <bit>
#include <boost/crc.hpp>
#include <chrono>
#include <cmath>
#include <optional>

#include "protocol/base/durable_file.hpp"

namespace outcrop::train {
namespace {

// Fields of the messages by their numbers in event.proto and summary.proto.
constexpr int event_wall_time = 1;
constexpr int event_step = 2;
constexpr int event_file_version = 3;
constexpr int event_summary = 5;
constexpr int summary_value = 1;
constexpr int value_tag = 1;
constexpr int value_simple = 2;

// How a field's bytes are to be read (protobuf's encoding, "wire types").
enum class Wire : int { varint = 0, eight_bytes = 1, bytes = 2, four_bytes = 5 };

template <class Number>
std::string little_endian(Number number) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof number; ++i) bytes += static_cast<char>(number >> (8 * i) & 0xff);
  return bytes;
}

std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7) bytes += static_cast<char>(number | 0x80);
  return bytes + static_cast<char>(number);
}

std::string head(int field, Wire wire) {
  return varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(wire));
}

std::string bytes_field(int field, std::string_view bytes) {
  return head(field, Wire::bytes) + varint(bytes.size()) + std::string(bytes);
}

std::string message_of(const Event& event) {
  std::string message =
      head(event_wall_time, Wire::eight_bytes) + little_endian(std::bit_cast<std::uint64_t>(event.wall_time));
  if (event.step > 0) message += head(event_step, Wire::varint) + varint(static_cast<std::uint64_t>(event.step));
  if (event.scalars.empty()) return message + bytes_field(event_file_version, "brain.Event:2");
  std::string summary;
  for (const Event::Scalar& scalar : event.scalars) {
    summary += bytes_field(summary_value, bytes_field(value_tag, scalar.tag) + head(value_simple, Wire::four_bytes) +
                                              little_endian(std::bit_cast<std::uint32_t>(scalar.value)));
  }
  return message + bytes_field(event_summary, summary);
}

// "held_out_map_loss" is "loss/held_out_map": one group of charts for each sort of figure.
std::string tag_of(const std::string& column) {
  constexpr std::string_view loss = "_loss";
  if (column.ends_with(loss)) return "loss/" + column.substr(0, column.size() - loss.size());
  return "score/" + column;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// When the run began that wrote this file: the time of its first event.
std::optional<double> beginning_of(const std::string& file) {
  const std::string first = event_record({});  // as long as that of any time
  constexpr std::size_t time_at = 8 + 4 + 1;   // behind length, its CRC and the field's head
  if (file.size() < first.size() || file.compare(0, time_at, first, 0, time_at) != 0) return std::nullopt;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < sizeof bits; ++i) {
    bits |= std::uint64_t{static_cast<unsigned char>(file[time_at + i])} << (8 * i);
  }
  const auto time = std::bit_cast<double>(bits);
  if (file.compare(0, first.size(), event_record({.wall_time = time})) != 0 || !std::isfinite(time)) return std::nullopt;
  return time;
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  constexpr std::uint32_t castagnoli = 0x1edc6f41;
  boost::crc_optimal<32, castagnoli, 0xffffffff, 0xffffffff, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  const std::uint32_t sum = crc.checksum();
  return (sum >> 15 | sum << 17) + 0xa282ead8;
}

std::string event_record(const Event& event) {
  const std::string message = message_of(event);
  const std::string length = little_endian(std::uint64_t{message.size()});
  return length + little_endian(masked_crc32c(length)) + message + little_endian(masked_crc32c(message));
}

std::string events_of(const History& history, double started) {
  std::string file = event_record({.wall_time = started});
  double time = started;
  for (const EpochRecord& row : history.rows) {
    time += row.seconds;
    Event event{.wall_time = time, .step = row.epoch};
    for (std::size_t i = 0; i < row.values.size() && i < history.columns.size(); ++i) {
      if (row.values[i]) event.scalars.push_back({tag_of(history.columns[i]), static_cast<float>(*row.values[i])});
    }
    event.scalars.push_back({"training/learning_rate", static_cast<float>(row.learning_rate)});
    event.scalars.push_back({"training/seconds", static_cast<float>(row.seconds)});
    event.scalars.push_back({"training/stage", static_cast<float>(row.stage)});
    file += event_record(event);
  }
  return file;
}

Status write_event_file(const std::filesystem::path& out, const History& history) {
  const auto path = out / event_file_name;
  std::optional<double> started;
  if (const auto before = read_text_file(path)) started = beginning_of(*before);
  if (!started) {
    started = now();
    for (const EpochRecord& row : history.rows) *started -= row.seconds;
  }
  return write_file_durably(path, std::string_view(events_of(history, *started)));
}

}  // namespace outcrop::train
