#pragma once

#include <exception>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::runtime {

// An exception of LibTorch as an error of ours: the first line of its message (the rest is a
// stack of its own sources) after `what`. Failed allocations become out_of_memory, everything
// else `otherwise`.
[[nodiscard]] Error torch_error(const std::exception& exception, std::string_view what,
                                ErrorCode otherwise);

}  // namespace outcrop::runtime
