#pragma once

#include <set>
#include <string>
#include <string_view>

namespace outcrop::fleet {

// openapi.json, OpenAPI 3.1: what /v1/openapi.json answers.
[[nodiscard]] std::string_view openapi_document();

// The words of a query that it declares of a call; none of one that it does not have.
[[nodiscard]] const std::set<std::string>& query_words(const std::string& method, const std::string& path);

}  // namespace outcrop::fleet
