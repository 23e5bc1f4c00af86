#include "agent/install/install_verb.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

#include <nlohmann/json.hpp>

#include "agent/control/ask_agent.hpp"
#include "agent/install/release_files.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/names.hpp"

namespace outcrop::agent {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t piece_size = ByteCount::mib(1).value();
constexpr std::chrono::milliseconds between_looks{500};

struct Options {
  SocketOption socket;
  std::filesystem::path folder;
  std::uint64_t soak_seconds = 60;
  bool no_wait = false;
  bool json = false;
};

Result<Json> ask(const Options& options, const http::Call& call) {
  OUTCROP_TRY(answer, ask_agent(options.socket, call));
  Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(ErrorCode::invalid_data, "the agent's answer to " + call.target + " is no JSON object");
  return json;
}

Status bring_metadata(const Options& options, const ReleaseFiles& files) {
  const Json body{{"manifest", files.manifest.hex()}, {"metadata", files.metadata}};
  auto taken = ask(options, {.method = "POST", .target = "/v1/metadata", .body = json_text(body)});
  if (taken) return {};
  if (files.metadata.contains("timestamp") || taken.error().code() == ErrorCode::refused) return fail(taken.error());
  return fail(taken.error().code(), taken.error().message() + "; " + options.folder.string() +
                                        " lacks what the host signs (timestamp and snapshot): `outcrop release export` puts it beside a release");
}

Status bring_blob(const Options& options, const ReleaseFiles& files, const ReleaseFiles::Blob& blob) {
  std::ifstream stream(files.file(blob.digest), std::ios::binary);
  for (std::uint64_t offset = 0; offset < blob.size.value();) {
    std::string piece(std::min(piece_size, blob.size.value() - offset), '\0');
    if (!stream.read(piece.data(), static_cast<std::streamsize>(piece.size()))) {
      return fail(ErrorCode::io, files.file(blob.digest).string() + " cannot be read to its end");
    }
    const std::uint64_t next = offset + piece.size();
    OUTCROP_TRY(answer, ask(options, {.method = "PUT",
                                      .target = "/v1/blobs/" + blob.digest.hex() + "?size=" + std::to_string(blob.size.value()) +
                                                "&offset=" + std::to_string(offset),
                                      .content_type = "application/octet-stream",
                                      .body = std::move(piece)}));
    if (answer.value("here", false)) return {};
    offset = next;
  }
  return {};
}

std::string text(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Until it has come to an end, saying each state once.
Result<Json> wait_for_end(const Options& options, const ReleaseFiles& files) {
  std::string said;
  for (;;) {
    auto status = ask(options, {.method = "GET", .target = "/v1/status"});
    if (!status) return fail(status.error().context("the installation goes on without this command"));
    const Json deployment = status->value("deployment", Json::object());
    if (text(deployment, "rollout") != messages::by_hand || text(deployment, "manifest") != files.manifest.hex()) {
      return fail(ErrorCode::refused, "the host has said something else meanwhile, which counts: outcrop-agent status");
    }
    const std::string state = text(deployment, "state");
    if (state != said && !options.json) std::fprintf(stderr, "%s\n", state.c_str());
    said = state;
    if (state == "UPDATED") return std::move(*status);
    const bool ended = state == "FAILED" || state == "REJECTED" || state == "ROLLED_BACK" || state == "NOT_MEASURABLE" ||
                       (state == "HELD" && !deployment.value("waits_for_owner", false));
    if (ended) return fail(ErrorCode::refused, "it serves not: " + state + (text(deployment, "reason").empty() ? "" : ": ") + text(deployment, "reason"));
    std::this_thread::sleep_for(between_looks);
  }
}

Status run_install(const Options& options) {
  OUTCROP_TRY(files, find_release_files(options.folder));
  OUTCROP_CHECK(bring_metadata(options, files));
  for (const ReleaseFiles::Blob& blob : files.blobs) OUTCROP_CHECK(bring_blob(options, files, blob));
  OUTCROP_TRY(status, ask(options, {.method = "POST",
                                    .target = "/v1/install",
                                    .body = json_text(Json{{"manifest", files.manifest.hex()},
                                                           {"soak_seconds", options.soak_seconds}})}));
  if (!options.no_wait) {
    OUTCROP_TRY(ended, wait_for_end(options, files));
    status = std::move(ended);
  }
  if (options.json) {
    std::printf("%s\n", json_text(status, 2).c_str());
  } else if (options.no_wait) {
    std::printf("release %s is here and at work: outcrop-agent status\n", files.manifest.short_hex().c_str());
  } else {
    std::printf("%s of release %s serves\n", text(status.value("active", Json::object()), "variant").c_str(), files.manifest.short_hex().c_str());
  }
  return {};
}

}  // namespace

void add_install(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("install", "Take a release from a folder, as on a stick");
  verb->add_option("folder", options->folder, "Release folder, as `outcrop release export` writes it")
      ->required()
      ->check(CLI::ExistingDirectory);
  add_socket_option(*verb, options->socket);
  verb->add_option("--soak", options->soak_seconds, "Seconds that it must serve before it is committed")->capture_default_str();
  verb->add_flag("--no-wait", options->no_wait, "Do not wait for its end");
  verb->add_flag("--json", options->json, "Print the status as a JSON object (agent/control/API.md)");
  verb->footer(
      "The agent must be running; a connection to the host is not needed. The release goes the way of\n"
      "every other: signatures, digests, golden outputs, measurements, and a time of serving on trial.\n"
      "Nothing is pulled: the folder must hold all of it. While an update is at work none is taken, and\n"
      "whatever the host offers or takes back afterwards counts; it is told when the board is connected.\n\n"
      "Example:\n  outcrop-agent install /media/stick/curvefault-stage3");
  verb->callback([options, &chosen] { chosen = [options] { return run_install(*options); }; });
}

}  // namespace outcrop::agent
