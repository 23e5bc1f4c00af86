#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::http {

// An error as the body of an answer of that status: a problem of RFC 9457, whose member "error" is
// {"code": "not_found", "message": "..."}.
[[nodiscard]] std::string problem_body(const Error& error, int status);

// Back again; nothing where the body is not of this form.
[[nodiscard]] std::optional<Error> error_of_body(std::string_view body);

}  // namespace outcrop::http
