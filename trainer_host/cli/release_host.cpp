#include "trainer_host/cli/release_host.hpp"

#include <cstdio>
#include <memory>
#include <string>

#include "platform/console/table.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/human.hpp"
#include "trainer_host/cli/publish.hpp"
#include "trainer_host/cli/release_export.hpp"
#include "trainer_host/cli/published_release.hpp"
#include "trainer_host/cli/trust_options.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

void add_release_publish(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<PublishOptions>();
  CLI::App* verb = parent.add_subcommand(
      "publish", "Verify a release, and hand it to outcropd; no board runs it yet");
  verb->add_option("release", options->folder, "Release folder")->required();
  add_trust_options(*verb, options->trust);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer(
      "An upload that was cut off goes on where it ended.\n"
      "Example:\n  outcrop release publish release-1 --keys keys");
  verb->callback([options, &chosen] { chosen = [options] { return run_publish(*options); }; });
}

// Taking a release back: what withdraw and revoke have in common.
struct TakeBackOptions {
  std::string release;
  std::string reason;
  fs::path keys;
  fs::path host;
  int expires_days = 365;
  bool json = false;
};

struct Named {
  trust::Sha256Digest manifest;
  std::string model;
};

Result<Named> name_release(const HostConnection& host, const std::string& text) {
  OUTCROP_TRY(record, find_release(host, text));
  Named named;
  Status read = reading_answers([&]() -> Status {
    OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(record.at("manifest").get<std::string>()));
    named.manifest = digest;
    named.model = record.at("model").get<std::string>();
    return {};
  });
  OUTCROP_CHECK(std::move(read));
  return named;
}

// What was signed is in the key folder already: a failure here is mended by the same command.
Status pass_on(const HostConnection& host, const TakeBackOptions& options, const Named& named,
               const std::string& done) {
  OUTCROP_CHECK(sign_above_seen(host, options.keys, named.model));
  OUTCROP_TRY(metadata, key_folder_metadata(options.keys, named.model));
  auto told = host.post("/v1/metadata", metadata);
  if (!told) {
    return fail(told.error().context(
        "it is signed, but outcropd has not got it; run the same command again"));
  }
  // The list that says so: older ones beside it do not matter here.
  const std::string role = done == "revoked" ? "revoked" : trust::stage_role(named.model);
  if (Status taken = check_taken(*told, options.keys, role); !taken) {
    return fail(taken.error().context("release " + short_digest(named.manifest.hex()) +
                                      " is not " + done));
  }
  if (options.json) {
    const Json said{{"manifest", named.manifest.hex()},
                    {"model", named.model},
                    {"done", done},
                    {"reason", options.reason}};
    std::printf("%s\n", json_text(said, 2).c_str());
  } else {
    std::printf("Release %s of %s is %s.\n", short_digest(named.manifest.hex()).c_str(),
                named.model.c_str(), done.c_str());
  }
  return {};
}

Status run_withdraw(const TakeBackOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(named, name_release(host, options.release));
  OUTCROP_TRY(trust, release::read_key_store(options.keys));
  {
    OUTCROP_TRY(store, release::StageStore::open(options.keys, named.model, trust));
    OUTCROP_TRY(list, store.withdraw(named.manifest, std::chrono::days(options.expires_days),
                                     SystemClock().now(), trust));
  }
  return pass_on(host, options, named, "withdrawn");
}

Status run_release_revoke(const TakeBackOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(named, name_release(host, options.release));
  const Timestamp now = SystemClock().now();
  const trust::Revocation entry{named.manifest, options.reason, now};
  auto revoked =
      release::revoke_manifest(options.keys, entry, std::chrono::days(options.expires_days), now);
  if (!revoked) {
    return fail(revoked.error().context("the revoked list is signed by offline/targets.key"));
  }
  return pass_on(host, options, named, "revoked");
}

CLI::App* add_take_back(CLI::App& parent, const std::string& name, const std::string& does,
                        TakeBackOptions& options) {
  CLI::App* verb = parent.add_subcommand(name, does);
  verb->add_option("release", options.release,
                   "Start of the manifest's digest, or the release folder")
      ->required();
  verb->add_option("--keys", options.keys, "Key folder")->required();
  verb->add_option("--expires-days", options.expires_days, "Days that the new list is valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  add_host_option(*verb, options.host);
  verb->add_flag("--json", options.json, "Print a JSON object instead of text");
  return verb;
}

void add_withdraw(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<TakeBackOptions>();
  CLI::App* verb = add_take_back(
      parent, "withdraw", "Let nobody install a release any more (needs the stage key)", *options);
  verb->footer(
      "Boards that run it go on. To stop those, too: outcrop release revoke\n"
      "Example:\n  outcrop release withdraw 4f2a91 --keys keys");
  verb->callback([options, &chosen] { chosen = [options] { return run_withdraw(*options); }; });
}

void add_release_revoke(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<TakeBackOptions>();
  CLI::App* verb =
      add_take_back(parent, "revoke",
                    "Let nobody install, run or return to a release (needs offline/)", *options);
  verb->add_option("--reason", options->reason, "Why: shown wherever it is refused")->required();
  verb->footer(
      "It cannot be taken back.\n"
      "Example:\n  outcrop release revoke 4f2a91 --reason \"trained on bad data\" --keys keys");
  verb->callback([options, &chosen] { chosen = [options] { return run_release_revoke(*options); }; });
}

struct ReleaseListOptions {
  fs::path host;
  bool json = false;
};

std::string release_table(const Json& answer, const View& view) {
  Table table({"manifest", "model", "stage", "epoch", "size", "published", "state"});
  table.less_needed({"epoch", "size"});
  for (const Json& release : answer.at("releases")) {
    std::string state = release.at("state").get<std::string>();
    const std::string reason = release.value("reason", "");
    if (!reason.empty()) state += ": " + reason;
    table.add_row({short_digest(release.at("manifest").get<std::string>()),
                   release.at("model").get<std::string>(),
                   std::to_string(release.at("stage").get<std::uint64_t>()),
                   std::to_string(release.at("epoch").get<std::uint64_t>()),
                   ByteCount(release.value("total", std::uint64_t{0})).human(),
                   age(release.at("published").get<std::string>(), view.now), std::move(state)});
  }
  return table.to_string(view.width);
}

Status run_release_list(const ReleaseListOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.get_all("/v1/releases", "releases"));
  return reading_answers([&]() -> Status {
    if (options.json) {
      std::printf("%s\n", json_text(answer, 2).c_str());
    } else if (answer.at("releases").empty()) {
      std::printf("No release yet: outcrop release publish FOLDER\n");
    } else {
      std::printf("%s", release_table(answer, view_of_standard_output()).c_str());
    }
    return {};
  });
}

void add_release_list(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<ReleaseListOptions>();
  CLI::App* verb = parent.add_subcommand("list", "List the releases that outcropd has");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer("Example:\n  outcrop release list");
  verb->callback([options, &chosen] { chosen = [options] { return run_release_list(*options); }; });
}

}  // namespace

void add_release_host(CLI::App& parent, Action& chosen) {
  add_release_publish(parent, chosen);
  add_release_export(parent, chosen);
  add_release_list(parent, chosen);
  add_withdraw(parent, chosen);
  add_release_revoke(parent, chosen);
}

}  // namespace outcrop::cli
