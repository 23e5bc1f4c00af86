#pragma once

#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

// A key's id or a digest that a person named by its first digits, as long as they tell it from the others of `all`. All 64
// digits name one that need not be among them. `what` says what is named, in the singular. Errors: invalid_argument for what
// are no such digits, or too few; not_found.
[[nodiscard]] Result<std::string> whole_id(const std::string& start, const std::vector<std::string>& all, const std::string& what);

}  // namespace outcrop::cli
