#pragma once

#include <string_view>

namespace outcrop::fleet {

// openapi.json, OpenAPI 3.1: what /v1/openapi.json answers.
[[nodiscard]] std::string_view openapi_document();

}  // namespace outcrop::fleet
