#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/golden_call.hpp"
#include "protocol/messages/quality.hpp"
#include "protocol/messages/signature.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::messages {

// The manifest of a release, field by field as SCHEMA.md describes it: written by `minimum_protocol`.

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

// The first protocol whose releases have a signature, calls as goldens, and their quality in the
// manifest. Those before are read as if they had (earlier_golden.hpp).
inline constexpr int signature_since = 4;

// Calls and the float model's answers, which every variant must reproduce. The first one is what is
// measured, what budgets judge and what a soak repeats.
struct Golden {
  BlobReference input;
  BlobReference output;
  std::vector<GoldenCall> calls;
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
  std::vector<OutputTolerance> tolerance;  // one for each of Manifest::outputs(), in their order
  bool operator==(const Variant&) const = default;
};

struct Manifest {
  int minimum_protocol = signature_since;
  std::string minimum_agent;  // "0.1.0"
  std::string model;
  std::uint64_t stage = 0;
  std::uint64_t epoch = 0;
  std::optional<trust::Sha256Digest> lineage;  // manifest of the release before
  trust::Sha256Digest data_digest;
  std::string code_version;
  std::map<std::string, std::string> about;  // what the kind of model tells: "latent", where from
  Objective objective = Objective::p90_ms;
  std::vector<Budget> budgets;
  bool host_proof_skipped = false;
  Signature signature;
  Golden golden;
  std::vector<Variant> variants;
  // How good the float model is. Releases of protocol 3 say it in their golden output file.
  std::optional<Quality> quality;
  bool operator==(const Manifest&) const = default;

  // Those that golden calls give, each once, in order: what tolerances and proofs are of.
  [[nodiscard]] std::vector<Output> outputs() const;
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
