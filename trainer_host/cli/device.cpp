#include "trainer_host/cli/device.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "platform/http/client.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/device_authorities.hpp"
#include "trainer_host/cli/device_filter.hpp"
#include "trainer_host/cli/device_publish.hpp"
#include "trainer_host/cli/device_renew.hpp"
#include "trainer_host/cli/device_sign.hpp"
#include "trainer_host/cli/enrol_checks.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/trust_options.hpp"
#include "trainer_host/pki/authority.hpp"
#include "trainer_host/pki/device_book.hpp"
#include "trainer_host/pki/token_book.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

std::optional<fs::path> authority_of_environment() {
  const char* const named = std::getenv("OUTCROP_DEVICE_AUTHORITY");
  if (named == nullptr || *named == '\0') return std::nullopt;
  return named;
}

void add_authority_option(CLI::App& verb, fs::path& folder) {
  folder = authority_of_environment().value_or("device-authority");
  verb.add_option("--authority", folder,
                  "Folder with the key that signs boards' certificates; default: "
                  "$OUTCROP_DEVICE_AUTHORITY, else ./device-authority")
      ->type_name("DIR");
}

struct EnrollOptions {
  pki::TokenGrant grant;
  fs::path authority;
  bool authority_named = false;  // and not only looked for in this folder
  fs::path host;
  int valid_minutes = 60;
  bool json = false;
};

// The only model of the key folder, where there is one: most fleets have no other.
Result<std::string> only_model() {
  auto models = key_folder_models();
  if (models && models->size() == 1) return models->front();
  return fail(ErrorCode::invalid_argument,
              "say with --model which model the board runs, as its agent.toml does" +
                  (models ? ": the keys are for " + join(*models)
                          : std::string(" (or with OUTCROP_KEYS where the keys are: ") +
                                models.error().message() + ")"));
}

void print_token(const EnrollOptions& options, const std::string& token, Timestamp expires) {
  const pki::TokenGrant& grant = options.grant;
  if (options.json) {
    std::printf("%s\n",
                json_text(Json{{"device", grant.device},
                               {"model", grant.model},
                               {"device_class", grant.device_class},
                               {"token", token},
                               {"expires", to_rfc3339(expires)},
                               {"authority", options.authority.string()}},
                          2)
                            .c_str());
    return;
  }
  std::printf("Token for %s (model %s, class %s), good for one request until %s:\n\n  %s\n\n",
              grant.device.c_str(), grant.model.c_str(), grant.device_class.c_str(),
              to_rfc3339(expires).c_str(), token.c_str());
  std::printf("1. On the board, whose agent.toml says model \"%s\" and class \"%s\":\n",
              grant.model.c_str(), grant.device_class.c_str());
  std::printf("     sudo -u outcrop-agent outcrop-agent enroll request --token %s > request.json\n",
              token.c_str());
  std::printf("2. Bring request.json here, and:\n");
  std::printf("     outcrop device sign request.json --out enrolment.json --authority %s\n",
              options.authority.c_str());
  std::printf("3. Bring enrolment.json to the board, and there:\n");
  std::printf("     sudo -u outcrop-agent outcrop-agent enroll accept - < enrolment.json\n");
}

// The authority that signs, made where there is none: but not by chance, from a folder where it
// merely was not found. An outcropd that is away speaks against nothing.
Result<pki::Authority> authority_for(const EnrollOptions& options, const HostConnection& host) {
  auto here = pki::Authority::open(options.authority);
  if (here || here.error().code() != ErrorCode::not_found) return here;
  const fs::path folder = fs::absolute(options.authority);
  if (!options.authority_named) {
    const auto answer = host.get("/v1/host");
    if (answer && answer->value("device_authorities", 0) > 0) {
      return fail(ErrorCode::refused,
                  "there is no device authority in " + folder.string() +
                      ", and outcropd knows another one: name its folder with --authority or "
                      "OUTCROP_DEVICE_AUTHORITY (or, where that one is lost, a folder for a new "
                      "one)");
    }
  }
  OUTCROP_TRY(made, pki::Authority::open_or_make(options.authority, "Outcrop devices"));
  std::fprintf(stderr,
               "outcrop: made a new device authority in %s; keep it, it signs every board\n",
               folder.c_str());
  return made;
}

void warn_of_board_in_place(const std::string& name, const HostConnection& host) {
  const auto board = host.get("/v1/devices/" + http::encode(name));
  if (!board) return;
  const Status read = reading_answers([&]() -> Status {
    if (!board->at("revoked").is_null()) return {};
    std::fprintf(stderr,
                 "outcrop: a board '%s' is enrolled already; for another one in its place, shut "
                 "it out before you sign: outcrop device revoke %s --reason REASON\n",
                 name.c_str(), name.c_str());
    return {};
  });
  if (!read) std::fprintf(stderr, "outcrop: %s\n", read.error().message().c_str());
}

Status run_enroll(EnrollOptions options) {
  if (options.grant.model.empty()) {
    OUTCROP_TRY(model, only_model());
    options.grant.model = std::move(model);
  }
  const Timestamp now = SystemClock().now();
  const std::chrono::minutes valid(options.valid_minutes);
  const HostConnection host(options.host);
  OUTCROP_CHECK(pki::check_grant(options.grant));  // before an authority is made
  OUTCROP_CHECK(check_model_has_key(host, options.grant.model));
  OUTCROP_TRY(authority, authority_for(options, host));
  OUTCROP_CHECK(check_authority_counts(host, authority));
  warn_of_board_in_place(options.grant.device, host);
  OUTCROP_TRY(token, pki::grant_token(authority.folder(), options.grant, now, valid));
  print_token(options, token, now + valid);
  return {};
}

void add_enroll(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<EnrollOptions>();
  CLI::App* verb = parent.add_subcommand(
      "enroll", "Print a one-time token with which a board asks for its certificate");
  verb->add_option("name", options->grant.device, "Name of the board: 1 to 63 of a-z, 0-9 and -")
      ->required();
  verb->add_option("--class", options->grant.device_class,
                   "Device class, whose budget it must keep, e.g. raspberry-pi-4")
      ->required();
  verb->add_option("--model", options->grant.model,
                   "Model that it runs; default: the only one of the key folder");
  verb->add_option("--valid", options->valid_minutes, "Minutes until the token expires")
      ->capture_default_str()
      ->check(CLI::Range(1, 60 * 24 * 365));
  add_authority_option(*verb, options->authority);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer(
      "The board makes its own key, which never leaves it; the token lets one request through.\n"
      "Example:\n  outcrop device enroll pi-1 --class raspberry-pi-4 --model curvefault");
  verb->callback([options, verb, &chosen] {
    options->authority_named = verb->count("--authority") > 0 || authority_of_environment();
    chosen = [options] { return run_enroll(*options); };
  });
}

void add_sign(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<SignOptions>();
  CLI::App* verb = parent.add_subcommand(
      "sign", "Give a board that asks with a token its certificate, and tell outcropd of it");
  verb->add_option("request", options->request, "Request of the board; - for standard input")
      ->required();
  verb->add_option("--out", options->out, "Enrolment to write; - for standard output")->required();
  add_authority_option(*verb, options->authority);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer(
      "May be repeated with the same request after a failure or a power cut.\n"
      "Examples:\n  outcrop device sign request.json --out enrolment.json\n"
      "  ssh pi-1 sudo -u outcrop-agent outcrop-agent enroll request --token TOKEN --out - |\n"
      "    outcrop device sign - --out - |\n"
      "    ssh pi-1 sudo -u outcrop-agent outcrop-agent enroll accept -");
  verb->callback([options, &chosen] { chosen = [options] { return run_sign(*options); }; });
}

struct DeviceListOptions {
  fs::path host;
  DeviceFilter filter;
  bool json = false;
};

Status run_device_list(const DeviceListOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(fleet, read_fleet(host, options.filter.words()));
  return reading_answers([&]() -> Status {
    const bool nobody = !options.filter.words().empty() && fleet.devices.at("devices").empty();
    const std::string text = options.json ? json_text(fleet.devices, 2) + "\n"
                             : nobody     ? nobody_fits
                                          : enrolment_table(fleet.devices, view_of_standard_output());
    std::printf("%s", text.c_str());
    return {};
  });
}

void add_device_list(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<DeviceListOptions>();
  CLI::App* verb = parent.add_subcommand("list", "List boards that were enrolled, and when");
  add_filter_options(*verb, options->filter);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer("What they do now: outcrop fleet devices\nExample:\n  outcrop device list");
  verb->callback([options, &chosen] { chosen = [options] { return run_device_list(*options); }; });
}

struct DeviceRevokeOptions {
  std::string name;
  std::string reason;
  fs::path authority;
  fs::path host;
  bool json = false;
};

Status run_device_revoke(const DeviceRevokeOptions& options) {
  auto authority = pki::Authority::open(options.authority);
  if (!authority) {
    return fail(authority.error().context(
        "the authority that enrolled it (--authority or OUTCROP_DEVICE_AUTHORITY)"));
  }
  // The list is written here first: with outcropd away, the same command completes later.
  OUTCROP_TRY(list,
              pki::revoke_device(*authority, options.name, options.reason, SystemClock().now()));
  const HostConnection host(options.host);
  auto told = host.post("/v1/devices/" + options.name + "/revoke",
                        {{"reason", options.reason}, {"crl", list}});
  if (!told) {
    return fail(
        told.error().context("the list of revoked certificates names '" + options.name +
                             "' now, but outcropd has not got it; run the same command again"));
  }
  // An outcropd that does not say has a broker of its own.
  const auto said = told->find("disconnected");
  const bool disconnected = said == told->end() || *said != false;
  if (options.json) {
    std::printf(
        "%s\n",
        json_text(Json{{"device", options.name},
                       {"reason", options.reason},
                       {"disconnected", disconnected}},
                  2)
            .c_str());
  } else if (disconnected) {
    std::printf("%s is revoked: outcropd has the list, and lets it in no more.\n",
                options.name.c_str());
  } else {
    std::printf(
        "%s is revoked: outcropd takes nothing from it any more. Your own broker still lets it "
        "in:\n"
        "give it %s as its list of revoked certificates, and end the board's connection.\n",
        options.name.c_str(), (options.authority / "revoked.pem").c_str());
  }
  return {};
}

void add_device_revoke(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<DeviceRevokeOptions>();
  CLI::App* verb = parent.add_subcommand(
      "revoke", "Shut a board out for good: its certificates are good no more");
  verb->add_option("name", options->name, "Name of the board")->required();
  verb->add_option("--reason", options->reason, "Why: kept with the device")->required();
  add_authority_option(*verb, options->authority);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer(
      "A board that takes its place is enrolled under the same name, with a key of its own.\n"
      "Example:\n  outcrop device revoke pi-1 --reason \"stolen\"");
  verb->callback([options, &chosen] { chosen = [options] { return run_device_revoke(*options); }; });
}

void add_device_publish(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<DevicePublishOptions>();
  CLI::App* verb = parent.add_subcommand(
      "publish", "Hand outcropd the list of revoked boards again, after a backup came back");
  add_authority_option(*verb, options->authority);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "Every board that the list names is revoked and disconnected.\n"
      "Example:\n  outcrop device publish");
  verb->callback(
      [options, &chosen] { chosen = [options] { return run_device_publish(*options); }; });
}

void add_device_renew(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<DeviceRenewOptions>();
  CLI::App* verb = parent.add_subcommand("renew", "Certify the next keys of boards that ask for it");
  verb->add_option("names", options->names, "Boards; all that ask where none is named");
  add_authority_option(*verb, options->authority);
  add_host_option(*verb, options->host);
  verb->add_option("--wait", options->wait, "Seconds to wait for boards to come by their new certificates")
      ->capture_default_str()
      ->check(CLI::Range(0, 3600));
  verb->add_flag("--json", options->json, "Print what was done as a JSON object");
  verb->footer(
      "Boards ask when a third of their certificate's time is left, or where their owner says\n"
      "`outcrop-agent enroll renew`. A board connects by its new certificate and tells outcropd, for which its\n"
      "new key counts from then on; the old key is then nowhere any more. Whoever was told and does not\n"
      "come by it asks again. What opened the broker to it before is revoked, once it has come: at once for those that\n"
      "come while this waits, else by the next call. A broker of your own gets the list from you\n"
      "(<authority>/revoked.pem).\n\n"
      "Example:\n  outcrop device renew");
  verb->callback([options, &chosen] { chosen = [options] { return run_device_renew(*options); }; });
}

}  // namespace

void add_device(CLI::App& app, Action& chosen) {
  CLI::App* parent = app.add_subcommand("device", "Enrol, list and revoke boards, and who vouches for them");
  parent->require_subcommand(1);
  add_enroll(*parent, chosen);
  add_sign(*parent, chosen);
  add_device_list(*parent, chosen);
  add_device_revoke(*parent, chosen);
  add_device_publish(*parent, chosen);
  add_device_renew(*parent, chosen);
  add_device_authorities(*parent, chosen);
}

}  // namespace outcrop::cli
