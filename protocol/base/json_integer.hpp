#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/error.hpp"

namespace outcrop {

// A JSON value that must be a whole number from `least` to `most`. invalid_data calls it by `name`
// where it is anything else: the library's get() would make 8 of 8.9 and wrap what does not fit.
[[nodiscard]] Result<std::int64_t> json_integer(
    const nlohmann::json& value, std::string_view name, std::int64_t least,
    std::int64_t most = std::numeric_limits<std::int64_t>::max());

}  // namespace outcrop
