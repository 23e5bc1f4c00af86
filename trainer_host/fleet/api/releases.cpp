#include <algorithm>

#include <spdlog/spdlog.h>

#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/json_reader.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/api/paged.hpp"
#include "trainer_host/fleet/metadata/release_states.hpp"
#include "trainer_host/release/golden_quality.hpp"

namespace outcrop::fleet {
namespace {

using messages::ObjectReader;

constexpr ByteCount release_body_limit = ByteCount::mib(9);
constexpr ByteCount golden_limit = ByteCount::mib(64);
constexpr std::size_t most_envelopes = 1024;
constexpr std::size_t longest_envelope = trust::envelope_limit.value();

std::optional<std::string> envelope_or_none(ObjectReader& reader, const Json& json,
                                            const char* key) {
  if (!json.contains(key) || reader.null(key)) return std::nullopt;
  return reader.lines(key, longest_envelope);
}

// Bytes of one blob and its chunk table, which must both be here.
Result<std::uint64_t> check_blob(const BlobStore& blobs, const messages::BlobReference& blob,
                                 const std::string& what) {
  const ByteCount table = blob::table_size(blob.size);
  const auto has = [&](const trust::Sha256Digest& digest, ByteCount size) {
    return blobs.has(digest) && blobs.uploaded(digest) == size;
  };
  if (!has(blob.sha256, blob.size)) {
    return fail(ErrorCode::not_found,
                what + ": blob " + blob.sha256.hex() + " of " + blob.size.human() + " is not here");
  }
  if (!has(blob.chunk_table, table)) {
    return fail(ErrorCode::not_found,
                what + ": chunk table " + blob.chunk_table.hex() + " is not here");
  }
  return blob.size.value() + table.value();
}

Result<ByteCount> check_blobs(const BlobStore& blobs, const messages::Manifest& manifest,
                              ByteCount manifest_size) {
  std::uint64_t total = manifest_size.value();
  OUTCROP_TRY(input, check_blob(blobs, manifest.golden.input, "golden input"));
  OUTCROP_TRY(output, check_blob(blobs, manifest.golden.output, "golden output"));
  total += input + output;
  for (const messages::Variant& variant : manifest.variants) {
    OUTCROP_TRY(bytes, check_blob(blobs, variant.blob, "variant " + variant.name));
    total += bytes;
  }
  return ByteCount(total);
}

// How good a release says it is, for ReleaseRecord. Before protocol 4 the golden outputs tell it, and
// all of them are read and hashed: for a worker.
Result<std::string> quality_told(const BlobStore& blobs, const messages::Manifest& manifest) {
  if (manifest.minimum_protocol >= messages::signature_since) {
    return manifest.quality ? messages::to_json(*manifest.quality) : std::string();
  }
  OUTCROP_TRY(bytes, blobs.read(manifest.golden.output.sha256, golden_limit));
  const auto quality = release::quality_in(bytes);
  // No tensor file, or a quality that means nothing here: boards judge the file, and so it is told.
  if (!quality || !*quality) return std::string();
  return messages::to_json(**quality);
}

// The stage role's word that this release may be installed.
Result<std::pair<std::string, trust::PermittedRelease>> find_permitted(
    const RoleSet& roles, const trust::Sha256Digest& manifest) {
  if (roles.revoked()) OUTCROP_CHECK(trust::check_not_revoked(*roles.revoked(), manifest));
  for (const auto& [model, stage] : roles.stages()) {
    if (const auto* release = stage->release(manifest)) return std::pair(model, *release);
  }
  return fail(ErrorCode::untrusted,
              "no stage role that holds here lists the manifest " + manifest.short_hex());
}

}  // namespace

Status Api::take(const MetadataSubmission& submission) {
  OUTCROP_TRY(changed, parts_.keeper.accept(submission));
  parts_.publish(changed);
  return update_release_states(parts_.registry, parts_.keeper.roles());
}

void Api::look_at_older_releases() {
  const auto all = parts_.registry.releases();
  if (!all) return;
  for (ReleaseRecord release : *all) {
    if (release.quality) continue;
    const auto manifest = parts_.driver.manifest(release.manifest);
    if (!manifest) continue;
    auto quality = quality_told(parts_.blobs, **manifest);
    if (!quality) continue;  // it shows none; a damaged blob is named by the scrub
    release.quality = std::move(*quality);
    if (const Status saved = parts_.registry.save(release); !saved) {
      spdlog::warn("release {}: {}", release.manifest.short_hex(), saved.error().message());
    }
  }
}

Result<http::Response> Api::releases(const http::Request& request) {
  OUTCROP_TRY(all, parts_.reader.releases());
  if (const auto model = request.query.find("model"); model != request.query.end()) {
    std::erase_if(all, [&](const ReleaseRecord& one) { return one.model != model->second; });
  }
  OUTCROP_TRY(page, page_of(std::move(all), request, [](const ReleaseRecord& one) { return one.manifest.hex(); }));
  Json json = Json::array();
  for (const ReleaseRecord& release : page.rows) {
    json.push_back(to_json(release));
  }
  return respond({{"releases", std::move(json)}, {"after", page.after.empty() ? Json(nullptr) : Json(page.after)}});
}

Result<http::Response> Api::release(const std::string& manifest) {
  OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(manifest));
  OUTCROP_TRY(found, parts_.reader.release(digest));
  if (!found) return fail(ErrorCode::not_found, "no release has the manifest " + manifest);
  OUTCROP_TRY(bytes, parts_.blobs.read(digest, messages::manifest_limit));
  Json json = to_json(*found);
  json["document"] = Json::parse(as_text(bytes), nullptr, false);
  return respond(json);
}

boost::asio::awaitable<http::Response> Api::publish_release(std::string body,
                                                            std::optional<Repeatable> repeatable) {
  MetadataSubmission submission;
  auto release = check_release(body, submission);
  if (!release) co_return http::error_response(release.error());
  const auto described = parts_.driver.manifest(release->manifest);
  if (!described) co_return http::error_response(described.error());
  std::function<Result<std::string>()> work = [blobs = parts_.blobs, manifest = **described] {
    return quality_told(blobs, manifest);
  };
  auto quality = co_await on_worker<Result<std::string>>(parts_.worker, std::move(work));
  if (!quality) co_return http::error_response(quality.error().context("golden output"));
  release->quality = std::move(*quality);
  auto added = in_one_commit(repeatable, [&] { return add_release(*release, submission); });
  co_return added ? std::move(*added) : http::error_response(added.error());
}

Result<ReleaseRecord> Api::check_release(const std::string& body, MetadataSubmission& submission) {
  OUTCROP_TRY(json, messages::parse_object(body, release_body_limit, "release"));
  ObjectReader reader(json, "release");
  submission.roots = reader.texts("roots", most_envelopes, longest_envelope);
  submission.targets = reader.lines("targets", longest_envelope);
  submission.revoked = reader.lines("revoked", longest_envelope);
  submission.stages = {reader.lines("stage", longest_envelope)};
  const trust::Sha256Digest manifest = reader.digest("manifest");
  reader.done();
  OUTCROP_CHECK(reader.status());

  OUTCROP_TRY(roles, parts_.keeper.preview(submission));
  OUTCROP_TRY(permitted, find_permitted(roles, manifest));
  OUTCROP_TRY(described, parts_.driver.manifest(manifest));
  if (described->model != permitted.first) {
    return fail(ErrorCode::untrusted, "the manifest is of the model " + described->model +
                                          ", the stage role of " + permitted.first);
  }
  OUTCROP_TRY(total, check_blobs(parts_.blobs, *described, permitted.second.size));
  OUTCROP_TRY(before, parts_.registry.release(manifest));
  ReleaseRecord release;
  release.manifest = manifest;
  release.manifest_size = permitted.second.size;
  release.model = described->model;
  release.stage = described->stage;
  release.epoch = described->epoch;
  release.published = before ? before->published : parts_.clock.now();
  release.total = total;
  return release;
}

// The metadata are judged again by what holds now: others may have come while the worker read.
Result<http::Response> Api::add_release(const ReleaseRecord& release,
                                        const MetadataSubmission& submission) {
  OUTCROP_TRY(roles, parts_.keeper.preview(submission));
  if (const auto still = find_permitted(roles, release.manifest); !still) {
    return fail(still.error());
  }
  OUTCROP_CHECK(parts_.registry.save(release));
  OUTCROP_CHECK(take(submission));
  parts_.driver.tick();
  return respond(to_json(release), 201);
}

Result<http::Response> Api::add_metadata(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, release_body_limit, "metadata"));
  ObjectReader reader(json, "metadata");
  MetadataSubmission submission;
  if (json.contains("roots")) {
    submission.roots = reader.texts("roots", most_envelopes, longest_envelope);
  }
  submission.targets = envelope_or_none(reader, json, "targets");
  submission.revoked = envelope_or_none(reader, json, "revoked");
  if (json.contains("stages")) {
    submission.stages = reader.texts("stages", most_envelopes, longest_envelope);
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_CHECK(take(submission));
  parts_.driver.tick();
  Json versions(parts_.keeper.roles().versions());
  versions["root"] = parts_.keeper.roles().root()->version;
  return respond({{"versions", std::move(versions)},
                  {"snapshot_version", parts_.keeper.snapshot_version()},
                  {"left_aside", parts_.keeper.roles().left_aside(submission)},
                  {"problem", parts_.keeper.problem()}});
}

}  // namespace outcrop::fleet
