#pragma once

#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::release {

// What a document of a signing request says, whole and a line for each thing, with what is new (+), gone (-) or changed (!)
// against the one before; "" where there is none. Both are envelopes, read without asking who signed them.
[[nodiscard]] Result<std::string> request_words(std::string_view kind, std::string_view envelope, std::string_view before);

}  // namespace outcrop::release
