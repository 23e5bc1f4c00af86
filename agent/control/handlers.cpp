#include "agent/control/handlers.hpp"

#include <memory>

#include <nlohmann/json.hpp>

#include "agent/control/brought.hpp"
#include "agent/control/text_question.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

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
          {"renewal", parts.renewer.state()},
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

// By name: scalars from the query, tensors from the body.
Result<NamedArguments> arguments_of(const http::Request& request) {
  NamedArguments arguments{request.query, {}};
  if (request.body.empty()) return arguments;
  const BytesView body = as_bytes(request.body);
  if (runtime::is_npy(body)) {
    OUTCROP_TRY(tensor, runtime::decode_npy(body));
    arguments.tensors.push_back(std::move(tensor));
  } else {
    OUTCROP_TRY(tensors, runtime::decode_tensor_file(body));
    arguments.tensors = std::move(tensors);
  }
  return arguments;
}

// As encode_tensor_file() writes it, without a copy of what may be large.
http::Response tensor_file(std::vector<runtime::Tensor> tensors) {
  std::vector<runtime::TensorView> views;
  for (const runtime::Tensor& tensor : tensors) views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.data});
  const auto header = runtime::encode_tensor_header(views);
  if (!header) return http::error_response(header.error());
  http::Response response;
  response.content_type = "application/octet-stream";
  response.body = std::string(as_text(*header));
  for (runtime::Tensor& tensor : tensors) response.parts.push_back(std::move(tensor.data));
  return response;
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

asio::awaitable<http::Response> infer(const ControlParts& parts, http::Request& request) {
  auto arguments = arguments_of(request);
  request.body = {};
  if (!arguments) co_return http::error_response(arguments.error());
  const std::optional<Installed> active = parts.slots.serving();
  if (!active) {
    co_return http::error_response(
        Error(ErrorCode::not_found, parts.slots.active()
                                        ? "the release that should serve lies here damaged; it is "
                                          "pulled again as soon as the host can be reached"
                                        : "no release serves on this board yet"));
  }
  auto outputs = co_await parts.serving.infer(*active, std::move(*arguments));
  if (!outputs) {
    const ErrorCode code = outputs.error().code();
    if (code == ErrorCode::untrusted || code == ErrorCode::not_found) {
      parts.deployer.on_unloadable();
    }
    co_return http::error_response(outputs.error());
  }
  co_return tensor_file(std::move(*outputs));
}

asio::awaitable<http::Response> handle(std::shared_ptr<const ControlParts> shared, http::Request request) {
  const ControlParts& parts = *shared;
  const Owner owner{request.peer_uid};
  const bool post = request.method == "POST";
  if (request.method == "GET" && request.path == "/v1/status") {
    co_return answer(status_to_json(parts));
  }
  if (request.method == "GET" && request.path == "/v1/text") co_return tell_text_input(parts);
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
  if (post && request.path == "/v1/renew") {
    co_return answer(parts, parts.renewer.begin());
  }
  if (auto brought = take_brought(parts, request)) co_return std::move(*brought);
  if (post && request.path == "/v1/install") {
    const auto wish = read_install_wish(request.body);
    if (!wish) co_return http::error_response(wish.error());
    co_return answer(parts, parts.deployer.install(wish->manifest, wish->soak, owner));
  }
  if (post && request.path == "/v1/infer") {
    http::Response response = co_await infer(parts, request);
    co_return response;
  }
  if (request.path == "/v2" || request.path.starts_with("/v2/")) {
    http::Response response = co_await parts.inference(std::move(request));
    co_return response;
  }
  co_return http::error_response(
      Error(ErrorCode::not_found, "there is no " + request.method + " " + request.path));
}

}  // namespace

http::Handler make_control_handler(const ControlParts& parts) {
  return [parts = std::make_shared<const ControlParts>(parts)](http::Request request) { return handle(parts, std::move(request)); };
}

}  // namespace outcrop::agent
