#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::messages {

// The manifest of a release, field by field as SCHEMA.md describes it.

inline constexpr ByteCount manifest_limit = ByteCount::kib(256);

struct BlobReference {
  trust::Sha256Digest sha256;
  ByteCount size;
  trust::Sha256Digest chunk_table;
  bool operator==(const BlobReference&) const = default;
};

// By what the best variant is chosen among those within the budget: the least of it wins.
enum class Objective { p50_ms, p90_ms, memory_mb, error };
[[nodiscard]] std::string_view to_string(Objective objective);
[[nodiscard]] Result<Objective> objective_from(std::string_view text);

// What a class of boards may spend on one inference.
struct Budget {
  std::string device_class;
  double p90_ms = 0;
  double memory_mb = 0;
  bool operator==(const Budget&) const = default;
};

// A tensor of the golden files, without its first dimension (the latents).
struct TensorSchema {
  std::string name;
  std::string dtype;  // "float32", "int64"
  std::vector<std::int64_t> shape;
  std::string unit;  // of outputs: "m/s"; empty for inputs
  bool operator==(const TensorSchema&) const = default;
};

// Inputs and the float model's outputs that every variant must reproduce.
struct Golden {
  std::string method;
  BlobReference input;
  BlobReference output;
  std::uint64_t latents = 0;
  std::vector<TensorSchema> inputs;   // arguments of the method in order
  std::vector<TensorSchema> outputs;  // in the order of the method's results
  bool operator==(const Golden&) const = default;
};

// How far an output may be from the golden one, in the output's own unit, inclusive.
struct OutputTolerance {
  std::string output;
  double mean_abs = 0;
  double max_abs = 0;
  bool operator==(const OutputTolerance&) const = default;
};

struct Variant {
  std::string name;
  BlobReference blob;
  std::string engine;
  std::string backend;
  std::vector<std::string> operators;          // sorted, no two alike
  std::map<std::string, std::string> methods;  // method -> schema as the runner shows it
  ByteCount memory;
  std::vector<OutputTolerance> tolerance;  // one for each golden output, in their order
  bool operator==(const Variant&) const = default;
};

struct Manifest {
  int minimum_protocol = 1;
  std::string minimum_agent;  // "0.1.0"
  std::string model;
  std::uint64_t stage = 0;
  std::uint64_t epoch = 0;
  std::optional<trust::Sha256Digest> lineage;  // manifest of the release before
  trust::Sha256Digest data_digest;
  std::string code_version;
  std::string latent;
  Objective objective = Objective::p90_ms;
  std::vector<Budget> budgets;
  bool host_proof_skipped = false;
  Golden golden;
  std::vector<Variant> variants;
  bool operator==(const Manifest&) const = default;

  // Null where the manifest has no variant of that name.
  [[nodiscard]] const Variant* variant(std::string_view name) const;
};

// The exact bytes to be signed; the same manifest gives the same bytes.
[[nodiscard]] std::string to_json(const Manifest& manifest);

// Parses verified bytes only. Errors: unsupported where it is too new (protocol, agent), else
// invalid_data with the path of what is wrong.
[[nodiscard]] Result<Manifest> parse_manifest(const trust::VerifiedBlob& blob);

// "0.1.0" as three numbers to compare; invalid_data for anything else.
[[nodiscard]] Result<std::vector<std::uint64_t>> parse_version(std::string_view text);

}  // namespace outcrop::messages
