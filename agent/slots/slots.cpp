#include "agent/slots/slots.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t hex_digits = 64;

// What is on the disk is synced before it gets its final name.
Status sync_file(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + file.string()));
  if (::fsync(fd.get()) != 0) return fail(Error::from_errno("syncing " + file.string()));
  return {};
}

// With the folder above it, and so that neither vanishes with what will lie in it.
Status make_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::create_directories(folder, error) && !error) return {};
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  OUTCROP_CHECK(sync_folder(folder.parent_path().parent_path()));
  return sync_folder(folder.parent_path());
}

using Digests = std::set<trust::Sha256Digest>;

void add_references(const messages::Manifest& manifest, Digests& digests) {
  const auto add = [&](const messages::BlobReference& blob) {
    digests.insert(blob.sha256);
    digests.insert(blob.chunk_table);
  };
  add(manifest.golden.input);
  add(manifest.golden.output);
  for (const messages::Variant& variant : manifest.variants) add(variant.blob);
}

tl::unexpected<Error> not_here(const Installed& release) {
  return fail(ErrorCode::not_found,
              "the manifest " + release.manifest.short_hex() + " is not on this board");
}

// A release that serves or may be returned to: what it names must be known, or nothing is removed.
Status add_release(const fs::path& blobs, const std::optional<Installed>& release,
                   Digests& digests) {
  if (!release) return {};
  digests.insert(release->manifest);
  OUTCROP_TRY(blob, trust::verify_blob(blobs / release->manifest.hex(), release->manifest,
                                       release->manifest_size));
  OUTCROP_TRY(manifest, messages::parse_manifest(blob));
  add_references(manifest, digests);
  return {};
}

// Of the deployment at work: its manifest may not be there yet, and other blobs are no manifests.
// Fails where it is there and cannot be read just now.
Status add_named(const fs::path& blobs, const trust::Sha256Digest& digest, Digests& digests) {
  digests.insert(digest);
  std::error_code error;
  const auto size = fs::file_size(blobs / digest.hex(), error);
  if (error == std::errc::no_such_file_or_directory) return {};
  if (error) return fail(ErrorCode::io, "looking at " + digest.short_hex() + ": " + error.message());
  if (ByteCount(size) > messages::manifest_limit) return {};
  const auto blob = trust::verify_blob(blobs / digest.hex(), digest, ByteCount(size));
  if (!blob) return blob.error().code() == ErrorCode::io ? Status(fail(blob.error())) : Status();
  if (const auto manifest = messages::parse_manifest(*blob)) add_references(*manifest, digests);
  return {};
}

// What a release takes of the disk besides what was counted before, and is counted from then on. Of one whose manifest cannot be
// read just now, nothing is known but that.
std::uint64_t more_bytes(const fs::path& blobs, const Installed& release, Digests& counted) {
  Digests names;
  (void)add_named(blobs, release.manifest, names);
  std::uint64_t more = 0;
  for (const trust::Sha256Digest& digest : names) {
    std::error_code error;
    const auto size = fs::file_size(blobs / digest.hex(), error);
    if (!error && counted.insert(digest).second) more += size;
  }
  return more;
}

}  // namespace

Slots::Slots(fs::path folder, ByteCount reserve, SlotTable table, WaysBack ways_back)
    : folder_(std::move(folder)), reserve_(reserve), table_(std::move(table)), ways_back_(ways_back) {
  ways_back_.releases = std::clamp<std::size_t>(ways_back_.releases, 1, most_kept);
}

Slots Slots::open(const fs::path& folder, ByteCount disk_reserve, SlotTable table, WaysBack ways_back) {
  Slots slots(folder, disk_reserve, std::move(table), ways_back);
  if (const Status made = make_folder(folder / "blobs"); !made) {
    slots.trouble_ = made.error().message();
  }
  return slots;
}

void Slots::keep_what_leaves(const std::optional<Installed>& active,
                             const std::optional<Installed>& previous, Leaving leaving) {
  const auto stays = [&](const Installed& release) {
    return active == release || previous == release;
  };
  std::vector<KeptRelease> kept;
  for (const auto& left :
       {leaving == Leaving::committed ? table_.active : std::nullopt, table_.previous}) {
    if (left && !stays(*left)) kept.push_back({*left, SystemClock().now() + kept_for, left == table_.previous});
  }
  for (const KeptRelease& before : table_.kept) {
    if (!stays(before.release)) kept.push_back(before);
  }
  kept.resize(std::min(kept.size(), ways_back_.releases - 1));
  keep_within_bytes(active, previous, kept);
  table_.kept = std::move(kept);
}

void Slots::keep_within_bytes(const std::optional<Installed>& active, const std::optional<Installed>& previous,
                              std::vector<KeptRelease>& kept) const {
  if (ways_back_.bytes.value() == 0) return;
  const fs::path blobs = folder_ / "blobs";
  Digests counted;
  if (active) (void)more_bytes(blobs, *active, counted);
  std::uint64_t taken = previous ? more_bytes(blobs, *previous, counted) : 0;
  const auto beyond = std::find_if(kept.begin(), kept.end(), [&](const KeptRelease& one) {
    taken += more_bytes(blobs, one.release, counted);
    return taken > ways_back_.bytes.value();
  });
  kept.erase(beyond, kept.end());  // what left last comes first
}

std::vector<Installed> Slots::installed() const {
  std::vector<Installed> all;
  for (const auto& release : {table_.active, table_.previous}) {
    if (release) all.push_back(*release);
  }
  for (const KeptRelease& one : table_.kept) {
    if ((one.good || one.until > SystemClock().now()) && has(one.release.manifest)) all.push_back(one.release);
  }
  return all;
}

std::optional<Installed> Slots::serving() const {
  if (table_.active && lies(*table_.active) != Lies::whole) return std::nullopt;
  return table_.active;
}

Slots::Lies Slots::judge(const Status& looked_at) {
  if (looked_at) return Lies::whole;
  switch (looked_at.error().code()) {
    case ErrorCode::untrusted:
    case ErrorCode::not_found:
    case ErrorCode::invalid_data:
      return Lies::damaged;
    default:
      return Lies::unread;
  }
}

void Slots::found(const Installed& release, Lies lies) {
  std::erase_if(found_, [&](const auto& one) { return one.first == release; });
  if (lies != Lies::whole) found_.emplace_back(release, lies);
}

Slots::Lies Slots::lies(const Installed& release) const {
  const auto found = std::find_if(found_.begin(), found_.end(),
                                  [&](const auto& one) { return one.first == release; });
  return found == found_.end() ? Lies::whole : found->second;
}

bool Slots::has(const trust::Sha256Digest& blob) const {
  std::error_code error;
  return fs::is_regular_file(folder_ / "blobs" / blob.hex(), error);
}

fs::path Slots::partial_file(const trust::Sha256Digest& blob) const {
  return folder_ / "blobs" / (blob.hex() + ".part");
}

ByteCount Slots::partial_size(const trust::Sha256Digest& blob) const {
  struct stat info {};
  if (::stat(partial_file(blob).c_str(), &info) != 0) return {};
  constexpr std::uint64_t unit = 512;  // of st_blocks; chunks come in any order and leave holes
  return ByteCount(static_cast<std::uint64_t>(info.st_blocks) * unit);
}

Status Slots::reserve(ByteCount bytes) const {
  struct statvfs disk {};
  const fs::path blobs = folder_ / "blobs";  // may be a disk of its own
  if (::statvfs(blobs.c_str(), &disk) != 0) {
    return fail(Error::from_errno("asking for the free space of " + blobs.string()));
  }
  const ByteCount available(std::uint64_t{disk.f_bavail} * disk.f_frsize);
  if (available >= reserve_ && available.value() - reserve_.value() >= bytes.value()) return {};
  return fail(ErrorCode::no_space, bytes.human() + " are wanted in " + blobs.string() +
                                       " where " + available.human() + " are free and " +
                                       reserve_.human() + " of them must stay so");
}

Result<trust::VerifiedBlob> Slots::keep(StagedBlob blob) {
  const fs::path& staged = blob.file();
  auto verified = trust::verify_blob(staged, blob.digest(), blob.size());
  if (!verified) {
    std::error_code ignored;
    if (verified.error().code() == ErrorCode::untrusted) fs::remove(staged, ignored);
    return fail(verified.error());
  }
  OUTCROP_CHECK(sync_file(staged));
  const fs::path file = folder_ / "blobs" / blob.digest().hex();
  if (::rename(staged.c_str(), file.c_str()) != 0) {
    return fail(Error::from_errno("renaming to " + file.string()));
  }
  OUTCROP_CHECK(sync_folder(file.parent_path()));
  return verified;
}

Result<trust::VerifiedBlob> Slots::blob(const trust::Sha256Digest& digest, ByteCount size) {
  const fs::path file = folder_ / "blobs" / digest.hex();
  auto verified = trust::verify_blob(file, digest, size);
  if (verified || verified.error().code() != ErrorCode::untrusted) return verified;
  // A caller that is wrong about the size is no reason to lose a good blob.
  const auto actual = trust::sha256_file(file);
  if (!actual || *actual == digest) return verified;
  std::error_code error;
  fs::remove(file, error);
  return fail(verified.error().context(error ? "a damaged blob" : "a damaged blob, now removed"));
}

Result<messages::Manifest> Slots::manifest(const trust::Sha256Digest& digest, ByteCount size) {
  OUTCROP_TRY(bytes, blob(digest, size));
  return messages::parse_manifest(bytes);
}

Status Slots::change(std::optional<Installed> active, std::optional<Installed> previous,
                     Leaving leaving) {
  if (active && !has(active->manifest)) return not_here(*active);
  if (active == table_.active && previous == table_.previous) return {};
  keep_what_leaves(active, previous, leaving);
  table_.active = std::move(active);
  table_.previous = std::move(previous);
  table_.forgotten = false;
  return {};
}

Status Slots::activate(const Installed& release) {
  if (table_.active == release) return {};
  return change(release, table_.active);
}

std::optional<Installed> Slots::next_way_back() const {
  const auto next = std::find_if(table_.kept.begin(), table_.kept.end(), [&](const KeptRelease& one) {
    return one.good && has(one.release.manifest);
  });
  return next == table_.kept.end() ? std::nullopt : std::optional(next->release);
}

Status Slots::roll_back(Leaving leaving) {
  return change(table_.previous, table_.previous ? next_way_back() : std::nullopt, leaving);
}

Status Slots::return_to(const std::optional<Installed>& release, Leaving leaving) {
  if (table_.active == release) return {};
  if (!release) return change(release, std::nullopt, leaving);
  return change(release, table_.previous == release ? next_way_back() : table_.previous, leaving);
}

Status Slots::collect_garbage(const std::vector<trust::Sha256Digest>& also) {
  if (table_.forgotten) return {};
  const fs::path blobs = folder_ / "blobs";
  Digests kept;
  const auto unread = [](const Status& status) {
    return fail(status.error().context("nothing was removed, since a release is not readable"));
  };
  for (const auto& release : {table_.active, table_.previous}) {
    if (const Status status = add_release(blobs, release, kept); !status) return unread(status);
  }
  std::vector<trust::Sha256Digest> named = also;
  for (const KeptRelease& one : table_.kept) {
    if (one.good || one.until > SystemClock().now()) named.push_back(one.release.manifest);
  }
  for (const trust::Sha256Digest& digest : named) {
    if (const Status status = add_named(blobs, digest, kept); !status) return unread(status);
  }
  std::vector<fs::path> garbage;
  std::error_code error;
  for (fs::directory_iterator entry(blobs, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto digest = trust::Sha256Digest::from_hex(name.substr(0, hex_digits));
    if (digest && !kept.contains(*digest)) garbage.push_back(entry->path());
  }
  for (const fs::path& file : garbage) {
    if (!error) fs::remove(file, error);
  }
  if (error) return fail(ErrorCode::io, "tidying " + blobs.string() + ": " + error.message());
  return {};
}

Status Slots::make_room(const std::vector<trust::Sha256Digest>& also, ByteCount bytes) {
  do {
    if (!table_.kept.empty()) table_.kept.pop_back();
    OUTCROP_CHECK(collect_garbage(also));
  } while (!table_.kept.empty() && !reserve(bytes));
  return {};
}

}  // namespace outcrop::agent
