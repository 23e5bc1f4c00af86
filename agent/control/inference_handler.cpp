#include "agent/control/inference_handler.hpp"

#include <optional>

#include <nlohmann/json.hpp>

#include "agent/control/open_inference.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

constexpr int bad_request = 400;
constexpr int forbidden = 403;
constexpr int missing = 404;
constexpr int failed = 500;
constexpr int not_ready = 503;

http::Response text(std::string body) {
  http::Response response;
  response.body = std::move(body);
  return response;
}

// The protocol has its own form of errors.
http::Response refuse(int status, const std::string& why) {
  http::Response response = text(json_text(nlohmann::json{{"error", why}}));
  response.status = status;
  return response;
}

http::Response refuse(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
      return refuse(bad_request, error.message());
    case ErrorCode::timeout:
      return refuse(not_ready, error.message());
    default:
      return refuse(failed, error.message());
  }
}

// "models/M", "models/M/versions/V", each with what may follow: "ready", "infer".
struct Target {
  std::string model;
  std::optional<std::string> version;
  std::string what;
};

std::optional<Target> target_of(std::string_view path) {
  const auto word = [&] {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string one(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
    return one;
  };
  Target target;
  target.model = word();
  target.what = word();
  if (target.what == "versions") {
    target.version = word();
    target.what = word();
  }
  if (target.model.empty() || !path.empty()) return std::nullopt;
  return target;
}

asio::awaitable<http::Response> infer(const InferenceParts& parts, const http::Request& request,
                                      const Installed& active, const messages::Manifest& manifest) {
  auto asked = read_inference(request.body, request.header("inference-header-content-length"),
                              manifest.signature.serves());
  if (!asked) co_return refuse(asked.error());
  const auto outputs = co_await parts.serving.infer(active, std::move(asked->arguments));
  if (!outputs) {
    const ErrorCode code = outputs.error().code();
    if (code == ErrorCode::untrusted || code == ErrorCode::not_found) parts.deployer.on_unloadable();
    co_return refuse(outputs.error());
  }
  auto answer = inference_answer(*asked, manifest, *outputs);
  if (!answer) co_return refuse(answer.error());
  co_return std::move(*answer);
}

asio::awaitable<http::Response> of_model(const InferenceParts& parts, const http::Request& request,
                                         const Target& target) {
  if (target.model != parts.config.model) {
    co_return refuse(missing, "this board serves '" + parts.config.model + "', not '" + target.model + "'");
  }
  const std::optional<Installed> active = parts.slots.serving();
  if (!active) co_return refuse(not_ready, "no release serves on this board yet, or it lies here damaged");
  const auto manifest = parts.slots.manifest(active->manifest, active->manifest_size);
  if (!manifest) co_return refuse(manifest.error());
  if (target.version && !target.version->empty() && *target.version != version_of(*manifest)) {
    co_return refuse(missing, "stage " + version_of(*manifest) + " serves, not " + *target.version);
  }
  if (request.method == "POST" && target.what == "infer") {
    http::Response response = co_await infer(parts, request, *active, *manifest);
    co_return response;
  }
  if (request.method == "GET" && target.what == "ready") co_return text("");
  if (request.method == "GET" && target.what.empty()) {
    const messages::Variant* variant = manifest->variant(active->variant);
    co_return text(model_metadata(*manifest, variant == nullptr ? "?" : variant->engine));
  }
  co_return refuse(missing, "there is no " + request.method + " " + request.path);
}

asio::awaitable<http::Response> handle(InferenceParts parts, http::Request request) {
  if (!request.header("origin").empty()) co_return refuse(forbidden, "pages are not answered, programs are");
  const bool get = request.method == "GET";
  if (get && request.path == "/v2") co_return text(server_metadata());
  if (get && request.path == "/v2/health/live") co_return text("");
  if (get && request.path == "/v2/health/ready") {
    co_return parts.slots.serving() ? text("") : refuse(not_ready, "no release serves on this board");
  }
  constexpr std::string_view models = "/v2/models/";
  if (request.path.starts_with(models)) {
    if (const auto target = target_of(std::string_view(request.path).substr(models.size()))) {
      http::Response response = co_await of_model(parts, request, *target);
      co_return response;
    }
  }
  co_return refuse(missing, "there is no " + request.method + " " + request.path);
}

}  // namespace

http::Handler make_inference_handler(const InferenceParts& parts) {
  return [parts](http::Request request) { return handle(parts, std::move(request)); };
}

}  // namespace outcrop::agent
