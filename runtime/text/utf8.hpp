#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace outcrop::text {

// Where bytes first are no UTF-8; nothing where all are.
[[nodiscard]] std::optional<std::size_t> first_invalid(std::string_view bytes);

}  // namespace outcrop::text
