#include "trainer_host/release/create.hpp"

#include <algorithm>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/vacant_folder.hpp"
#include "protocol/base/version.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/new_file.hpp"
#include "trainer_host/release/open.hpp"
#include "trainer_host/release/quality.hpp"
#include "trainer_host/release/stage_inputs.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

// The variant whose outputs are the golden ones: nothing can be judged without it.
constexpr std::string_view reference_variant = "float";

// What one variant came to: its part of the manifest, or why it has none.
using Proved = tl::expected<messages::Variant, LeftOut>;

// Failures that are the variant's own, and come again whenever it is tried again.
bool is_its_own(ErrorCode code) {
  return code == ErrorCode::refused || code == ErrorCode::crashed ||
         code == ErrorCode::unsupported || code == ErrorCode::invalid_data;
}

Result<Proved> leave_out(const std::string& variant, const Error& error) {
  if (variant == reference_variant || !is_its_own(error.code())) return fail(error);
  return Proved(tl::unexpected<LeftOut>(LeftOut{variant, error.message()}));
}

// Loads one variant on this host and writes down what it is and how far off it may be.
Result<Proved> prove_variant(const CreateRequest& request, const StageInputs& inputs,
                             const std::vector<messages::Output>& outputs, std::size_t index,
                             const HostProver& prover) {
  const messages::ArtifactVariant& variant = inputs.artifact.variants[index];
  const trust::VerifiedBlob& blob = inputs.variants[index];
  auto proof = prover({blob, variant.name, variant.engine, variant.backend,
                       inputs.artifact.signature ? &*inputs.artifact.signature : nullptr,
                       inputs.proofs, !request.skip_host_proof});
  if (!proof) return leave_out(variant.name, proof.error().context("variant " + variant.name));
  messages::Variant described;
  described.name = variant.name;
  described.blob = reference(blob);
  described.engine = variant.engine;
  described.backend = variant.backend;
  described.operators = std::move(proof->operators);
  described.methods = std::move(proof->methods);
  described.memory = proof->memory;
  const ShownErrors& recorded = variant.shown;
  if (!request.skip_host_proof) {
    OUTCROP_CHECK(check_agreement(request.policy, variant.name, recorded, proof->shown));
  }
  auto tolerance = make_tolerances(request.policy, variant.name, outputs,
                                   request.skip_host_proof ? recorded : proof->shown);
  if (!tolerance) return leave_out(variant.name, tolerance.error());
  described.tolerance = std::move(*tolerance);
  return Proved(std::move(described));
}

Status check_some_passed(const messages::Manifest& manifest, const std::vector<LeftOut>& left_out) {
  if (!manifest.variants.empty()) return {};
  std::string reasons;
  for (const LeftOut& one : left_out) reasons += (reasons.empty() ? "" : "; ") + one.reason;
  return fail(ErrorCode::refused, "no variant passes: " + reasons);
}

// `left_out` receives what the manifest goes without.
Result<messages::Manifest> make_manifest(const CreateRequest& request, const StageInputs& inputs,
                                         const HostProver& prover, const CreateProgress& progress,
                                         std::vector<LeftOut>& left_out) {
  const messages::StageArtifact& artifact = inputs.artifact;
  messages::Manifest manifest;
  manifest.minimum_agent = std::string(version());
  manifest.model = artifact.model;
  manifest.stage = artifact.stage;
  manifest.epoch = artifact.epoch;
  manifest.lineage = artifact.lineage;
  manifest.data_digest = artifact.data_digest;
  manifest.code_version = artifact.code_version;
  manifest.about = artifact.about;
  manifest.objective = artifact.objective;
  manifest.budgets = artifact.budgets;
  manifest.host_proof_skipped = request.skip_host_proof;
  describe_goldens(inputs, request.policy, manifest);
  const std::vector<messages::Output> outputs = manifest.outputs();
  for (std::size_t i = 0; i < artifact.variants.size(); ++i) {
    progress(i, artifact.variants.size() + 1, artifact.variants[i].name);
    OUTCROP_TRY(variant, prove_variant(request, inputs, outputs, i, prover));
    if (variant) {
      manifest.variants.push_back(std::move(*variant));
    } else {
      left_out.push_back(std::move(variant.error()));
    }
  }
  OUTCROP_CHECK(check_some_passed(manifest, left_out));
  progress(artifact.variants.size(), artifact.variants.size() + 1, "signing");
  return manifest;
}

// Why an earlier call left variants out: what was recorded tells, where a runner's word did not.
std::vector<LeftOut> left_out_before(const CreateRequest& request, const StageInputs& inputs,
                                     const messages::Manifest& manifest) {
  std::vector<LeftOut> left_out;
  for (const messages::ArtifactVariant& variant : inputs.artifact.variants) {
    if (manifest.variant(variant.name) != nullptr) continue;
    const auto tolerance =
        make_tolerances(request.policy, variant.name, manifest.outputs(), variant.shown);
    left_out.push_back({variant.name, tolerance ? "variant " + variant.name +
                                                      ": it did not run when the release was made"
                                                : tolerance.error().message()});
  }
  return left_out;
}

// The manifest's exact bytes, and what it goes without.
struct MadeManifest {
  trust::VerifiedBlob bytes;
  messages::Manifest manifest;
  std::vector<LeftOut> left_out;
};

// Those of an earlier call that was cut off, or new ones. They are written down before anything is
// signed.
Result<MadeManifest> manifest_bytes(const CreateRequest& request, const StageInputs& inputs,
                                    StageStore& store, const HostProver& prover,
                                    const CreateProgress& progress) {
  const trust::Sha256Digest inputs_identity =
      identity(inputs, request.policy, request.skip_host_proof);
  OUTCROP_TRY(made, store.made(inputs_identity));
  if (made) {
    OUTCROP_TRY(blob, trust::verify_bytes(as_bytes(*made), trust::sha256(*made)));
    OUTCROP_TRY(manifest, messages::parse_manifest(blob));
    std::vector<LeftOut> left_out = left_out_before(request, inputs, manifest);
    return MadeManifest{std::move(blob), std::move(manifest), std::move(left_out)};
  }
  OUTCROP_CHECK(check_quality(request.policy, inputs.artifact));
  OUTCROP_CHECK(store.nothing_waits());  // before the proofs, which take long
  std::vector<LeftOut> left_out;
  OUTCROP_TRY(manifest, make_manifest(request, inputs, prover, progress, left_out));
  const std::string text = to_json(manifest);
  if (text.size() > messages::manifest_limit.value()) {
    return fail(ErrorCode::refused, "the manifest would have " + ByteCount(text.size()).human() +
                                        ", more than the " + messages::manifest_limit.human() +
                                        " allowed");
  }
  OUTCROP_TRY(blob, trust::verify_bytes(as_bytes(text), trust::sha256(text)));
  // Reading what was written finds here what a board would refuse.
  OUTCROP_TRY(parsed, messages::parse_manifest(blob));
  if (parsed != manifest) return fail(ErrorCode::internal, "a manifest does not read as written");
  OUTCROP_CHECK(store.remember(inputs_identity, text));
  return MadeManifest{std::move(blob), std::move(manifest), std::move(left_out)};
}

// Two variants may share a blob or a table: a name says what the content is.
Status write_blob(const fs::path& blobs, BytesView bytes, const trust::Sha256Digest& digest) {
  const Status status = write_new_file(blobs / digest.hex(), bytes);
  if (!status && status.error().code() == ErrorCode::already_exists) return {};
  return status;
}

Status write_blob_with_table(const fs::path& blobs, const trust::VerifiedBlob& blob) {
  OUTCROP_CHECK(write_blob(blobs, blob.bytes(), blob.digest()));
  const Bytes table = blob::encode(blob::make_chunk_table(blob.bytes()));
  return write_blob(blobs, table, trust::sha256(table));
}

Status copy_envelope(const fs::path& from, const fs::path& to) {
  OUTCROP_TRY(text, read_text_file(from, trust::envelope_limit));
  return write_new_file(to, text);
}

Status write_blobs(const fs::path& staged, const StageInputs& inputs, const MadeManifest& made) {
  const fs::path blobs = staged / "blobs";
  OUTCROP_CHECK(make_folder(blobs, 0755));
  for (std::size_t i = 0; i < inputs.variants.size(); ++i) {
    if (made.manifest.variant(inputs.artifact.variants[i].name) == nullptr) continue;
    OUTCROP_CHECK(write_blob_with_table(blobs, inputs.variants[i]));
  }
  OUTCROP_CHECK(write_blob_with_table(blobs, inputs.golden_input));
  OUTCROP_CHECK(write_blob_with_table(blobs, inputs.golden_output));
  return write_blob(blobs, made.bytes.bytes(), made.bytes.digest());
}

Status write_metadata(const fs::path& staged, const CreateRequest& request,
                      const KeyStoreTrust& trust, const std::string& model,
                      const std::string& stage_envelope) {
  const fs::path metadata = staged / "metadata";
  OUTCROP_CHECK(make_folder(metadata, 0755));
  const fs::path source = KeyStorePaths(request.keys_folder).metadata();
  for (std::uint64_t n = 1; n <= trust.root->version; ++n) {
    OUTCROP_CHECK(copy_envelope(source / root_file_name(n), metadata / root_file_name(n)));
  }
  OUTCROP_CHECK(write_new_file(metadata / "targets.json", trust.targets.envelope()));
  OUTCROP_CHECK(write_new_file(metadata / "revoked.json", trust.revoked.envelope()));
  return write_new_file(metadata / (trust::stage_role(model) + ".json"), stage_envelope);
}

// Whether `out` is this release already: complete and good. Anything else there is refused.
// Without a manifest, before there is one: whether it can be.
Status recognise(const CreateRequest& request, const KeyStoreTrust& trust, const Clock& clock,
                 const std::optional<trust::Sha256Digest>& manifest) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::already_exists, request.out.string() + " exists already and " + why +
                                               "; name another folder or remove this one");
  };
  auto release = open_release(request.out, trust.root, clock, {trust.revoked});
  if (!release) return refuse("is not a good release: " + release.error().message());
  if (!manifest) return {};
  if (release->manifest_digest() != *manifest) {
    return refuse("holds another release (manifest " + release->manifest_digest().short_hex() +
                  "…)");
  }
  for (const Check& check : check_blobs(*release)) {
    if (!check.status) return refuse("is damaged: " + check.status.error().message());
  }
  return {};
}

fs::path staged_folder(const fs::path& out) {
  const fs::path place = out.has_filename() ? out : out.parent_path();
  fs::path name(".");
  name += place.filename();
  name += ".making";
  return filling_place(out, place.parent_path() / name);
}

// Signs and assembles under another name, then publishes. What a killed call left is removed
// first: the stage store's lock is held, so nobody else is at work for this model.
Status assemble(const CreateRequest& request, const StageInputs& inputs, StageStore& store,
                const KeyStoreTrust& trust, const Clock& clock, const MadeManifest& made) {
  const messages::StageArtifact& artifact = inputs.artifact;
  const fs::path staged = staged_folder(request.out);
  std::error_code error;
  fs::remove_all(staged, error);
  // As `mkdir -p` would: "releases/stage1" is asked for before there is a "releases".
  if (staged.has_parent_path()) fs::create_directories(staged.parent_path(), error);
  const auto work = [&]() -> Status {
    OUTCROP_CHECK(make_folder(staged, 0755));
    // Blobs before the signature: a full disk is met before anything is permitted.
    OUTCROP_CHECK(write_blobs(staged, inputs, made));
    const trust::PermittedRelease permitted{made.bytes.digest(), made.bytes.size(), artifact.stage,
                                            artifact.epoch};
    OUTCROP_TRY(envelope, store.permit(permitted, request.policy.expires, clock.now(), trust));
    OUTCROP_CHECK(write_metadata(staged, request, trust, artifact.model, envelope));
    return publish_folder(staged, request.out);
  };
  Status status = work();
  if (!status) fs::remove_all(staged, error);
  return status;
}

// Releases of this very stage that were signed before: the same again in another folder is
// harmless, another manifest is a second release beside the first.
Result<std::vector<std::string>> notices_of(const CreateRequest& request, const StageInputs& inputs,
                                            const StageStore& store, const KeyStoreTrust& trust,
                                            const trust::Sha256Digest& manifest) {
  std::vector<std::string> notices;
  OUTCROP_TRY(list, store.signed_list(trust));
  if (!list) return notices;
  const messages::StageArtifact& artifact = inputs.artifact;
  std::error_code error;
  const std::string out = fs::absolute(request.out, error).lexically_normal().string();
  for (const trust::PermittedRelease& signed_before : list->metadata->releases) {
    if (signed_before.stage != artifact.stage || signed_before.epoch != artifact.epoch) continue;
    const std::string folder = store.made_in(signed_before.manifest);
    const bool same = signed_before.manifest == manifest;
    if (same && (folder == out || folder.empty())) continue;
    notices.push_back("stage " + std::to_string(artifact.stage) + " of '" + artifact.model +
                      "' was signed before: manifest " + signed_before.manifest.short_hex() +
                      (folder.empty() ? "" : " in " + folder) +
                      (same ? "; this is the same release in another folder"
                            : "; this is a second release of it, and both are permitted until one "
                              "is withdrawn"));
  }
  return notices;
}

}  // namespace

Result<CreatedRelease> create_release(const CreateRequest& asked, const HostProver& prover,
                                      const Clock& clock, const CreateProgress& progress) {
  CreateRequest request = asked;
  const CreateProgress report =
      progress ? progress : [](std::size_t, std::size_t, const std::string&) {};
  OUTCROP_TRY(trust, read_key_store(request.keys_folder));
  OUTCROP_CHECK(check_fresh(trust, clock.now()));
  OUTCROP_TRY(inputs, read_stage_inputs(request.artifact_folder));
  OUTCROP_TRY(policy, policy_for(inputs.artifact, std::move(request.policy)));
  request.policy = std::move(policy);
  OUTCROP_TRY(store, StageStore::open(request.keys_folder, inputs.artifact.model, trust));
  const bool existed = !is_vacant(request.out);
  if (existed) OUTCROP_CHECK(recognise(request, trust, clock, std::nullopt));
  OUTCROP_TRY(made, manifest_bytes(request, inputs, store, prover, report));
  const trust::Sha256Digest& digest = made.bytes.digest();
  OUTCROP_TRY(notices, notices_of(request, inputs, store, trust, digest));
  if (existed) {
    OUTCROP_CHECK(recognise(request, trust, clock, digest));
  } else {
    OUTCROP_CHECK(assemble(request, inputs, store, trust, clock, made));
  }
  OUTCROP_CHECK(store.remember_folder(digest, request.out));
  const std::size_t steps = inputs.artifact.variants.size() + 1;
  report(steps, steps, "");
  return CreatedRelease{digest,
                        std::move(made.manifest),
                        std::move(inputs.artifact.quality),
                        std::move(made.left_out),
                        existed,
                        std::move(notices)};
}

}  // namespace outcrop::release
