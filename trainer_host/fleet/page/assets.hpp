#pragma once

#include <string>
#include <string_view>

#include "platform/http/server.hpp"

namespace outcrop::fleet::page {

// Styles, scripts and what is vendored (vendor/, script/vendor-page), in this program as they are and packed by
// gzip. Their URLs hold a digest of all of them, so that a browser may keep them for ever.

// "/assets/3f9c01ab52de/page.js"; the name must be one of them.
[[nodiscard]] std::string asset_url(std::string_view name);
// Their answer, by a URL of above; 404 for another, an earlier program's too.
[[nodiscard]] http::Response asset(const std::string& path, std::string_view accepted_encodings);
// What a browser that has nothing yet is sent for all of them: bytes, packed.
[[nodiscard]] std::size_t packed_size();

}  // namespace outcrop::fleet::page
