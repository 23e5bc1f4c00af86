#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::agent {

// A release folder (SCHEMA.md), as somebody who carries it sees it: what is in it, and that nothing is missing. Whether it is good is for
// the agent to say.
struct ReleaseFiles {
  std::filesystem::path folder;
  std::map<std::string, std::string> metadata;  // by role: "root/1", "targets", "timestamp"
  trust::Sha256Digest manifest;
  struct Blob {
    trust::Sha256Digest digest;
    ByteCount size;
  };
  std::vector<Blob> blobs;  // the manifest, and all that it names
  [[nodiscard]] std::filesystem::path file(const trust::Sha256Digest& digest) const {
    return folder / "blobs" / digest.hex();
  }
};

// Errors: not_found where it is no release folder or a file is missing or cut short, invalid_data where it holds another number of
// manifests than one.
[[nodiscard]] Result<ReleaseFiles> find_release_files(const std::filesystem::path& folder);

}  // namespace outcrop::agent
