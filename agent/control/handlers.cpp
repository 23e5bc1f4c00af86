#include "agent/control/handlers.hpp"

#include <charconv>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

constexpr std::int64_t most_samples = 256;

Json installed_to_json(const std::optional<Installed>& installed) {
  if (!installed) return nullptr;
  return {{"manifest", installed->manifest.hex()}, {"variant", installed->variant}};
}

Json deployment_to_json(const Deployment& deployment, const Deployer::Work& work) {
  return {{"rollout", deployment.offer.rollout},
          {"generation", deployment.offer.generation},
          {"manifest", deployment.offer.manifest.hex()},
          {"state", messages::to_string(deployment.state)},
          {"reason", deployment.reason},
          {"waits_for_owner", deployment.awaits_owner},
          {"variant", work.variant.empty() ? deployment.variant : work.variant},
          {"bytes_done", work.transfer.done.value()},
          {"bytes_total", work.transfer.total.value()}};
}

Json engine_to_json(const std::optional<runtime::Hello>& engine) {
  if (!engine) return nullptr;
  Json backends = Json::array();
  for (const auto& backend : engine->backends) backends.push_back(backend.name);
  return {{"name", engine->engine},
          {"version", engine->engine_version},
          {"backends", backends},
          {"confinement", runtime::to_string(engine->confinement)},
          {"missing", engine->missing}};
}

Json expiry_to_json(const std::optional<Expiry>& expiry) {
  if (!expiry) return nullptr;
  return {{"what", expiry->what}, {"when", to_rfc3339(expiry->when)}};
}

Json status_to_json(const ControlParts& parts) {
  const Record& record = parts.deployer.record();
  return {{"device", parts.device},
          {"agent", version()},
          {"model", parts.config.model},
          {"device_class", parts.config.device_class},
          {"broker", parts.broker},
          {"connected", parts.session.connected()},
          {"not_connected_because",
           parts.lost_because ? Json(*parts.lost_because) : Json(nullptr)},
          {"held", record.held},
          {"held_by", record.held_by},
          {"updates", parts.config.approve_updates ? "approve" : "automatic"},
          {"generation", record.generation},
          {"deployment", record.deployment
                             ? deployment_to_json(*record.deployment, parts.deployer.work())
                             : Json(nullptr)},
          {"active", installed_to_json(parts.slots.serving())},
          {"previous", installed_to_json(parts.slots.previous())},
          {"engine", engine_to_json(parts.engine)},
          {"runner_loaded", parts.serving.loaded()},
          {"root_version", parts.metadata.root_version()},
          {"snapshot_version", parts.metadata.snapshot_version()},
          {"metadata_age_seconds", parts.metadata.age().count()},
          {"clock", parts.metadata.clock_synchronised() ? "synchronised" : "floor"},
          {"next_expiry", expiry_to_json(parts.expiry())},
          {"reports_waiting", parts.announcer.pending_reports()},
          {"troubles", parts.troubles()}};
}

http::Response answer(const Json& json) {
  http::Response response;
  response.body = json_text(json) + "\n";
  return response;
}

http::Response answer(const ControlParts& parts, const Status& status) {
  return status ? answer(status_to_json(parts)) : http::error_response(status.error());
}

Result<std::int64_t> number(const http::Request& request, const std::string& key,
                            std::int64_t fallback, std::int64_t least, std::int64_t most) {
  const auto found = request.query.find(key);
  if (found == request.query.end()) return fallback;
  const std::string& text = found->second;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return fail(ErrorCode::invalid_argument, key + " must be a whole number from " +
                                                 std::to_string(least) + " to " +
                                                 std::to_string(most));
  }
  return value;
}

Result<bool> held_of(const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.size() != 1 || !json.contains("held") ||
      !json["held"].is_boolean()) {
    return fail(ErrorCode::invalid_argument,
                R"(the body must be {"held": true} or {"held": false})");
  }
  return json["held"].get<bool>();
}

asio::awaitable<http::Response> infer(const ControlParts& parts, const http::Request& request) {
  const auto count = number(request, "count", 1, 1, most_samples);
  if (!count) co_return http::error_response(count.error());
  const auto seed = number(request, "seed", 0, 0, std::int64_t{1} << 53);
  if (!seed) co_return http::error_response(seed.error());
  const std::optional<Installed> active = parts.slots.serving();
  if (!active) {
    co_return http::error_response(
        Error(ErrorCode::not_found, parts.slots.active()
                                        ? "the release that should serve lies here damaged; it is "
                                          "pulled again as soon as the host can be reached"
                                        : "no release serves on this board yet"));
  }
  const auto outputs = co_await parts.serving.infer(*active, *count, *seed);
  if (!outputs) {
    const ErrorCode code = outputs.error().code();
    if (code == ErrorCode::untrusted || code == ErrorCode::not_found) {
      parts.deployer.on_unloadable();
    }
    co_return http::error_response(outputs.error());
  }
  const auto file = runtime::encode_tensor_file(*outputs);
  if (!file) co_return http::error_response(file.error());
  http::Response response;
  response.content_type = "application/octet-stream";
  response.body = std::string(as_text(*file));
  co_return response;
}

asio::awaitable<http::Response> handle(ControlParts parts, http::Request request) {
  const Owner owner{request.peer_uid};
  const bool post = request.method == "POST";
  if (request.method == "GET" && request.path == "/v1/status") {
    co_return answer(status_to_json(parts));
  }
  if (post && request.path == "/v1/hold") {
    const auto held = held_of(request.body);
    if (!held) co_return http::error_response(held.error());
    co_return answer(parts, parts.deployer.hold(*held, owner));
  }
  if (post && request.path == "/v1/approve") {
    co_return answer(parts, parts.deployer.approve(owner));
  }
  if (post && request.path == "/v1/rollback") {
    co_return answer(parts, parts.deployer.roll_back(owner));
  }
  if (post && request.path == "/v1/infer") {
    http::Response response = co_await infer(parts, request);
    co_return response;
  }
  co_return http::error_response(
      Error(ErrorCode::not_found, "there is no " + request.method + " " + request.path));
}

}  // namespace

http::Handler make_control_handler(const ControlParts& parts) {
  return [parts](http::Request request) { return handle(parts, std::move(request)); };
}

}  // namespace outcrop::agent
