#include "trainer_host/cli/keys_rotate.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/clock.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/keys_request.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/rotate.hpp"

namespace outcrop::cli {
namespace {

struct RotateOptions {
  std::filesystem::path folder;
  std::vector<std::string> roles;
  int root_expires_days = 5 * 365;
  release::Missing missing = release::Missing::refuse;
  bool json = false;
};

Status run_rotate(const RotateOptions& options) {
  OUTCROP_CHECK(release::rotate_keys(options.folder, options.roles,
                                     std::chrono::days(options.root_expires_days),
                                     SystemClock().now(), options.missing));
  if (say_waiting(options.folder)) return {};
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  const std::uint64_t version = trust.root->version;
  const std::string expires = to_rfc3339(trust.root->expires);
  if (options.json) {
    const nlohmann::json json{{"root_version", version},
                              {"root_expires", expires},
                              {"root_sha256", trust.root.digest().hex()},
                              {"rotated", options.roles}};
    std::printf("%s\n", json_text(json, 2).c_str());
    return {};
  }
  std::printf("root version %llu, valid until %s; boards follow it by themselves\n",
              static_cast<unsigned long long>(version), expires.c_str());
  const auto online = [](const std::string& role) {
    return role == "snapshot" || role == "timestamp" || role == "director";
  };
  if (std::any_of(options.roles.begin(), options.roles.end(), online)) {
    std::printf("Give outcropd the new keys (%s), then hand it the new root:\n",
                (options.folder / "online").c_str());
  } else {
    std::printf("Hand it to outcropd:\n");
  }
  std::printf("  outcrop keys publish --dir %s\n", options.folder.c_str());
  return {};
}

}  // namespace

void add_rotate(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<RotateOptions>();
  CLI::App* rotate = keys.add_subcommand(
      "rotate", "Sign the next root, with new keys for the roles named (needs offline/)");
  rotate->add_option("role", options->roles,
                     "root, targets, snapshot, timestamp, director; none: the root is only renewed");
  rotate->add_option("--dir", options->folder, "Key folder")->required();
  rotate
      ->add_option("--root-expires-days", options->root_expires_days,
                   "Days that the new root is valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  add_request_option(*rotate, options->missing);
  rotate->add_flag("--json", options->json, "Print a JSON object instead of text");
  rotate->footer(
      "After a key was stolen or lost: boards that follow the new root believe the old keys no "
      "more,\nwhatever versions and times they signed. A new director lets boards count commands "
      "anew.\nKeys from before commands were signed get their director here; agents from before then "
      "stay\nwith the root they have.\n"
      "Example:\n  outcrop keys rotate --dir keys snapshot timestamp");
  rotate->callback([options, &chosen] { chosen = [options] { return run_rotate(*options); }; });
}

}  // namespace outcrop::cli
