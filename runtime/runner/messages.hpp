#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/backend.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/inspect/inspection.hpp"

namespace outcrop::runtime {

// What stands in the headers of frames (PROTOCOL.md). Every decoder checks types and bounds:
// what comes from the child may be anything.

// Appends the tensors' bytes to `payload`.
[[nodiscard]] nlohmann::json encode_tensors(std::span<const Tensor> tensors, Bytes& payload);
[[nodiscard]] nlohmann::json encode_arguments(std::span<const Value> arguments, Bytes& payload);

// The described tensors must fill `payload` exactly.
[[nodiscard]] Result<std::vector<Tensor>> decode_tensors(const nlohmann::json& list,
                                                         BytesView payload);
[[nodiscard]] Result<std::vector<Value>> decode_arguments(const nlohmann::json& list,
                                                          BytesView payload);

[[nodiscard]] nlohmann::json encode_inspection(const Inspection& inspection);
[[nodiscard]] Result<Inspection> decode_inspection(const nlohmann::json& json);

[[nodiscard]] nlohmann::json encode_backends(std::span<const Backend> backends);
[[nodiscard]] Result<std::vector<Backend>> decode_backends(const nlohmann::json& json);

[[nodiscard]] nlohmann::json encode_error(const Error& error);  // the whole header
[[nodiscard]] Error decode_error(const nlohmann::json& header);

// Typed access to a key; invalid_data names the key.
[[nodiscard]] Result<std::string> get_string(const nlohmann::json& json, const char* key);
[[nodiscard]] Result<std::int64_t> get_integer(const nlohmann::json& json, const char* key,
                                               std::int64_t minimum, std::int64_t maximum);
[[nodiscard]] Result<bool> get_bool(const nlohmann::json& json, const char* key);
[[nodiscard]] Result<std::vector<std::string>> get_strings(const nlohmann::json& json,
                                                           const char* key);

// At most `longest` bytes of text with everything but printable ASCII replaced: what a child
// says ends on a terminal or in a report.
[[nodiscard]] std::string printable(std::string_view text, std::size_t longest = 2000);

}  // namespace outcrop::runtime
