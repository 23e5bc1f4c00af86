#pragma once

#include <string>
#include <utility>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::exchange {

// Files by their names as a ZIP archive, uncompressed, all of the first of January 1980. internal where libzip fails.
[[nodiscard]] Result<Bytes> to_archive(const std::vector<std::pair<std::string, Bytes>>& files);

}  // namespace outcrop::exchange
