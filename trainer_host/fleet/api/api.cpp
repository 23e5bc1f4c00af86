#include "trainer_host/fleet/api/api.hpp"

#include <spdlog/spdlog.h>

#include <charconv>

#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr int samples_missed = 3;  // then what the last one said is no more about now
constexpr std::size_t boards_looked_at = 4;  // at each tell(), although nobody told of them

// "/v1/rollouts/x/pause" as {"v1", "rollouts", "x", "pause"}.
std::vector<std::string> segments(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = path.find('/');
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end == std::string_view::npos ? path.size() : end);
  }
  return parts;
}

// What stands where the template has names in braces; none where the path is another.
std::optional<std::vector<std::string>> names_in(const std::string& pattern,
                                                 const std::vector<std::string>& path) {
  const std::vector<std::string> wanted = segments(pattern);
  if (wanted.size() != path.size()) return std::nullopt;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (wanted[i].starts_with('{')) {
      if (path[i].empty()) return std::nullopt;
      names.push_back(path[i]);
    } else if (wanted[i] != path[i]) {
      return std::nullopt;
    }
  }
  return names;
}

std::string etag_of(const std::string& body) {
  return "\"" + trust::sha256(body).hex().substr(0, 32) + "\"";
}

// Whether a header of ETags, "*" or several with commas between, has this one: its quotes are a part of it.
bool names_etag(const std::string& header, const std::string& etag) {
  return header == "*" || header.find(etag) != std::string::npos;
}

// Of what stands for one thing and has one form: who has it already is told so.
void add_etag(const http::Request& request, const std::string& pattern, http::Response& response) {
  if (request.method != "GET" || response.status != 200) return;
  if (pattern != "/v1/devices/{name}" && pattern != "/v1/rollouts/{name}" &&
      pattern != "/v1/releases/{sha256}") {
    return;
  }
  const std::string etag = etag_of(response.body);
  if (names_etag(request.header("if-none-match"), etag)) {
    response = {304, "", ""};
  }
  response.headers.emplace_back("ETag", etag);
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

}  // namespace

Api::Api(ApiParts parts)
    : parts_(std::move(parts)),
      view_(parts_.registry,
            {[this](const std::string& device) { return parts_.ingest.online(device); },
             [this](const trust::Sha256Digest& manifest, const std::string& variant,
                    const std::string& output) -> std::optional<double> {
               const auto described = parts_.driver.manifest(manifest);
               if (!described) return std::nullopt;
               const messages::Variant* known = (*described)->variant(variant);
               if (known == nullptr) return std::nullopt;
               for (const messages::OutputTolerance& one : known->tolerance) {
                 if (one.output == output) return one.mean_abs;
               }
               return std::nullopt;
             },
             [this](const std::string& device) { return held_back(device); }}),
      events_(parts_.executor, std::to_string(parts_.clock.now().time_since_epoch().count())),
      once_(parts_.registry, parts_.clock),
      page_({view_, parts_.registry, parts_.clock, parts_.worker,
             [this] {
               auto words = attention();
               return words ? std::move(*words)
                            : std::vector<std::string>{words.error().message()};
             },
             parts_.history, parts_.audit}) {
  view_.on_board = [this](const BoardRow& row) {
    events_.publish("board", json_text(Json{{"name", row.device.name},
                                            {"device_class", row.device.device_class},
                                            {"health", to_string(row.health)},
                                            {"why", row.why},
                                            {"last_seen", time_or_null(row.device.last_seen)}}));
    if (row.figures.empty()) return;
    const Figure& newest = row.figures.front();
    auto& told = reports_told_[row.device.name];
    if (std::exchange(told, newest.received) == newest.received) return;
    events_.publish("report", json_text(Json{{"device", row.device.name},
                                             {"manifest", newest.manifest.hex()},
                                             {"received", to_rfc3339(newest.received)}}));
  };
  view_.on_rollout = [this](const RolloutRow& row) {
    events_.publish("rollout", json_text(Json{{"name", row.record.name},
                                              {"state", to_string(row.record.state)},
                                              {"reason", row.record.reason}}));
  };
}

std::optional<http::Response> Api::not_as_it_was(const http::Request& request,
                                                 const std::string& name) {
  const std::string wanted = request.header("if-match");
  if (wanted.empty()) return std::nullopt;
  const auto now = rollout(name);
  if (!now) return http::error_response(now.error());
  if (names_etag(wanted, etag_of(now->body))) return std::nullopt;
  return http::error_response(
      Error(ErrorCode::refused, "the rollout '" + name + "' is not as it was any more: look again"), 412);
}

std::optional<std::string> Api::held_back(const std::string& device) const {
  if (parts_.history == nullptr) return std::nullopt;
  const auto sample = parts_.history->latest(device);
  if (!sample || sample->throttled_now.value_or(0) == 0) return std::nullopt;
  if (parts_.clock.now() - sample->received > samples_missed * sample->interval) return std::nullopt;
  std::string words = "held back by";
  for (int i = 0; i < monitor::throttling_count; ++i) {
    if ((*sample->throttled_now >> i & 1U) == 0) continue;
    words += " " + std::string(to_string(static_cast<monitor::Throttling>(i)));
  }
  return words;
}

void Api::tell() {
  view_.look_around(boards_looked_at);
  if (const Status status = view_.refresh(); !status) {
    spdlog::warn("reading the fleet: {}", status.error().message());
  }
}

asio::awaitable<http::Response> Api::handle(http::Request request, Role role) {
  const Caller caller{role, "uid " + std::to_string(request.peer_uid)};
  if (request.method == "GET" && page::Page::serves(request.path)) {
    const page::Reader reader{caller.name};
    co_return co_await show(request, reader);
  }
  co_return co_await serve(std::move(request), caller);
}

asio::awaitable<http::Response> Api::show(const http::Request& request,
                                          const page::Reader& reader) {
  if (const Status here = parts_.in_place(); !here) co_return http::error_response(here.error(), 503);
  const auto begun = std::chrono::steady_clock::now();
  http::Response response = co_await page_.handle(request, reader);
  times_.add("page", "GET", response.status, std::chrono::steady_clock::now() - begun);
  co_return response;
}

asio::awaitable<http::Response> Api::serve(http::Request request, Caller caller) {
  if (const Status here = parts_.in_place(); !here) co_return http::error_response(here.error(), 503);
  const auto begun = std::chrono::steady_clock::now();
  const std::string what = request.method + " " + request.path;
  const std::string method = request.method;
  const bool reads = method == "GET";
  const std::vector<std::string> path = segments(request.path);
  const Route* route = nullptr;
  Names names;
  std::string others;  // methods of the same path
  for (const Route& one : routes()) {
    auto found = names_in(one.path, path);
    if (!found) continue;
    if (one.method == method) {
      route = &one;
      names = std::move(*found);
      break;
    }
    others += (others.empty() ? "" : ", ") + one.method;
  }
  http::Response response;
  auto repeatable = fleet::repeatable(caller.name, request);
  if (route == nullptr && !others.empty()) {
    response = http::error_response(
        Error(ErrorCode::invalid_argument, "there is no " + what + ", only " + others), 405);
    response.headers.emplace_back("Allow", others);
  } else if (route == nullptr) {
    response = http::error_response(Error(ErrorCode::not_found, "there is no " + what));
  } else if (caller.role < route->role) {
    response = http::error_response(
        Error(ErrorCode::untrusted, caller.name + " may not: that is for the role " +
                                        std::string(to_string(route->role))));
  } else if (!repeatable) {
    response = http::error_response(repeatable.error());
  } else if (auto before = *repeatable ? once_.answered(**repeatable) : std::nullopt) {
    response = std::move(*before);
  } else {
    std::optional<Once::Place> place;
    if (*repeatable) place.emplace(once_, **repeatable);
    const http::Request asked{method, request.path, {}, "", "", 0, request.headers};
    const std::string body = !reads && request.body.size() <= longest_audited_body ? request.body : "";
    response = co_await route->answer(*this, std::move(request), std::move(names), std::move(*repeatable));
    add_etag(asked, route->path, response);
    // Whatever was asked for may have changed anything; the rows tell what.
    if (!reads && response.status < 300) {
      view_.rollouts_changed();
      // Pieces of blobs are many, and worth nothing until they are published.
      if (route->path != "/v1/blobs/{sha256}") {
        parts_.record(caller.name,
                      audited(method, route->path, asked.path, body, response.status, response.body));
      }
    }
  }
  times_.add(route == nullptr ? "other" : route->path, method, response.status,
             std::chrono::steady_clock::now() - begun);
  const auto level = response.status >= 500      ? spdlog::level::err
                     : response.status >= 400    ? spdlog::level::warn
                     : reads || method == "PUT" ? spdlog::level::debug
                                                 : spdlog::level::info;
  spdlog::log(level, "{} by {}: {}{}", what, caller.name, response.status,
              response.status >= 400 ? " " + response.body : "");
  co_return response;
}

Result<http::Response> Api::in_one_commit(const std::optional<Repeatable>& request, const Once::Effect& effect) {
  if (!request) return effect();
  return once_.carry_out(*request, effect, [this] {
    if (const Status read = parts_.keeper.read_again(); !read) spdlog::error("metadata: {}", read.error().message());
    view_.changed_everything();
  });
}

boost::asio::awaitable<http::Response> Api::upload(http::Request request) {
  const auto digest = trust::Sha256Digest::from_hex(segments(request.path)[2]);
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

}  // namespace outcrop::fleet
