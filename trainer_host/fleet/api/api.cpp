#include "trainer_host/fleet/api/api.hpp"

#include <spdlog/spdlog.h>

#include <charconv>

#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"

namespace outcrop::fleet {
namespace {

// "/v1/rollouts/x/pause" as {"rollouts", "x", "pause"}; empty for what is not below /v1/.
std::vector<std::string> segments(std::string_view path) {
  constexpr std::string_view prefix = "/v1/";
  std::vector<std::string> parts;
  if (!path.starts_with(prefix)) return parts;
  path.remove_prefix(prefix.size());
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
  }
  return parts;
}

Result<std::uint64_t> number_of(const http::Request& request, const std::string& key) {
  const auto found = request.query.find(key);
  std::uint64_t value = 0;
  if (found != request.query.end()) {
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
  }
  return fail(ErrorCode::invalid_argument, "the query needs " + key + ", a number of bytes");
}

tl::unexpected<Error> no_such_resource(const http::Request& request) {
  return fail(ErrorCode::not_found, "there is no " + request.method + " " + request.path);
}

}  // namespace

boost::asio::awaitable<http::Response> Api::handle(http::Request request) {
  const std::string what = request.method + " " + request.path;
  const std::uint32_t uid = request.peer_uid;
  const bool reads = request.method == "GET";
  http::Response response;
  if (request.method == "PUT" && segments(request.path).size() == 2 &&
      segments(request.path)[0] == "blobs") {
    response = co_await upload(std::move(request));
  } else if (reads && segments(request.path).size() == 2 &&
             segments(request.path)[0] == "blobs") {
    response = co_await blob(segments(request.path)[1]);
  } else if (request.method == "POST" && request.path == "/v1/releases") {
    response = co_await publish_release(std::move(request.body));
  } else {
    auto result = answer(request);
    response = result ? std::move(*result) : http::error_response(result.error());
  }
  const auto level = response.status >= 500             ? spdlog::level::err
                     : response.status >= 400           ? spdlog::level::warn
                     : reads || what.starts_with("PUT") ? spdlog::level::debug
                                                        : spdlog::level::info;
  spdlog::log(level, "{} by uid {}: {}{}", what, uid, response.status,
              response.status >= 400 ? " " + response.body : "");
  co_return response;
}

boost::asio::awaitable<http::Response> Api::upload(http::Request request) {
  const auto digest = trust::Sha256Digest::from_hex(segments(request.path)[1]);
  const auto size = number_of(request, "size");
  const auto offset = number_of(request, "offset");
  if (!digest) co_return http::error_response(digest.error());
  if (!size) co_return http::error_response(size.error());
  if (!offset) co_return http::error_response(offset.error());
  if (request.body.size() > longest_upload.value()) {
    co_return http::error_response(Error(ErrorCode::invalid_argument,
                                         "upload at most " + longest_upload.human() + " at once"));
  }
  // By value: the worker goes on when the caller has gone.
  std::function<Result<ByteCount>()> work = [store = parts_.blobs, id = *digest, size = *size,
                                             offset = *offset,
                                             body = std::move(request.body)]() mutable {
    return store.upload(id, ByteCount(size), ByteCount(offset), as_bytes(body));
  };
  const Result<ByteCount> bytes =
      co_await on_worker<Result<ByteCount>>(parts_.worker, std::move(work));
  if (!bytes) co_return http::error_response(bytes.error());
  co_return respond({{"bytes", bytes->value()}});
}

Result<http::Response> Api::answer(const http::Request& request) {
  const auto path = segments(request.path);
  if (path.empty()) return no_such_resource(request);
  if (request.method == "GET") return get(path, request);
  if (request.method == "POST") return post(path, request);
  return no_such_resource(request);
}

Result<http::Response> Api::get(const std::vector<std::string>& path,
                                const http::Request& request) {
  const std::string& what = path[0];
  if (path.size() == 1) {
    if (what == "host") return host();
    if (what == "enrolment") return enrolment();
    if (what == "devices") return devices();
    if (what == "releases") return releases();
    if (what == "rollouts") return rollouts();
    if (what == "reports") return reports(request);
  }
  if (path.size() == 2 && what == "releases") return release(path[1]);
  if (path.size() == 2 && what == "rollouts") return rollout(path[1]);
  return no_such_resource(request);
}

Result<http::Response> Api::post(const std::vector<std::string>& path,
                                 const http::Request& request) {
  const std::string& what = path[0];
  if (path.size() == 1) {
    if (what == "device-authority") return add_authority(request.body);
    if (what == "devices") return add_device(request.body);
    if (what == "metadata") return add_metadata(request.body);
    if (what == "rollouts") return start_rollout(request.body);
  }
  if (path.size() == 2 && what == "host" && path[1] == "adopt") return adopt();
  if (path.size() == 3 && what == "devices" && path[2] == "revoke") {
    return revoke_device(path[1], request.body);
  }
  if (path.size() == 3 && what == "rollouts") return steer_rollout(path[1], path[2]);
  return no_such_resource(request);
}

}  // namespace outcrop::fleet
