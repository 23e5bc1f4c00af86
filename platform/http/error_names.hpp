#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::http {

// An error as the body of an answer: {"error": {"code": "not_found", "message": "..."}}.
[[nodiscard]] std::string error_body(const Error& error);

// Back again; nothing where the body is not of this form.
[[nodiscard]] std::optional<Error> error_of_body(std::string_view body);

}  // namespace outcrop::http
