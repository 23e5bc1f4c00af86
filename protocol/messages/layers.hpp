#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What a release's variants spend a call on, on one board that was asked (SCHEMA.md, "Layers"): in an envelope signed by
// the board's key; parse the verified payload only.

inline constexpr ByteCount layers_limit = ByteCount::kib(256);
inline constexpr std::string_view layers_kind = "layers";  // of its envelope
inline constexpr int layers_since = 6;                     // the protocol
inline constexpr std::size_t most_operators_told = 16'384;  // of all variants together

struct VariantLayers {
  struct Operator {
    std::string name;  // "quantized::conv2d_relu"
    std::chrono::nanoseconds time{0};
    bool operator==(const Operator&) const = default;
  };
  std::string name;
  std::string reason;              // why there are no times; "" where there are
  std::uint64_t calls = 0;         // that were watched
  std::vector<Operator> operators;  // in the order in which a call runs them
  bool operator==(const VariantLayers&) const = default;
};

struct Layers {
  DeviceHeader header;
  std::string device_class;
  std::string engine;
  std::string engine_version;
  trust::Sha256Digest manifest;
  std::vector<VariantLayers> variants;
  bool operator==(const Layers&) const = default;
};

[[nodiscard]] std::string to_json(const Layers& layers);
[[nodiscard]] Result<Layers> parse_layers(BytesView verified);

}  // namespace outcrop::messages
