#include "agent/control/enroll_verb.hpp"

#include <cstdio>
#include <memory>
#include <string>

#include "agent/config/config.hpp"
#include "agent/control/ask_agent.hpp"
#include "agent/enroll/identity.hpp"
#include "protocol/base/durable_file.hpp"

namespace outcrop::agent {
namespace {

struct EnrollOptions {
  std::filesystem::path config = default_config;
  std::string token;
  std::string file = "-";
  bool unproved = false;
};

Result<std::string> read_standard_input() {
  std::string text;
  char part[4096];
  while (const std::size_t got = std::fread(part, 1, sizeof part, stdin)) {
    text.append(part, got);
    if (text.size() > messages::enrolment_limit.value()) {
      return fail(ErrorCode::invalid_data, "standard input: longer than any enrolment");
    }
  }
  return text;
}

Status run_request(const EnrollOptions& options) {
  OUTCROP_TRY(config, read_config(options.config));
  OUTCROP_TRY(request, request_enrolment(config.state, options.token, options.unproved));
  const std::string text = messages::to_json(request) + "\n";
  if (options.file == "-") {
    std::printf("%s", text.c_str());
    return {};
  }
  OUTCROP_CHECK(write_file_durably(options.file, std::string_view(text)));
  std::printf("%s: carry it to the host, and what `outcrop device sign` makes of it back here\n",
              options.file.c_str());
  return {};
}

Status run_accept(const EnrollOptions& options) {
  OUTCROP_TRY(config, read_config(options.config));
  OUTCROP_TRY(text, options.file == "-" ? read_standard_input()
                                        : read_text_file(options.file, messages::enrolment_limit));
  OUTCROP_TRY(bundle, messages::parse_enrolment_bundle(text));
  OUTCROP_CHECK(accept_enrolment(config.state, bundle, config.model, config.device_class, options.unproved));
  std::printf("this board is %s; its broker is %s:%u\n", bundle.device.c_str(),
              bundle.broker_host.c_str(), static_cast<unsigned>(bundle.broker_port));
  return {};
}

Status run_renew(const SocketOption& socket) {
  OUTCROP_TRY(answer, ask_agent(socket, {.method = "POST", .target = "/v1/renew"}));
  std::printf("this board has made a new key and asks for a certificate: on the host run `outcrop device renew`\n");
  return {};
}

CLI::App* add_part(CLI::App& verb, const char* name, const char* help, EnrollOptions& options) {
  CLI::App* part = verb.add_subcommand(name, help);
  part->add_option("--config", options.config, "The agent's configuration")->capture_default_str();
  return part;
}

}  // namespace

void add_enroll(CLI::App& app, cli::Action& chosen) {
  CLI::App* verb = app.add_subcommand("enroll", "Give this board its identity");
  verb->require_subcommand(1);
  auto options = std::make_shared<EnrollOptions>();
  CLI::App* request =
      add_part(*verb, "request", "Make this board's key and ask for a certificate", *options);
  request->add_option("--token", options->token, "What `outcrop device enroll` printed")
      ->required();
  request->add_option("--out", options->file, "The file to write; - for standard output")
      ->capture_default_str();
  request->add_flag("--unproved", options->unproved, "Ask an earlier host, whose answer proves nothing");
  request->footer(
      "The private key never leaves the board.\n\n"
      "Example:\n  outcrop-agent enroll request --token 0123456789abcdef-... --out request.json");
  request->callback([options, &chosen] { chosen = [options] { return run_request(*options); }; });
  CLI::App* accept = add_part(*verb, "accept", "Take what the host answered", *options);
  accept->add_option("file", options->file, "The host's answer; - for standard input")->required();
  accept->add_flag("--unproved", options->unproved, "Take the answer of an earlier host, which proves nothing");
  accept->footer("Example:\n  outcrop-agent enroll accept pi-1.enrolment.json");
  CLI::App* renew = verb->add_subcommand("renew", "Have the running agent take a new key and certificate");
  auto socket = std::make_shared<SocketOption>();
  add_socket_option(*renew, *socket);
  renew->footer(
      "It does so by itself when a third of its certificate's time is left. The host's person signs\n"
      "(`outcrop device renew`), and the old key goes when the board has connected by the new one.\n\n"
      "Example:\n  outcrop-agent enroll renew");
  renew->callback([socket, &chosen] { chosen = [socket] { return run_renew(*socket); }; });
  accept->callback([options, &chosen] { chosen = [options] { return run_accept(*options); }; });
}

}  // namespace outcrop::agent
