#include "trainer_host/cli/release_export.hpp"

#include <cstdio>
#include <memory>
#include <string>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/vacant_folder.hpp"
#include "trainer_host/cli/publish.hpp"
#include "trainer_host/cli/published_release.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/new_file.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

struct Options {
  fs::path folder;
  fs::path out;
  TrustOptions trust;
  fs::path host;
};

constexpr std::string_view of_a_root = "root/";

std::string file_name(const std::string& role) {
  if (!role.starts_with(of_a_root)) return role + ".json";
  return release::root_file_name(std::stoull(role.substr(of_a_root.size())));
}

// The host's, not the folder's: newer lists may have been signed since, and nobody else signs snapshot and timestamp.
Status write_metadata(const HostConnection& host, const std::string& model, const fs::path& metadata) {
  OUTCROP_TRY(answer, host.get("/v1/metadata"));
  OUTCROP_CHECK(release::make_folder(metadata, 0755));
  return reading_answers([&]() -> Status {
    const Json& envelopes = answer.at("envelopes");
    if (!envelopes.contains("timestamp")) {
      return fail(ErrorCode::refused, "outcropd has signed no timestamp: its log says why");
    }
    for (const auto& [role, envelope] : envelopes.items()) {
      if (role.starts_with(trust::stage_role("")) && role != trust::stage_role(model)) continue;
      OUTCROP_CHECK(release::write_new_file(metadata / file_name(role), std::string_view(envelope.get_ref<const std::string&>())));
    }
    return {};
  });
}

Status copy_blobs(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy(from, to, error);
  return error ? Status(fail(ErrorCode::io, "copying " + from.string() + " to " + to.string() + ": " + error.message())) : Status();
}

Status run_export(const Options& options) {
  OUTCROP_TRY(release, open_whole(options.folder, options.trust));
  const HostConnection host(options.host);
  const std::string digest = release.manifest_digest().hex();
  const auto record = find_release(host, digest);
  if (!record) return fail(record.error().context("publish it first, by outcrop release publish"));
  const std::string state = record->value("state", "");
  if (state != "published") return fail(ErrorCode::refused, "release " + digest.substr(0, 12) + " is " + state + ": no board installs it");
  if (!is_vacant(options.out)) {
    return fail(ErrorCode::already_exists, options.out.string() + " exists already; name another folder or remove this one");
  }
  const fs::path place = options.out.has_filename() ? options.out : options.out.parent_path();
  const fs::path staged = filling_place(options.out, place.parent_path() / ("." + place.filename().string() + ".making"));
  std::error_code ignored;
  fs::remove_all(staged, ignored);
  const auto work = [&]() -> Status {
    OUTCROP_CHECK(release::make_folder(staged, 0755));
    OUTCROP_CHECK(write_metadata(host, release.manifest().model, staged / "metadata"));
    OUTCROP_CHECK(copy_blobs(options.folder / "blobs", staged / "blobs"));
    return publish_folder(staged, options.out);
  };
  const Status done = work();
  if (!done) fs::remove_all(staged, ignored);
  OUTCROP_CHECK(done);
  std::printf("%s: carry it to boards, and there\n  outcrop-agent install FOLDER\n", options.out.c_str());
  return {};
}

}  // namespace

void add_release_export(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = parent.add_subcommand("export", "Copy a published release to where it is carried to boards from");
  verb->add_option("release", options->folder, "Release folder")->required();
  verb->add_option("out", options->out, "Folder to make, on a stick for instance")->required();
  add_trust_options(*verb, options->trust);
  add_host_option(*verb, options->host);
  verb->footer(
      "Boards install nothing by hand that they would not install by the network: what outcropd signs, snapshot\n"
      "and timestamp, goes along. A timestamp is good for some days only (timestamp_days in host.toml).\n\n"
      "Example:\n  outcrop release export release-1 /media/stick/release-1 --keys keys");
  verb->callback([options, &chosen] { chosen = [options] { return run_export(*options); }; });
}

}  // namespace outcrop::cli
