#include "trainer_host/fleet/prune/prune.hpp"

#include <spdlog/spdlog.h>

#include <set>
#include <string>
#include <vector>

#include "protocol/base/number.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::fleet {
namespace {

using Digests = std::set<trust::Sha256Digest>;

// All but the manifest itself; none where the manifest is not here.
Result<Digests> blobs_of(const BlobStore& blobs, const trust::Sha256Digest& manifest) {
  Digests all;
  if (!blobs.has(manifest)) return all;
  OUTCROP_TRY(bytes, blobs.read(manifest, messages::manifest_limit));
  OUTCROP_TRY(blob, trust::verify_bytes(bytes, manifest));
  OUTCROP_TRY(parsed, messages::parse_manifest(blob));
  const auto add = [&](const messages::BlobReference& reference) {
    all.insert(reference.sha256);
    all.insert(reference.chunk_table);
  };
  add(parsed.golden.input);
  add(parsed.golden.output);
  for (const messages::Variant& variant : parsed.variants) add(variant.blob);
  return all;
}

// Since when nobody wants the release; none where somebody may, or since this moment.
Result<std::optional<Timestamp>> unwanted_since(Registry& registry, const ReleaseRecord& release,
                                                const Digests& by_boards, Timestamp now) {
  const std::string note = "unwanted " + release.manifest.hex();
  const bool wanted = release.state == ReleaseState::published || by_boards.contains(release.manifest);
  OUTCROP_TRY(text, registry.note(note));
  if (wanted) {
    if (text) OUTCROP_CHECK(registry.remove_note(note));
    return std::optional<Timestamp>();
  }
  if (const auto seconds = text ? read_number<std::int64_t>(*text) : std::nullopt) {
    return std::optional(Timestamp(std::chrono::seconds(*seconds)));
  }
  OUTCROP_CHECK(registry.save_note(note, std::to_string(now.time_since_epoch().count())));
  return std::optional(now);
}

Status prune_blobs(Registry& registry, const BlobStore& blobs, Timestamp now, std::chrono::hours after,
                   Pruned& pruned) {
  OUTCROP_TRY(releases, registry.releases());
  OUTCROP_TRY(by_boards, registry.wanted());
  Digests kept;
  Digests gone;
  for (const ReleaseRecord& release : releases) {
    OUTCROP_TRY(since, unwanted_since(registry, release, by_boards, now));
    // A clock that was set back makes nothing old.
    const bool old = since && now - *since >= after;
    auto its = blobs_of(blobs, release.manifest);
    if (!its && !old) return fail(its.error().context("what a release needs is not known"));
    if (its) (old ? gone : kept).merge(*its);
    if (!old) kept.insert(release.manifest);
  }
  for (const trust::Sha256Digest& digest : gone) {
    if (kept.contains(digest) || !blobs.has(digest)) continue;
    const ByteCount size = blobs.uploaded(digest);
    OUTCROP_CHECK(blobs.remove(digest));
    ++pruned.blobs;
    pruned.bytes = ByteCount(pruned.bytes.value() + size.value());
  }
  return {};
}

}  // namespace

Result<Pruned> prune(Registry& registry, const BlobStore& blobs, Timestamp now,
                     const PruneTimes& times) {
  Pruned pruned;
  OUTCROP_CHECK(registry.transaction(
      [&] { return prune_blobs(registry, blobs, now, times.blobs, pruned); }));
  OUTCROP_TRY(uploads, blobs.remove_uploads(times.uploads));
  pruned.uploads = uploads;
  OUTCROP_TRY(rollouts, registry.rollouts());
  for (const RolloutRecord& rollout : rollouts) {
    if (!rollout.ended || now - *rollout.ended < times.rollouts) continue;
    OUTCROP_TRY(removed, registry.remove(rollout));
    if (removed) ++pruned.rollouts;
  }
  if (pruned.blobs + pruned.uploads + pruned.rollouts > 0) {
    spdlog::info("removed what nobody wants any more: {} blobs ({}), {} unfinished uploads, {} rollouts",
                 pruned.blobs, pruned.bytes.human(), pruned.uploads, pruned.rollouts);
  }
  return pruned;
}

}  // namespace outcrop::fleet
