#include "platform/http/error_names.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include <boost/beast/http/status.hpp>

#include "protocol/base/json_text.hpp"

namespace outcrop::http {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<ErrorCode, std::string_view>, 17> names{{
    {ErrorCode::invalid_argument, "invalid_argument"},
    {ErrorCode::invalid_data, "invalid_data"},
    {ErrorCode::not_found, "not_found"},
    {ErrorCode::already_exists, "already_exists"},
    {ErrorCode::io, "io"},
    {ErrorCode::no_space, "no_space"},
    {ErrorCode::untrusted, "untrusted"},
    {ErrorCode::expired, "expired"},
    {ErrorCode::revoked, "revoked"},
    {ErrorCode::refused, "refused"},
    {ErrorCode::unsupported, "unsupported"},
    {ErrorCode::timeout, "timeout"},
    {ErrorCode::crashed, "crashed"},
    {ErrorCode::out_of_memory, "out_of_memory"},
    {ErrorCode::diverged, "diverged"},
    {ErrorCode::interrupted, "interrupted"},
    {ErrorCode::internal, "internal"},
}};

}  // namespace

std::string problem_body(const Error& error, int status) {
  const auto* const known = std::find_if(
      names.begin(), names.end(), [&](const auto& entry) { return entry.first == error.code(); });
  const std::string_view name = known == names.end() ? "internal" : known->second;
  // Of no type of its own a problem has the title of its status.
  const auto reason = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
  const std::string title(reason.data(), reason.size());
  const Json body{{"type", "about:blank"},
                  {"title", title},
                  {"status", status},
                  {"detail", error.message()},
                  {"error", {{"code", name}, {"message", error.message()}}}};
  return json_text(body);
}

std::optional<Error> error_of_body(std::string_view body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("error")) return std::nullopt;
  const Json& error = json["error"];
  if (!error.is_object() || !error.contains("code") || !error.contains("message") ||
      !error["code"].is_string() || !error["message"].is_string()) {
    return std::nullopt;
  }
  const auto code = error["code"].get<std::string>();
  const auto* const known = std::find_if(names.begin(), names.end(),
                                         [&](const auto& entry) { return entry.second == code; });
  return Error(known == names.end() ? ErrorCode::internal : known->first,
               error["message"].get<std::string>());
}

}  // namespace outcrop::http
