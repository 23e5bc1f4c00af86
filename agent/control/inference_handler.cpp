#include "agent/control/inference_handler.hpp"

#include <exception>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "agent/control/open_inference.hpp"
#include "agent/wait/worker.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

constexpr int bad_request = 400;
constexpr int forbidden = 403;
constexpr int missing = 404;
constexpr int failed = 500;
constexpr int not_ready = 503;

// More is work for the worker: the loop has others to answer.
constexpr std::size_t read_at_once = 64 * 1024;
constexpr std::uint64_t values_written_at_once = 16 * 1024;

// What requests ask of the release that serves, read once.
struct Served {
  Installed release;
  messages::Manifest manifest;
  std::string metadata;
};

struct Inference {
  explicit Inference(const InferenceParts& from) : parts(from), worker(from.executor) {}

  Result<std::shared_ptr<const Served>> of(const Installed& release) {
    if (served && served->release == release) return served;
    OUTCROP_TRY(manifest, parts.slots.manifest(release.manifest, release.manifest_size));
    const messages::Variant* variant = manifest.variant(release.variant);
    std::string metadata = model_metadata(manifest, variant == nullptr ? "?" : variant->engine);
    served = std::make_shared<const Served>(Served{release, std::move(manifest), std::move(metadata)});
    return served;
  }

  InferenceParts parts;
  Worker worker;
  std::shared_ptr<const Served> served;
};

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

// For a thread on which nothing may throw.
template <class T>
Result<T> unless_it_throws(const std::function<Result<T>()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
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

asio::awaitable<http::Response> infer(Inference& inference, http::Request& request, std::shared_ptr<const Served> served) {
  Result<InferenceRequest> asked;
  std::function<void()> read = [&] {
    asked = unless_it_throws<InferenceRequest>([&] {
      return read_inference(request.body, request.header("inference-header-content-length"), served->manifest.signature.serves());
    });
    request.body = {};
  };
  if (request.body.size() <= read_at_once) {
    read();
  } else {
    co_await inference.worker.run(read);
  }
  if (!asked) co_return refuse(asked.error());
  auto outputs = co_await inference.parts.serving.infer(served->release, std::move(asked->arguments));
  if (!outputs) {
    const ErrorCode code = outputs.error().code();
    if (code == ErrorCode::untrusted || code == ErrorCode::not_found) inference.parts.deployer.on_unloadable();
    co_return refuse(outputs.error());
  }
  Result<http::Response> answer;
  std::function<void()> write = [&] {
    answer = unless_it_throws<http::Response>([&] { return inference_answer(*asked, served->manifest, std::move(*outputs)); });
  };
  if (values_in_json(*asked, *outputs) <= values_written_at_once) {
    write();
  } else {
    co_await inference.worker.run(write);
  }
  if (!answer) co_return refuse(answer.error());
  co_return std::move(*answer);
}

asio::awaitable<http::Response> of_model(Inference& inference, http::Request& request, const Target& target) {
  const InferenceParts& parts = inference.parts;
  if (target.model != parts.config.model) {
    co_return refuse(missing, "this board serves '" + parts.config.model + "', not '" + target.model + "'");
  }
  const std::optional<Installed> active = parts.slots.serving();
  if (!active) co_return refuse(not_ready, "no release serves on this board yet, or it lies here damaged");
  const auto served = inference.of(*active);
  if (!served) co_return refuse(served.error());
  const std::string version = version_of((*served)->manifest);
  if (target.version && !target.version->empty() && *target.version != version) {
    co_return refuse(missing, "stage " + version + " serves, not " + *target.version);
  }
  if (request.method == "POST" && target.what == "infer") {
    http::Response response = co_await infer(inference, request, *served);
    co_return response;
  }
  if (request.method == "GET" && target.what == "ready") co_return text("");
  if (request.method == "GET" && target.what.empty()) co_return text((*served)->metadata);
  co_return refuse(missing, "there is no " + request.method + " " + request.path);
}

asio::awaitable<http::Response> handle(std::shared_ptr<Inference> inference, http::Request request) {
  if (!request.header("origin").empty()) co_return refuse(forbidden, "pages are not answered, programs are");
  const bool get = request.method == "GET";
  if (get && request.path == "/v2") co_return text(server_metadata());
  if (get && request.path == "/v2/health/live") co_return text("");
  if (get && request.path == "/v2/health/ready") {
    co_return inference->parts.slots.serving() ? text("") : refuse(not_ready, "no release serves on this board");
  }
  constexpr std::string_view models = "/v2/models/";
  if (request.path.starts_with(models)) {
    if (const auto target = target_of(std::string_view(request.path).substr(models.size()))) {
      http::Response response = co_await of_model(*inference, request, *target);
      co_return response;
    }
  }
  co_return refuse(missing, "there is no " + request.method + " " + request.path);
}

}  // namespace

http::Handler make_inference_handler(const InferenceParts& parts) {
  return [inference = std::make_shared<Inference>(parts)](http::Request request) { return handle(inference, std::move(request)); };
}

}  // namespace outcrop::agent
