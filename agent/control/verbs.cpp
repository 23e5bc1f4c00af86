#include "agent/control/verbs.hpp"

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent/control/ask_agent.hpp"
#include "agent/control/infer_text.hpp"
#include "agent/verify/expiry.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/png_file.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::agent {
namespace {

using Json = nlohmann::json;

// A first inference starts a runner and loads the model.
constexpr std::chrono::minutes infer_deadline{10};

struct Options {
  SocketOption socket;
  bool json = false;
  bool off = false;
};

struct InferOptions : Options {
  std::optional<std::int64_t> seed;
  std::optional<std::int64_t> count;
  std::vector<std::string> values;  // NAME=VALUE
  std::filesystem::path in;
  std::filesystem::path out;
  std::optional<std::string> text;
};

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t count(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string release(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object()) return "nothing";
  return text(*found, "variant") + " of release " + text(*found, "manifest").substr(0, 12);
}

void line(const char* key, const std::string& value) {
  std::printf("%-12s %s\n", key, value.c_str());
}

void print_deployment(const Json& deployment) {
  std::string state = text(deployment, "state");
  const std::uint64_t total = count(deployment, "bytes_total");
  if (state == "DOWNLOADING" && total > 0) {
    state += " " + ByteCount(count(deployment, "bytes_done")).human() + " of " +
             ByteCount(total).human();
  } else if (const std::string variant = text(deployment, "variant"); !variant.empty()) {
    state += " " + variant;
  }
  line("deployment", state + ", rollout " + text(deployment, "rollout") + ", release " +
                         text(deployment, "manifest").substr(0, 12));
  if (const std::string reason = text(deployment, "reason"); !reason.empty()) line("", reason);
}

// Nothing while there is time.
void print_expiry(const Json& status) {
  const auto expiry = status.find("next_expiry");
  if (expiry == status.end() || !expiry->is_object()) return;
  const auto when = from_rfc3339(text(*expiry, "when"));
  if (!when || SystemClock().now() + expiry_notice < *when) return;
  line("expires", text(*expiry, "what") + " on " + text(*expiry, "when").substr(0, 10) +
                      "; outcrop-agent doctor says what to do");
}

void print_troubles(const Json& status) {
  const auto troubles = status.find("troubles");
  if (troubles == status.end() || !troubles->is_array()) return;
  const char* key = "trouble";
  for (const Json& trouble : *troubles) {
    if (trouble.is_string()) line(key, trouble.get<std::string>());
    key = "";
  }
}

void print_status(const Json& status) {
  line("device", text(status, "device") + " (" + text(status, "model") + ", " +
                     text(status, "device_class") + "), agent " + text(status, "agent"));
  line("broker", text(status, "broker") +
                     (status.value("connected", false) ? ", connected" : ", not connected"));
  if (const std::string reason = text(status, "not_connected_because"); !reason.empty()) {
    line("", reason);
    line("", "outcrop-agent doctor says which step of connecting fails, and what to do");
  }
  line("serves", release(status, "active"));
  line("previous", release(status, "previous"));
  if (const auto deployment = status.find("deployment");
      deployment != status.end() && deployment->is_object()) {
    print_deployment(*deployment);
  } else {
    line("deployment", "none yet");
  }
  if (status.value("held", false))
    line("held", "updates are held back by " + text(status, "held_by"));
  if (text(status, "updates") == "approve") line("updates", "wait for `outcrop-agent approve`");
  if (const auto engine = status.find("engine"); engine != status.end() && engine->is_object()) {
    line("engine", text(*engine, "name") + " " + text(*engine, "version") + ", confinement " +
                       text(*engine, "confinement"));
  }
  line("metadata", "snapshot " + std::to_string(count(status, "snapshot_version")) + ", root " +
                       std::to_string(count(status, "root_version")) + ", " +
                       std::to_string(count(status, "metadata_age_seconds")) + " s old");
  if (const auto waiting = count(status, "reports_waiting"); waiting > 0) {
    line("reports", std::to_string(waiting) + " not acknowledged yet");
  }
  print_expiry(status);
  if (const std::string renewal = text(status, "renewal"); !renewal.empty()) line("certificate", renewal);
  print_troubles(status);
}

Status show(const http::Answer& answer, bool as_json) {
  const Json status = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) return fail(ErrorCode::invalid_data, "the agent's answer is no status");
  if (as_json) {
    std::printf("%s\n", json_text(status, 2).c_str());
  } else {
    try {
      print_status(status);
    } catch (const Json::exception& error) {
      return fail(ErrorCode::invalid_data, std::string("the agent's status: ") + error.what());
    }
  }
  return {};
}

// "/v1/infer?seed=7&count=2": inputs of the method that the release serves, by name.
Result<std::string> infer_target(const InferOptions& options) {
  std::string target = "/v1/infer";
  const auto add = [&](const std::string& name, const std::string& value) {
    target += (target.find('?') == std::string::npos ? "?" : "&") + http::encode(name) + "=" +
              http::encode(value);
  };
  if (options.seed) add("seed", std::to_string(*options.seed));
  if (options.count) add("count", std::to_string(*options.count));
  for (const std::string& value : options.values) {
    const std::size_t equals = value.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(ErrorCode::invalid_argument, "--set " + value + ": it must be NAME=VALUE");
    }
    add(value.substr(0, equals), value.substr(equals + 1));
  }
  return target;
}

// What was given, unchanged: the agent reads it. Looked at here so that a wrong file is named. An image
// becomes an array here: the agent, which serves everybody, reads none.
Result<std::string> read_inputs(const std::filesystem::path& file) {
  OUTCROP_TRY(bytes, read_file(file, ByteCount::mib(64)));
  if (runtime::is_png(bytes)) {
    auto image = runtime::decode_png(bytes);
    if (!image) return fail(image.error().context(file.string()));
    return std::string(as_text(runtime::encode_npy(*image)));
  }
  const Status good = [&]() -> Status {
    if (runtime::is_npy(bytes)) {
      OUTCROP_TRY(tensor, runtime::decode_npy(bytes));
    } else {
      OUTCROP_TRY(tensors, runtime::decode_tensor_file(bytes));
    }
    return {};
  }();
  if (!good) return fail(good.error().context(file.string()));
  return std::string(as_text(bytes));
}

// A .npy file holds one array, anything else is a .safetensors file.
Status write_outputs(const std::filesystem::path& file, const std::string& answer,
                     const std::vector<runtime::Tensor>& tensors) {
  if (file.extension() != ".npy") return write_file_durably(file, std::string_view(answer));
  if (tensors.size() == 1) return write_file_durably(file, runtime::encode_npy(tensors[0]));
  std::string names;
  for (const runtime::Tensor& tensor : tensors) names += (names.empty() ? "" : ", ") + tensor.name;
  return fail(ErrorCode::invalid_argument, file.string() + ": a .npy file holds one array, and the "
                                               "release gives " + names +
                                               ": name a .safetensors file");
}

Status run_infer(const InferOptions& options) {
  if (options.text) return infer_text(options.socket, *options.text, options.json);
  if (options.out.empty()) {
    return fail(ErrorCode::invalid_argument, "--out is missing: the file to write, unless a --text is asked");
  }
  http::Call call;
  call.method = "POST";
  OUTCROP_TRY(target, infer_target(options));
  call.target = std::move(target);
  if (!options.in.empty()) {
    OUTCROP_TRY(body, read_inputs(options.in));
    call.body = std::move(body);
    call.content_type = "application/octet-stream";
  }
  call.deadline = infer_deadline;
  OUTCROP_TRY(answer, ask_agent(options.socket, call));
  OUTCROP_TRY(tensors, runtime::decode_tensor_file(as_bytes(answer.body)));
  OUTCROP_CHECK(write_outputs(options.out, answer.body, tensors));
  if (options.json) {
    Json json{
        {"file", options.out.string()}, {"bytes", answer.body.size()}, {"tensors", Json::array()}};
    for (const runtime::Tensor& tensor : tensors) {
      json["tensors"].push_back({{"name", tensor.name},
                                 {"dtype", runtime::to_string(tensor.dtype)},
                                 {"shape", tensor.shape}});
    }
    std::printf("%s\n", json_text(json, 2).c_str());
    return {};
  }
  std::printf("%s: %s", options.out.c_str(), ByteCount(answer.body.size()).human().c_str());
  for (const runtime::Tensor& tensor : tensors) {
    std::printf(", %s %s", tensor.name.c_str(), runtime::describe(tensor).c_str());
  }
  std::printf("\n");
  return {};
}

// A verb that asks one thing and shows the status that comes back.
void add_simple(CLI::App& app, cli::Action& chosen, const char* name, const char* help,
                const char* example, const http::Call& call) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand(name, help);
  add_socket_option(*verb, options->socket);
  verb->add_flag("--json", options->json,
                 "Print the status as a JSON object (agent/control/API.md)");
  verb->footer(example);
  verb->callback([options, call, &chosen] {
    chosen = [options, call]() -> Status {
      OUTCROP_TRY(answer, ask_agent(options->socket, call));
      return show(answer, options->json);
    };
  });
}

}  // namespace

void add_status(CLI::App& app, cli::Action& chosen) {
  add_simple(
      app, chosen, "status", "Show what this board serves and what it is at",
      "Examples:\n  outcrop-agent status\n  outcrop-agent status --json | jq .deployment.state",
      {.method = "GET", .target = "/v1/status"});
}

void add_approve(CLI::App& app, cli::Action& chosen) {
  add_simple(app, chosen, "approve", "Let the update that waits for the owner go on",
             "Example:\n  outcrop-agent approve", {.method = "POST", .target = "/v1/approve"});
}

void add_rollback(CLI::App& app, cli::Action& chosen) {
  add_simple(app, chosen, "rollback",
             "End the update at work, or return to the release that served before",
             "The host is told who asked. Keep the update away with `outcrop-agent hold`.\n\n"
             "Example:\n  outcrop-agent rollback",
             {.method = "POST", .target = "/v1/rollback"});
}

void add_hold(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("hold", "Hold updates back from now on");
  add_socket_option(*verb, options->socket);
  verb->add_flag("--off", options->off, "Let updates through again");
  // What it was called before, when a release was something else already.
  verb->add_flag("--release", options->off)->group("");
  verb->add_flag("--json", options->json,
                 "Print the status as a JSON object (agent/control/API.md)");
  verb->footer(
      "Held updates wait; nothing is lost. The host may still take a release back, and a revoked\n"
      "release stops all the same.\n\n"
      "Examples:\n  outcrop-agent hold\n  outcrop-agent hold --off");
  verb->callback([options, &chosen] {
    chosen = [options]() -> Status {
      OUTCROP_TRY(answer, ask_agent(options->socket, {.method = "POST",
                                                  .target = "/v1/hold",
                                                  .body = json_text(Json{{"held", !options->off}})}));
      return show(answer, options->json);
    };
  });
}

void add_infer(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<InferOptions>();
  CLI::App* verb = app.add_subcommand("infer", "Run the release that serves");
  add_socket_option(*verb, options->socket);
  verb->add_option("--in", options->in,
                   "Tensors that it takes, by name: a .safetensors file, or one array as .npy, or one "
                   "image as .png (grey or in colour, of the size that it takes)")
      ->check(CLI::ExistingFile);
  CLI::Option* text = verb->add_option("--text", options->text,
                                       "A text: prints the class that the release takes it for, and how probable that is");
  verb->add_option("--out", options->out,
                                      "The .safetensors file to write, or .npy where it gives one array");
  for (const char* other : {"--in", "--out"}) text->excludes(verb->get_option(other));
  verb->add_option("--seed", options->seed, "The same seed gives the same samples")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--count", options->count, "Samples; without: one")->check(CLI::PositiveNumber);
  verb->add_option("--set", options->values,
                   "NAME=VALUE: any other number that it takes, or true or false; may be given more "
                   "than once")
      ->allow_extra_args(false);
  verb->add_flag("--json", options->json, "Say what was written, or the probability of each class, as a JSON object");
  verb->footer(
      "What the release takes and gives stands in its signature: `outcrop release show` on the host\n"
      "shows it, and so does the error where something is missing.\n\n"
      "Examples:\n  outcrop-agent infer --out map.safetensors\n"
      "  outcrop-agent infer --seed 7 --count 4 --out maps.safetensors\n"
      "  outcrop-agent infer --in image.png --out answer.npy\n"
      "  outcrop-agent infer --text \"The kettle leaks after a week\"");
  verb->callback([options, &chosen] { chosen = [options] { return run_infer(*options); }; });
}

}  // namespace outcrop::agent
