#include "trainer_host/cli/fleet_move.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "protocol/base/counted.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"
#include "protocol/messages/broker_move.hpp"
#include "protocol/trust/certificate.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/monitor_output.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

struct MoveOptions {
  std::string place;
  fs::path authority;
  fs::path keys;
  std::string board;
  std::string device_class;
  int expires_days = 30;
  fs::path host;
  bool json = false;
};

// "fleet.example:8883", "[fd00::1]:8883"
Status read_place(const std::string& text, messages::BrokerMove& move) {
  const std::size_t colon = text.rfind(':');
  const std::uint16_t port = colon == std::string::npos ? 0 : read_number<std::uint16_t>(text.substr(colon + 1)).value_or(0);
  move.host = text.substr(0, colon);
  if (move.host.starts_with('[') && move.host.ends_with(']')) move.host = move.host.substr(1, move.host.size() - 2);
  if (port == 0 || move.host.empty()) {
    return fail(ErrorCode::invalid_argument, "'" + text + "' is no place of a broker; it must be HOST:PORT, fleet.example:8883");
  }
  move.port = port;
  return {};
}

Result<std::string> sign(const fs::path& keys, const messages::BrokerMove& move) {
  const std::string role(trust::TargetsMetadata::kind);
  OUTCROP_TRY(store, release::read_key_store(keys));
  OUTCROP_TRY(at_hand, release::keys_at_hand(release::KeyStorePaths(keys), store, role, release::Missing::refuse));
  const trust::Signers signers = store.root.signers(role);
  if (at_hand.size() < signers.threshold) {
    return fail(ErrorCode::refused, "where the broker is, " + counted(signers.threshold, "key") + " of targets must sign, and " +
                                        std::to_string(at_hand.size()) + " lie in " + (keys / "offline").string() + ": bring them together for it");
  }
  const std::string text = to_json(move);
  return release::sign_envelope(messages::broker_move_kind, as_bytes(text), at_hand);
}

Status run_move(const MoveOptions& options) {
  messages::BrokerMove move;
  OUTCROP_CHECK(read_place(options.place, move));
  OUTCROP_TRY(authority, read_text_file(options.authority, ByteCount::kib(16)));
  if (const auto certificate = trust::read_certificate(authority); !certificate) {
    return fail(certificate.error().context(options.authority.string()));
  }
  move.authority = authority;
  const Timestamp now = SystemClock().now();
  move.number = static_cast<std::uint64_t>(now.time_since_epoch().count());
  move.expires = now + std::chrono::days(options.expires_days);
  OUTCROP_TRY(envelope, sign(options.keys, move));
  Json body{{"move", envelope}};
  if (!options.board.empty()) body["device"] = options.board;
  if (!options.device_class.empty()) body["device_class"] = options.device_class;
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.post("/v1/broker/move", body));
  return reading_answers([&]() -> Status {
    if (options.json) {
      print_json(answer);
      return {};
    }
    std::printf("Told that the broker is at %s: %s. Each tries it, and goes back where nobody lets it in.\n", options.place.c_str(),
                counted(answer.at("asked").size(), "board").c_str());
    if (const auto& away = answer.at("left_for"); !away.empty()) {
      std::printf("Kept by the present broker until %s for %s that %s offline:\n", to_rfc3339(move.expires).c_str(),
                  counted(away.size(), "board").c_str(), away.size() == 1 ? "is" : "are");
      for (const auto& name : away) std::printf("  %s\n", name.get<std::string>().c_str());
    }
    for (const auto& [name, why] : answer.at("left_out").items()) std::printf("  not %s: %s\n", name.c_str(), why.get<std::string>().c_str());
    return {};
  });
}

}  // namespace

void add_fleet_move(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<MoveOptions>();
  CLI::App* verb = fleet.add_subcommand("move-broker", "Tell boards that their broker is elsewhere from now on (needs offline/)");
  verb->add_option("place", options->place, "HOST:PORT of the other broker, which is up already")->required();
  verb->add_option("--authority", options->authority, "Certificate of whoever vouches for it, PEM")->required()->type_name("FILE");
  verb->add_option("--keys", options->keys, "Key folder; the keys of targets sign")->required();
  auto* board = verb->add_option("--board", options->board, "Only this board");
  verb->add_option("--class", options->device_class, "Only boards of this class")->excludes(board);
  verb->add_option("--expires-days", options->expires_days, "Days within which a board takes it")->capture_default_str()->check(CLI::Range(1, 365));
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "A board tries the place for ten minutes and keeps it once it got through there: let in by its certificate, with all that it\n"
      "subscribes to. Else it goes back, and says so where `outcrop fleet devices` shows why. For boards that are offline, which are\n"
      "named, the old broker keeps it until it expires: let it run until they came, whether outcropd is there or not. Try one board first.\n"
      "Examples:\n  outcrop fleet move-broker fleet.example:8883 --authority new-ca.pem --keys keys --board pi-1\n"
      "  outcrop fleet move-broker fleet.example:8883 --authority new-ca.pem --keys keys");
  verb->callback([options, &chosen] { chosen = [options] { return run_move(*options); }; });
}

}  // namespace outcrop::cli
