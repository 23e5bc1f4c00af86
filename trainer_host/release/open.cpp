#include "trainer_host/release/open.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/without_controls.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/trust/freshness.hpp"
#include "trainer_host/release/golden_quality.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view stage_prefix = "stage-";
constexpr std::string_view json_suffix = ".json";

Result<std::string> model_of(const fs::path& metadata) {
  std::error_code error;
  std::vector<std::string> models;
  for (const auto& entry : fs::directory_iterator(metadata, error)) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with(stage_prefix) || !name.ends_with(json_suffix)) continue;
    name = name.substr(stage_prefix.size(), name.size() - stage_prefix.size() - json_suffix.size());
    if (messages::is_name(name)) models.push_back(std::move(name));
  }
  if (models.size() != 1) {
    return fail(ErrorCode::invalid_data,
                metadata.string() + ": holds " + std::to_string(models.size()) +
                    " stage-<model>.json files, but a release has exactly one");
  }
  return models.front();
}

// The one listed manifest that lies in the folder.
Result<trust::PermittedRelease> release_of(const fs::path& folder,
                                           const trust::StageMetadata& stage) {
  std::vector<trust::PermittedRelease> here;
  for (const trust::PermittedRelease& release : stage.releases) {
    std::error_code error;
    if (fs::exists(folder / "blobs" / release.manifest.hex(), error)) here.push_back(release);
  }
  if (here.empty()) {
    return fail(ErrorCode::untrusted, folder.string() + ": none of the " +
                                          std::to_string(stage.releases.size()) +
                                          " manifests that the stage role permits is here");
  }
  if (here.size() > 1) {
    return fail(ErrorCode::invalid_data,
                folder.string() + ": holds the manifests of more than one release");
  }
  return here.front();
}

// Every root in the folder is the next of the one before it: whoever trusts an older one follows them,
// and so does outcropd.
Status check_roots(const fs::path& metadata, const trust::TrustedRoot& newest) {
  std::optional<trust::TrustedRoot> last;
  for (std::uint64_t n = 1; n <= newest->version; ++n) {
    const fs::path file = metadata / root_file_name(n);
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    OUTCROP_TRY(envelope, read_text_file(file, trust::envelope_limit));
    auto root = last ? last->follow(envelope) : trust::TrustedRoot::pin(envelope);
    if (!root) return fail(root.error().context(file.string()));
    if ((*root)->version != n) {
      return fail(ErrorCode::untrusted,
                  file.string() + ": is root " + std::to_string((*root)->version));
    }
    last = std::move(*root);
  }
  return {};
}

Check check_strays(const VerifiedRelease& release) {
  std::set<std::string> expected{"metadata", "blobs", "metadata/targets.json",
                                 "metadata/revoked.json"};
  for (std::uint64_t n = 1; n <= release.root()->version; ++n) {
    expected.insert("metadata/" + root_file_name(n));
  }
  expected.insert("metadata/" + trust::stage_role(release.manifest().model) + ".json");
  expected.insert("blobs/" + release.manifest_digest().hex());
  for (const auto& [what, blob] : blobs_of(release.manifest())) {
    expected.insert("blobs/" + blob.sha256.hex());
    expected.insert("blobs/" + blob.chunk_table.hex());
  }
  std::error_code error;
  for (fs::recursive_directory_iterator entry(release.folder(), error), end;
       !error && entry != end; entry.increment(error)) {
    // Not where a link leads to.
    const std::string name = entry->path().lexically_relative(release.folder()).string();
    // Of a volume, or left by a file manager: nobody reads these, and publishing leaves them out.
    if (name == "lost+found" || entry->path().filename().string().starts_with('.')) {
      entry.disable_recursion_pending();
      continue;
    }
    if (!expected.contains(name)) {
      return {"nothing else in the folder",
              fail(ErrorCode::untrusted, without_controls(name) + " is no part of it")};
    }
    if (entry->is_symlink(error)) {
      return {"nothing else in the folder",
              fail(ErrorCode::untrusted, name + " is a link, and what it leads to no part of it")};
    }
  }
  if (error) return {"nothing else in the folder", fail(ErrorCode::io, error.message())};
  return {"nothing else in the folder", {}};
}

}  // namespace

std::vector<NamedBlob> blobs_of(const messages::Manifest& manifest) {
  std::vector<NamedBlob> blobs{{"golden input", manifest.golden.input},
                               {"golden output", manifest.golden.output}};
  for (const messages::Variant& variant : manifest.variants) {
    blobs.push_back({"variant " + variant.name, variant.blob});
  }
  return blobs;
}

VerifiedRelease::VerifiedRelease(fs::path folder, trust::TrustedRoot root,
                                 trust::Verified<trust::TargetsMetadata> targets,
                                 trust::Verified<trust::RevokedMetadata> revoked,
                                 trust::Verified<trust::StageMetadata> stage,
                                 trust::Sha256Digest manifest_digest, messages::Manifest manifest)
    : folder_(std::move(folder)),
      root_(std::move(root)),
      targets_(std::move(targets)),
      revoked_(std::move(revoked)),
      stage_(std::move(stage)),
      manifest_digest_(manifest_digest),
      manifest_(std::move(manifest)) {}

Result<trust::VerifiedBlob> VerifiedRelease::blob(const messages::BlobReference& reference) const {
  return trust::verify_blob(folder_ / "blobs" / reference.sha256.hex(), reference.sha256,
                            reference.size);
}

Result<std::optional<messages::Quality>> VerifiedRelease::quality() const {
  if (manifest_.minimum_protocol >= messages::signature_since) return manifest_.quality;
  OUTCROP_TRY(golden_output, blob(manifest_.golden.output));
  return quality_in(golden_output.bytes());
}

Status VerifiedRelease::check_chunk_table(const messages::BlobReference& reference) const {
  const fs::path path = folder_ / "blobs" / reference.chunk_table.hex();
  OUTCROP_TRY(bytes,
              trust::verify_blob(path, reference.chunk_table, blob::table_size(reference.size)));
  OUTCROP_TRY(table, blob::decode_chunk_table(bytes, reference.sha256, reference.size));
  OUTCROP_TRY(content, blob(reference));
  if (table != blob::make_chunk_table(content.bytes())) {
    return fail(ErrorCode::untrusted, path.string() + ": lists other chunks than the blob has");
  }
  return {};
}

// Walks the chain once; each step needs the one before.
class ReleaseOpener {
 public:
  ReleaseOpener(const fs::path& folder, Timestamp now, Checks* checks)
      : folder_(folder), now_(now), checks_(checks) {}

  Result<VerifiedRelease> open(const trust::TrustedRoot& trusted, const OpenOptions& options) {
    OUTCROP_TRY(root, root_step(trusted));
    OUTCROP_TRY(targets, role_step<trust::TargetsMetadata>(root, "targets", trust::verify_targets));
    OUTCROP_TRY(revoked, revoked_step(root, options));
    OUTCROP_TRY(stage, stage_step(targets, revoked));
    OUTCROP_TRY(permitted, recorded("listed", release_of(folder_, *stage)));
    OUTCROP_CHECK(recorded("not revoked", trust::check_not_revoked(revoked, permitted.manifest)));
    OUTCROP_TRY(manifest, recorded("manifest", manifest_step(permitted, stage->model)));
    return VerifiedRelease(folder_, std::move(root), std::move(targets), std::move(revoked),
                           std::move(stage), permitted.manifest, std::move(manifest));
  }

 private:
  template <class T>
  Result<T> recorded(const std::string& what, Result<T> result) {
    if (checks_ != nullptr) {
      checks_->push_back({what, result ? Status() : Status(fail(result.error()))});
    }
    return result;
  }

  Result<std::string> envelope(const std::string& name) {
    const fs::path path = folder_ / "metadata" / name;
    auto text = read_text_file(path, trust::envelope_limit);
    if (!text && text.error().code() == ErrorCode::not_found) {
      return fail(ErrorCode::untrusted, path.string() +
                                            " is missing: a release without it is "
                                            "not signed");
    }
    return text;
  }

  Result<trust::TrustedRoot> root_step(const trust::TrustedRoot& trusted) {
    const auto work = [&]() -> Result<trust::TrustedRoot> {
      std::error_code error;
      if (!fs::is_directory(folder_ / "metadata", error)) {
        return fail(ErrorCode::not_found,
                    folder_.string() + " is not a release: it has no metadata folder");
      }
      OUTCROP_TRY(root, follow_roots(trusted, folder_ / "metadata"));
      OUTCROP_CHECK(trust::check_expiry("root", *root, now_));
      return root;
    };
    return recorded("root", work());
  }

  template <class Role, class Verify>
  Result<trust::Verified<Role>> role_step(const trust::TrustedRoot& root, const std::string& name,
                                          const Verify& verify) {
    const auto work = [&]() -> Result<trust::Verified<Role>> {
      OUTCROP_TRY(text, envelope(name + ".json"));
      OUTCROP_TRY(role, verify(root, text));
      OUTCROP_CHECK(trust::check_expiry(name, *role, now_));
      return role;
    };
    return recorded(name, work());
  }

  Result<trust::Verified<trust::RevokedMetadata>> revoked_step(const trust::TrustedRoot& root,
                                                               const OpenOptions& options) {
    OUTCROP_TRY(own, role_step<trust::RevokedMetadata>(root, "revoked", trust::verify_revoked));
    if (options.revoked && (*options.revoked)->version > own->version) return *options.revoked;
    return own;
  }

  Result<trust::Verified<trust::StageMetadata>> stage_step(
      const trust::Verified<trust::TargetsMetadata>& targets,
      const trust::Verified<trust::RevokedMetadata>& revoked) {
    OUTCROP_TRY(model, recorded("model", model_of(folder_ / "metadata")));
    const std::string role = trust::stage_role(model);
    const auto work = [&]() -> Result<trust::Verified<trust::StageMetadata>> {
      OUTCROP_TRY(text, envelope(role + ".json"));
      OUTCROP_TRY(stage, trust::verify_stage(targets, revoked, model, text));
      OUTCROP_CHECK(trust::check_expiry(role, *stage, now_));
      return stage;
    };
    return recorded(role, work());
  }

  Result<messages::Manifest> manifest_step(const trust::PermittedRelease& permitted,
                                           const std::string& model) {
    if (permitted.size > messages::manifest_limit) {
      return fail(ErrorCode::invalid_data, "manifest: has " + permitted.size.human() +
                                               ", more than the " +
                                               messages::manifest_limit.human() + " allowed");
    }
    const fs::path path = folder_ / "blobs" / permitted.manifest.hex();
    OUTCROP_TRY(bytes, trust::verify_blob(path, permitted.manifest, permitted.size));
    OUTCROP_TRY(manifest, messages::parse_manifest(bytes));
    if (manifest.model != model || manifest.stage != permitted.stage ||
        manifest.epoch != permitted.epoch) {
      return fail(ErrorCode::untrusted, "manifest: says model " + manifest.model + ", stage " +
                                            std::to_string(manifest.stage) +
                                            ", but was signed as model " + model + ", stage " +
                                            std::to_string(permitted.stage));
    }
    return manifest;
  }

  const fs::path& folder_;
  Timestamp now_;
  Checks* checks_;
};

Result<VerifiedRelease> open_release(const fs::path& folder, const trust::TrustedRoot& root,
                                     const Clock& clock, const OpenOptions& options,
                                     Checks* checks) {
  ReleaseOpener opener(folder, clock.now(), checks);
  return opener.open(root, options);
}

Checks check_blobs(const VerifiedRelease& release) {
  Checks checks;
  for (const auto& [what, reference] : blobs_of(release.manifest())) {
    auto blob = release.blob(reference);
    checks.push_back({what, blob ? Status() : Status(fail(blob.error()))});
    if (blob) checks.push_back({what + ", chunk table", release.check_chunk_table(reference)});
  }
  checks.push_back({"roots", check_roots(release.folder() / "metadata", release.root())});
  checks.push_back(check_strays(release));
  return checks;
}

}  // namespace outcrop::release
