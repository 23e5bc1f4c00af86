#include "trainer_host/fleet/api/api.hpp"

#include <spdlog/spdlog.h>

#include <charconv>
#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "protocol/base/cut_short.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/openapi.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr std::size_t longest_named = 200;  // of a method and a path, where they are named
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

struct Found {
  const Api::Route* route = nullptr;
  std::vector<std::string> names;
  std::string others;  // methods of the same path, where there is none of this one
};

Found find_route(const std::string& method, const std::string& path) {
  Found found;
  const std::vector<std::string> parts = segments(path);
  for (const Api::Route& one : Api::routes()) {
    auto names = names_in(one.path, parts);
    if (!names) continue;
    if (one.method == method) return {&one, std::move(*names), ""};
    found.others += (found.others.empty() ? "" : ", ") + one.method;
  }
  return found;
}

// Where something else stands in the place of the database, perhaps for a moment only: whoever asks may ask again.
http::Response not_in_place(const Error& error) {
  http::Response response = http::error_response(error, 503);
  response.headers.emplace_back("Retry-After", "5");
  return response;
}

// Of words that nobody reads whoever asks would believe that they were heard.
Status check_words(const Api::Route& route, const http::Request& request) {
  const std::set<std::string>& known = query_words(route.method, route.path);
  for (const auto& [word, value] : request.query) {
    if (known.contains(word)) continue;
    std::string others;
    for (const std::string& one : known) others += (others.empty() ? "" : ", ") + one;
    return fail(ErrorCode::invalid_argument, route.method + " " + route.path + " knows no '" + word + "'" +
                                                 (others.empty() ? ", and no other word of a query" : ", only " + others));
  }
  return {};
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
      directed_(parts_.keeper.roles().director_since().has_value()),
      hears_(parts_.registry.listen([this](const std::string& device, Written what) {
        parts_.registry.when_committed([this, device, what] {
          asio::post(parts_.executor, [this, device, what] { view_.written(device, what); });
        });
      })),
      manifests_(parts_.blobs),
      view_(parts_.reader,
            {[this](const std::string& device) { return parts_.ingest.online(device); },
             [this](const trust::Sha256Digest& manifest, const std::string& variant,
                    const std::string& output) -> std::optional<double> {
               const auto described = manifests_.of(manifest);
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
      pictures_(parts_.reader, parts_.worker,
                [blobs = parts_.blobs](const trust::Sha256Digest& manifest) { return hosts_own(blobs, manifest); }),
      page_({view_, parts_.reader, parts_.clock, parts_.worker,
             [this] { return attention(); },
             parts_.history, parts_.audit, &pictures_}),
      once_(parts_.registry, parts_.clock) {
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

void Api::board_changed(const std::string& name) {
  asio::post(parts_.executor, [this, name] { view_.changed(name); });
}

void Api::rollouts_changed() {
  asio::post(parts_.executor, [this] { view_.rollouts_changed(); });
}

void Api::every_board_changed() {
  asio::post(parts_.executor, [this] { view_.changed_everything(); });
}

void Api::board_drew(const std::string& name) {
  asio::post(parts_.executor, [this, name] {
    const auto row = view_.boards().find(name);
    if (row != view_.boards().end()) view_.on_board(row->second);
  });
}

void Api::tell() {
  if (telling_.exchange(true)) return;  // it has not come to the last time yet
  asio::post(parts_.executor, [this] {
    telling_ = false;
    view_.look_around(boards_looked_at);
    if (const Status status = view_.refresh(); !status) {
      spdlog::warn("reading the fleet: {}", status.error().message());
    }
  });
}

http::Admission Api::admit(const http::Request& head, Role role) const {
  const Route* route = head.method == "GET" ? nullptr : find_route(head.method, head.path).route;
  if (route != nullptr && role >= route->role) return {longest_body};
  const bool form = head.method == "POST" && !head.path.starts_with("/v1/");
  if (form && role >= Role::fleet_operator) return {longest_form};
  return {longest_of_strangers};
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
  if (const Status here = parts_.in_place(); !here) co_return not_in_place(here.error());
  const auto begun = std::chrono::steady_clock::now();
  http::Response response = co_await page_.handle(request, reader);
  times_.add("page", "GET", response.status, std::chrono::steady_clock::now() - begun);
  co_return response;
}

asio::awaitable<http::Response> Api::serve(http::Request request, Caller caller) {
  if (const Status here = parts_.in_place(); !here) co_return not_in_place(here.error());
  const auto begun = std::chrono::steady_clock::now();
  const std::string what = cut_short(request.method + " " + request.path, longest_named);
  const std::string method = request.method;
  const bool reads = method == "GET";
  auto [route, names, others] = find_route(method, request.path);
  http::Response response;
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
  } else if (const Status words = check_words(*route, request); !words) {
    response = http::error_response(words.error());
  } else if (reads) {
    const http::Request asked{method, request.path, {}, "", "", 0, request.headers};
    Asking asking{caller.name, std::nullopt};  // GCC 12 destroys twice what is made within a co_await
    response = co_await route->answer(*this, std::move(request), std::move(names), std::move(asking));
    if (route->resource || route->of_rollout || route->path == "/v1/releases/{sha256}") add_etag(asked, response);
  } else {
    response = co_await asio::co_spawn(parts_.loop, change(*route, std::move(request), std::move(names), caller), asio::use_awaitable);
    // Whatever was asked for may have changed anything; the rows tell what.
    if (response.status < 300) view_.rollouts_changed();
  }
  // It may have been replaced while it was read.
  if (response.status >= 500) {
    if (const Status here = parts_.in_place(); !here) response = not_in_place(here.error());
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

asio::awaitable<http::Response> Api::change(const Route& route, http::Request request, Names names, Caller caller) {
  auto repeatable = fleet::repeatable(caller.name, request);
  if (!repeatable) co_return http::error_response(repeatable.error());
  if (auto before = *repeatable ? once_.answered(**repeatable) : std::nullopt) co_return std::move(*before);
  if (auto other = co_await stands_against(route, request, names)) co_return std::move(*other);
  std::optional<Once::Place> place;
  if (*repeatable) place.emplace(once_, **repeatable);
  const std::string method = request.method, path = request.path;
  const std::string body = request.body.size() <= longest_audited_body ? request.body : "";
  Asking asking{caller.name, std::move(*repeatable)};
  http::Response response = co_await route.answer(*this, std::move(request), std::move(names), std::move(asking));
  directed_ = parts_.keeper.roles().director_since().has_value();
  // Pieces of blobs are many, and worth nothing until they are published.
  if (response.status < 300 && route.path != "/v1/blobs/{sha256}") {
    parts_.record(caller.name, audited(method, route.path, path, body, response.status, response.body));
  }
  co_return response;
}

Result<http::Response> Api::in_one_commit(const std::optional<Repeatable>& request, const Once::Effect& effect) {
  if (!request) return effect();
  return once_.carry_out(*request, effect, [this] {
    if (const Status read = parts_.keeper.read_again(); !read) spdlog::error("metadata: {}", read.error().message());
    every_board_changed();
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
