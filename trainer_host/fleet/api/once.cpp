#include "trainer_host/fleet/api/once.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::size_t longest_key = 128;

bool is_key(const std::string& key) {
  return !key.empty() && key.size() <= longest_key && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.' ||
           c == ':';
  });
}

// A header's text is quoted (RFC 8941), and many leave the quotes out.
std::string unquoted(const std::string& text) {
  const bool quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// Each with its length: no two requests have the same text.
std::string text_of(const http::Request& request) {
  std::string text;
  const auto add = [&](const std::string& part) { text += std::to_string(part.size()) + ":" + part; };
  add(request.method);
  add(request.path);
  for (const auto& [key, value] : request.query) {
    add(key);
    add(value);
  }
  add("body");
  add(request.body);
  return text;
}

// The secret of a token is shown once and kept nowhere.
std::string without_secret(const std::string& body) {
  if (body.find("\"token\"") == std::string::npos) return body;
  nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains("token")) return body;
  json["token"] = nullptr;
  return json_text(json);
}

}  // namespace

Result<std::optional<Repeatable>> repeatable(const std::string& caller, const http::Request& request) {
  const auto given = request.headers.find("idempotency-key");
  if (request.method != "POST" || given == request.headers.end()) return std::optional<Repeatable>();
  std::string key = unquoted(given->second);
  if (!is_key(key)) {
    return fail(ErrorCode::invalid_argument,
                "an Idempotency-Key is 1 to " + std::to_string(longest_key) + " letters, digits and -_.:");
  }
  return std::optional(Repeatable{caller, std::move(key), trust::sha256(text_of(request))});
}

std::optional<http::Response> Once::answered(const Repeatable& request) const {
  const std::string named = "the Idempotency-Key '" + request.key + "'";
  if (under_way_->contains({request.caller, request.key})) {
    http::Response busy = http::error_response(
        Error(ErrorCode::refused, "a request with " + named + " is being answered: ask again in a moment"));
    busy.headers.emplace_back("Retry-After", "1");
    return busy;
  }
  const auto before = registry_->answer(request.caller, request.key, clock_->now());
  if (!before) return http::error_response(before.error());
  if (!*before) return std::nullopt;
  if ((*before)->request != request.request) {
    return http::error_response(
        Error(ErrorCode::invalid_argument, named + " was another request's: each has a key of its own"), 422);
  }
  http::Response response{(*before)->status, "application/json", (*before)->body};
  response.headers.emplace_back("Idempotent-Replayed", "true");
  return response;
}

Result<http::Response> Once::carry_out(const Repeatable& request, const Effect& effect,
                                       const std::function<void()>& undone) {
  Result<http::Response> response = fail(ErrorCode::internal, "nothing was answered");
  const Status committed = registry_->transaction([&]() -> Status {
    response = effect();
    if (!response || response->status >= 300) return {};
    return registry_->save(GivenAnswer{request.caller, request.key, request.request, clock_->now(), response->status,
                                       without_secret(response->body)});
  });
  if (committed) return response;
  undone();
  return response ? fail(committed.error()) : response;
}

}  // namespace outcrop::fleet
