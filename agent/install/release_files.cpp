#include "agent/install/release_files.hpp"

#include <algorithm>
#include <optional>

#include "protocol/base/durable_file.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view of_a_root = ".root";

// "3.root" is the role "root/3".
std::string role_of(const fs::path& file) {
  const std::string name = file.stem().string();
  if (!name.ends_with(of_a_root)) return name;
  return "root/" + name.substr(0, name.size() - of_a_root.size());
}

// What file managers leave beside is none.
bool is_document(const fs::path& file) {
  return file.extension() == ".json" && !file.filename().string().starts_with('.');
}

Result<std::vector<fs::path>> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    files.push_back(entry->path());
  }
  if (error) {
    return fail(ErrorCode::not_found, folder.string() + ": " + error.message() +
                                          "; a release folder has metadata/ and blobs/");
  }
  return files;
}

std::optional<messages::Manifest> manifest_in(const fs::path& file, const trust::Sha256Digest& digest) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (error || size > messages::manifest_limit.value()) return std::nullopt;
  const auto bytes = trust::verify_blob(file, digest, ByteCount(size));
  if (!bytes) return std::nullopt;
  auto manifest = messages::parse_manifest(*bytes);
  return manifest ? std::optional(std::move(*manifest)) : std::nullopt;
}

Status add(ReleaseFiles& files, const trust::Sha256Digest& digest, ByteCount size) {
  const auto is_same = [&](const ReleaseFiles::Blob& blob) { return blob.digest == digest; };
  if (std::any_of(files.blobs.begin(), files.blobs.end(), is_same)) return {};
  std::error_code error;
  const std::uintmax_t there = fs::file_size(files.file(digest), error);
  if (error || there != size.value()) {
    return fail(ErrorCode::not_found, files.file(digest).string() + " is missing or cut short: " + std::to_string(size.value()) +
                                          " bytes belong there; copy the release anew");
  }
  files.blobs.push_back({digest, size});
  return {};
}

Status add_all(ReleaseFiles& files, const messages::Manifest& manifest) {
  std::vector<messages::BlobReference> references{manifest.golden.input, manifest.golden.output};
  for (const messages::Variant& variant : manifest.variants) references.push_back(variant.blob);
  for (const messages::BlobReference& reference : references) {
    OUTCROP_CHECK(add(files, reference.chunk_table, blob::table_size(reference.size)));
    OUTCROP_CHECK(add(files, reference.sha256, reference.size));
  }
  return {};
}

}  // namespace

Result<ReleaseFiles> find_release_files(const fs::path& folder) {
  ReleaseFiles files;
  files.folder = folder;
  OUTCROP_TRY(documents, files_in(folder / "metadata"));
  for (const fs::path& file : documents) {
    if (!is_document(file)) continue;
    OUTCROP_TRY(envelope, read_text_file(file, trust::envelope_limit));
    files.metadata[role_of(file)] = std::move(envelope);
  }
  OUTCROP_TRY(blobs, files_in(folder / "blobs"));
  std::optional<messages::Manifest> manifest;
  for (const fs::path& file : blobs) {
    const auto digest = trust::Sha256Digest::from_hex(file.filename().string());
    if (!digest) continue;
    auto found = manifest_in(file, *digest);
    if (!found) continue;
    if (manifest) return fail(ErrorCode::invalid_data, folder.string() + " holds the manifests of two releases; one belongs there");
    manifest = std::move(found);
    files.manifest = *digest;
  }
  if (!manifest) {
    return fail(ErrorCode::invalid_data, folder.string() + " holds no manifest that this agent can read; is it a whole release?");
  }
  std::error_code error;
  OUTCROP_CHECK(add(files, files.manifest, ByteCount(fs::file_size(files.file(files.manifest), error))));
  OUTCROP_CHECK(add_all(files, *manifest));
  return files;
}

}  // namespace outcrop::agent
