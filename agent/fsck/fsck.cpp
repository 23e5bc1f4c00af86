#include "agent/fsck/fsck.hpp"

#include <set>

#include "agent/deploy/fetch.hpp"
#include "agent/deploy/ledger.hpp"
#include "agent/deploy/transitions.hpp"
#include "agent/enroll/identity.hpp"
#include "agent/verify/trusted_state.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using Troubles = std::vector<std::string>;

constexpr std::size_t hex_digits = 64;

void add(Troubles& troubles, const std::optional<std::string>& trouble) {
  if (trouble) troubles.push_back(*trouble);
}
void add(Troubles& troubles, const Error& error) {
  troubles.push_back(error.message());
}

void check_identity(const fs::path& state, Troubles& troubles) {
  const auto identity = Identity::read(state);
  if (!identity) return add(troubles, identity.error());
  add(troubles, identity->trouble());
}

void check_trust(const fs::path& state, Troubles& troubles) {
  const auto trusted = read_trusted_state(state / "metadata" / "trusted.json");
  if (!trusted) return add(troubles, trusted.error());
  if (trusted->reading.trouble) add(troubles, *trusted->reading.trouble);
}

// The blobs that it names, whole or not; those of the variant that may serve must be whole.
std::set<std::string> check_release(const fs::path& blobs, const Installed& release,
                                    Troubles& troubles) {
  std::set<std::string> names{release.manifest.hex()};
  const auto bytes = trust::verify_blob(blobs / release.manifest.hex(), release.manifest,
                                        release.manifest_size);
  const auto manifest =
      bytes ? messages::parse_manifest(*bytes) : Result<messages::Manifest>(fail(bytes.error()));
  if (!manifest) {
    troubles.push_back("release " + release.manifest.short_hex() + ": " +
                       manifest.error().message());
    return names;
  }
  for (const auto& digest : all_digests(release.manifest, *manifest)) names.insert(digest.hex());
  for (const auto& blob : needed_blobs(*manifest, {release.variant})) {
    const auto whole = trust::verify_blob(blobs / blob.sha256.hex(), blob.sha256, blob.size);
    if (whole) continue;
    troubles.push_back("release " + release.manifest.short_hex() + ": " + whole.error().message());
  }
  return names;
}

void check_releases(const fs::path& blobs, const Decided& decided, Troubles& troubles) {
  std::set<std::string> named;
  const SlotTable& table = decided.slots;
  std::vector<Installed> releases;
  for (const auto& release : {table.active, table.previous}) {
    if (release) releases.push_back(*release);
  }
  std::error_code error;
  for (const KeptRelease& one : table.kept) {
    // One that had to make room is no loss.
    if (fs::exists(blobs / one.release.manifest.hex(), error)) releases.push_back(one.release);
  }
  for (const Installed& release : releases) named.merge(check_release(blobs, release, troubles));
  const auto& deployment = decided.record.deployment;
  const bool at_work = deployment && (!is_end(deployment->state) || deployment->waits());
  if (at_work || table.forgotten) return;  // what else is there may be wanted
  for (fs::directory_iterator entry(blobs, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!trust::Sha256Digest::from_hex(name.substr(0, hex_digits))) continue;  // no blob of ours
    if (!named.contains(name)) troubles.push_back("nobody names " + entry->path().string());
  }
}

void check_unfinished(const fs::path& state, Troubles& troubles) {
  for (const char* folder : {"", "metadata", "outbox", "releases", "releases/blobs"}) {
    std::error_code error;
    for (fs::directory_iterator entry(state / folder, error), end; !error && entry != end;
         entry.increment(error)) {
      if (entry->path().filename().string().find(".tmp-") != std::string::npos) {
        troubles.push_back("left unfinished: " + entry->path().string());
      }
    }
  }
}

}  // namespace

std::vector<std::string> check_files(const fs::path& state) {
  Troubles troubles;
  check_identity(state, troubles);
  check_trust(state, troubles);
  const Ledger ledger = Ledger::open(state);
  add(troubles, ledger.trouble());
  check_releases(state / "releases" / "blobs", ledger.found(), troubles);
  check_unfinished(state, troubles);
  return troubles;
}

}  // namespace outcrop::agent
