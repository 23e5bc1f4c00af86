#include <algorithm>
#include <string_view>

#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"

// Things that can be changed, each as it is shown: who asks for a change of what he saw says so by its ETag (If-Match).

namespace outcrop::fleet {
namespace {

std::string etag_of(const std::string& body) {
  return "\"" + trust::sha256(body).hex().substr(0, 32) + "\"";
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

// Whether a header of ETags, "*" or several with commas between (RFC 9110, 13.1), has this one: its quotes are a part of it. None of
// ours has a comma. `weak`: where W/"..." of a proxy will do.
bool names_etag(std::string_view header, std::string_view etag, bool weak) {
  if (trimmed(header) == "*") return true;
  while (!header.empty()) {
    const std::string_view entry = header.substr(0, header.find(','));
    header.remove_prefix(std::min(entry.size() + 1, header.size()));
    std::string_view one = trimmed(entry);
    if (weak && one.starts_with("W/")) one.remove_prefix(2);
    if (one == etag) return true;
  }
  return false;
}

http::Response not_as_it_was(const std::string& words) {
  return http::error_response(Error(ErrorCode::refused, words), 412);
}

}  // namespace

void add_etag(const http::Request& request, http::Response& response) {
  if (response.status != 200) return;
  const std::string etag = etag_of(response.body);
  if (names_etag(request.header("if-none-match"), etag, /*weak=*/true)) response = {304, "", ""};
  response.headers.emplace_back("ETag", etag);
}

boost::asio::awaitable<std::optional<http::Response>> Api::stands_against(const Route& route, const http::Request& request,
                                                                         const Names& names) {
  const std::string wanted = request.header("if-match");
  const bool only_new = request.header("if-none-match") == "*";
  if ((!route.resource && !route.of_rollout) || (wanted.empty() && !only_new)) co_return std::nullopt;
  Result<http::Response> now = fail(ErrorCode::internal, "nothing was read");
  bool another = false;
  if (route.of_rollout) {
    const auto shown = co_await read_rollout(names[0]);
    const auto record = parts_.registry.rollout(names[0]);
    now = shown ? Result<http::Response>(shown->response) : fail(shown.error());
    another = shown && (!record || !*record || json_text(to_json(**record)) != shown->record);  // while it was read
  } else {
    now = route.resource(*this, parts_.registry, names);
  }
  if (!now && now.error().code() != ErrorCode::not_found) co_return http::error_response(now.error());
  if (only_new && now) co_return not_as_it_was("there is one already");
  if (wanted.empty()) co_return std::nullopt;
  if (!now) co_return not_as_it_was(now.error().message());
  if (!another && names_etag(wanted, etag_of(now->body), /*weak=*/false)) co_return std::nullopt;
  co_return not_as_it_was("it is not as it was any more: look again");
}

Result<http::Response> Api::board_of(Registry& registry, const std::string& name) {
  OUTCROP_TRY(device, registry.device(name));
  if (!device) return fail(ErrorCode::not_found, "no board '" + name + "' was ever enrolled");
  OUTCROP_TRY(desired, registry.desired(name));
  Json active = nullptr;
  if (device->status && device->status->active_manifest) {
    OUTCROP_TRY(release, registry.release(*device->status->active_manifest));
    if (release) active = to_json(*release);
  }
  return respond(describe_device(to_json(*device), *device, desired, active));
}

}  // namespace outcrop::fleet
