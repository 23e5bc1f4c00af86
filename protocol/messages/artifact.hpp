#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/quality.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::messages {

// artifact.json: what a stage leaves for signing, beside its variant and golden files
// (SCHEMA.md). A local file; never sent.

inline constexpr std::string_view artifact_file_name = "artifact.json";

// A file of the stage folder by its plain name.
struct FileReference {
  std::string file;
  trust::Sha256Digest sha256;
  ByteCount size;
  bool operator==(const FileReference&) const = default;
};

// Distance of an output from the float model's, in the output's unit.
struct ShownError {
  double mean_abs = 0;
  double max_abs = 0;
  bool operator==(const ShownError&) const = default;
};

// How far off a variant may be in one output, each against the float model.
struct OutputBounds {
  ShownError floor;      // a tolerance is never tighter: other processors round differently
  ShownError cap;        // a variant that would need more is left out
  ShownError agreement;  // the runner and the quantizer may differ by this much
  bool operator==(const OutputBounds&) const = default;
};

struct ArtifactVariant {
  std::string name;
  FileReference file;
  std::string engine;
  std::string backend;
  std::map<std::string, ShownError> shown;  // by output, as the quantizer measured it in process
  bool operator==(const ArtifactVariant&) const = default;
};

struct StageArtifact {
  std::string model;
  std::uint64_t stage = 0;
  std::uint64_t epoch = 0;
  std::optional<trust::Sha256Digest> lineage;  // manifest of the release before
  trust::Sha256Digest data_digest;
  std::string code_version;
  std::map<std::string, std::string> about;  // what the kind of model tells: "latent", where from
  Objective objective = Objective::p90_ms;
  std::vector<Budget> budgets;
  // None in what versions before protocol 4 left: rows of the golden tensors then belong to
  // `golden_method`.
  std::optional<Signature> signature;
  std::vector<GoldenCall> golden_calls;
  std::string golden_method = "decode";  // only without a signature
  // By output: what the kind of model proposes, and a policy may say otherwise. Only with a signature;
  // an output that has none takes shares of its range.
  std::map<std::string, OutputBounds> bounds;
  FileReference golden_input;
  FileReference golden_output;
  std::vector<ArtifactVariant> variants;
  std::optional<Quality> quality;  // none in what versions before protocol 3 left
  bool operator==(const StageArtifact&) const = default;
};

[[nodiscard]] std::string to_json(const StageArtifact& artifact);

// Reads a file of `folder` to fill in its digest and size.
[[nodiscard]] Result<FileReference> reference_file(const std::filesystem::path& folder,
                                                   const std::string& file);

[[nodiscard]] Result<StageArtifact> parse_artifact(std::string_view text);

// Writes and reads artifact.json in a stage folder, crash-safe: write it last.
[[nodiscard]] Status write_artifact(const std::filesystem::path& folder,
                                    const StageArtifact& artifact);
[[nodiscard]] Result<StageArtifact> read_artifact(const std::filesystem::path& folder);

}  // namespace outcrop::messages
