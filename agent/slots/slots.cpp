#include "agent/slots/slots.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include <spdlog/spdlog.h>

#include "agent/slots/installed_json.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using messages::Json;
using messages::ObjectReader;

constexpr std::uint64_t slots_format = 1;
constexpr ByteCount slots_limit = ByteCount::kib(64);
constexpr const char* slots_file = "slots.json";
constexpr const char* kept_file = "kept.json";
constexpr std::size_t most_kept = 2;
constexpr std::chrono::days kept_for{7};
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
void add_named(const fs::path& blobs, const trust::Sha256Digest& digest, Digests& digests) {
  digests.insert(digest);
  std::error_code error;
  const auto size = fs::file_size(blobs / digest.hex(), error);
  if (error || ByteCount(size) > messages::manifest_limit) return;
  const auto blob = trust::verify_blob(blobs / digest.hex(), digest, ByteCount(size));
  if (!blob) return;
  if (const auto manifest = messages::parse_manifest(*blob)) add_references(*manifest, digests);
}

}  // namespace

Slots::Slots(fs::path folder, ByteCount reserve)
    : folder_(std::move(folder)), document_(folder_ / slots_file), reserve_(reserve) {}

Status Slots::take(const fs::path& copy) {
  OUTCROP_TRY(text, read_text_file(copy, slots_limit));
  OUTCROP_TRY(json, messages::parse_object(text, slots_limit, slots_file));
  ObjectReader reader(json, slots_file);
  if (reader.integer("format", 1) > slots_format) {
    return fail(ErrorCode::unsupported,
                copy.string() +
                    " was written by a newer agent; install that agent again, or remove the file "
                    "and its spare: this board then serves nothing until its next offer");
  }
  std::optional<Installed> active = read_installed(reader, "active");
  std::optional<Installed> previous = read_installed(reader, "previous");
  reader.done();
  OUTCROP_CHECK(reader.status());
  active_ = std::move(active);
  previous_ = std::move(previous);
  return {};
}

Result<Slots> Slots::open(const fs::path& folder, ByteCount disk_reserve) {
  Slots slots(folder, disk_reserve);
  if (const Status made = make_folder(folder / "blobs"); !made) {
    slots.trouble_ = made.error().message();
  }
  OUTCROP_TRY(reading, slots.document_.read([&](const fs::path& copy) { return slots.take(copy); }));
  slots.document_.heal(reading);
  if (reading.trouble) slots.trouble_ = reading.trouble->message();
  slots.forgotten_ = reading.trouble && !reading.copy;
  slots.read_kept();
  return slots;
}

// A file that is lost or means nothing costs a transfer at most.
void Slots::read_kept() {
  const auto text = read_text_file(folder_ / kept_file, slots_limit);
  if (!text) return;
  const auto json = messages::parse_object(*text, slots_limit, kept_file);
  if (!json) return;
  const Timestamp latest = SystemClock().now() + kept_for;  // a clock may have been ahead
  ObjectReader reader(*json, kept_file);
  reader.objects("releases", 0, most_kept, [&](ObjectReader& entry) {
    const auto release = read_installed(entry, "release");
    const Timestamp until = entry.time("until");
    entry.done();
    if (release) kept_.push_back({*release, std::min(until, latest)});
  });
  reader.done();
  if (!reader.ok()) kept_.clear();
}

void Slots::write_kept(std::vector<KeptRelease> kept) {
  kept_ = std::move(kept);
  Json releases = Json::array();
  for (const KeptRelease& one : kept_) {
    releases.push_back(
        {{"release", to_json(std::optional(one.release))}, {"until", to_rfc3339(one.until)}});
  }
  const Status written = write_file_durably(folder_ / kept_file,
                                            json_text(Json{{"releases", releases}}, 2) + "\n");
  if (!written) spdlog::warn("{}", written.error().message());
}

void Slots::keep_what_leaves(const std::optional<Installed>& active, const std::optional<Installed>& previous,
                             Leaving leaving) {
  const auto stays = [&](const Installed& release) {
    return active == release || previous == release;
  };
  std::vector<KeptRelease> kept;
  for (const auto& left : {leaving == Leaving::committed ? active_ : std::nullopt, previous_}) {
    if (left && !stays(*left)) kept.push_back({*left, SystemClock().now() + kept_for});
  }
  const bool as_before = kept.empty();
  for (const KeptRelease& before : kept_) {
    if (!stays(before.release) && kept.size() < most_kept) kept.push_back(before);
  }
  if (!as_before || kept.size() != kept_.size()) write_kept(std::move(kept));
}

std::vector<Installed> Slots::installed() const {
  std::vector<Installed> all;
  for (const auto& release : {active_, previous_}) {
    if (release) all.push_back(*release);
  }
  for (const KeptRelease& one : kept_) {
    if (one.until > SystemClock().now() && has(one.release.manifest)) all.push_back(one.release);
  }
  return all;
}

std::optional<Installed> Slots::serving() const {
  if (active_ && damaged(*active_)) return std::nullopt;
  return active_;
}

Status Slots::remember(const Installed& release) {
  if (!has(release.manifest)) return not_here(release);
  // It serves even where that cannot be written down: the next start will come to the same.
  if (const Status written = change(release, std::nullopt); !written) {
    spdlog::warn("{}", written.error().message());
    active_ = release;
    previous_ = std::nullopt;
    forgotten_ = false;
  }
  trouble_ = trouble_.value_or(slots_file) + "; what served is known from the last deployment";
  return {};
}

void Slots::found(const Installed& release, bool damaged) {
  std::erase(damaged_, release);
  if (damaged) damaged_.push_back(release);
}

bool Slots::damaged(const Installed& release) const {
  return std::find(damaged_.begin(), damaged_.end(), release) != damaged_.end();
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

Status Slots::change(std::optional<Installed> active, std::optional<Installed> previous, Leaving leaving) {
  if (active && !has(active->manifest)) return not_here(*active);
  if (active == active_ && previous == previous_) return {};
  const Json json{
      {"format", slots_format}, {"active", to_json(active)}, {"previous", to_json(previous)}};
  keep_what_leaves(active, previous, leaving);
  OUTCROP_CHECK(document_.write(json_text(json, 2) + "\n"));
  active_ = std::move(active);
  previous_ = std::move(previous);
  forgotten_ = false;
  return {};
}

Status Slots::activate(const Installed& release) {
  if (active_ == release) return {};
  return change(release, active_);
}

Status Slots::roll_back(Leaving leaving) {
  return change(previous_, std::nullopt, leaving);
}

Status Slots::return_to(const std::optional<Installed>& release, Leaving leaving) {
  if (active_ == release) return {};
  const bool keeps_previous = release && previous_ != release;
  return change(release, keeps_previous ? previous_ : std::nullopt, leaving);
}

Status Slots::collect_garbage(const std::vector<trust::Sha256Digest>& also) {
  if (forgotten_) return {};  // what lies here may be all that is left of what served
  const fs::path blobs = folder_ / "blobs";
  Digests kept;
  for (const auto& release : {active_, previous_}) {
    if (const Status status = add_release(blobs, release, kept); !status) {
      return fail(status.error().context("nothing was removed, since a release is not readable"));
    }
  }
  for (const KeptRelease& one : kept_) {
    if (one.until > SystemClock().now()) add_named(blobs, one.release.manifest, kept);
  }
  for (const trust::Sha256Digest& digest : also) add_named(blobs, digest, kept);
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

Status Slots::make_room(const std::vector<trust::Sha256Digest>& also) {
  if (!kept_.empty()) write_kept({});
  return collect_garbage(also);
}

}  // namespace outcrop::agent
