#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/generator.hpp"

namespace outcrop::train {

struct ModelConfig {
  std::string name;  // [a-z0-9-], pinned by boards and signing keys
  models::GeneratorShape shape;
};

// Where samples come from. One of the two ways holds samples out for scoring, or neither.
struct DataConfig {
  std::vector<std::filesystem::path> train;         // folders in OpenFWI's layout, in their order
  std::vector<std::filesystem::path> validation{};  // other such folders
  std::int64_t held_out = 0;                        // or so many samples at the end of `train`
};

struct LoopConfig {
  std::filesystem::path out;  // checkpoint, training.csv, weights of each stage
  std::int64_t stage_epochs = 20;
  std::int64_t batch = 8;          // samples
  double learning_rate = 2e-3;     // at the peak of a stage's cycle
  double weight_decay = 1e-4;      // AdamW's, per unit of learning rate
  double gradient_clip = 1.0;      // largest Euclidean norm over the gradients of all three networks
  double edge_weight = 1.0;        // of the error of differences between neighbouring cells
  double seismic_rate = 5.0;       // learning rate of the seismic decoder, times the others'
  double latent_penalty = 0.01;    // on the mean square of the latents, against their drift
  double seismic_in_latent = 0.0;  // share of the seismic loss that reaches the encoder
  bool flip = true;                // mirror half of the samples left to right
  std::uint64_t seed = 1;
  std::int64_t threads = 0;  // 0: as many as available_processors()
};

// What a stage's end needs to sign its release; without the section no release is made.
struct ReleaseConfig {
  std::filesystem::path keys;  // folder made by `outcrop keys init`
  std::chrono::days expiry{90};
  std::optional<std::filesystem::path> policy{};  // what a release may be (release/policy.hpp)
  std::string objective;  // what "best" means on a board: p50_ms, p90_ms, memory_mb or error
};

// What a board of a device class may spend on one inference.
struct Budget {
  double p90_ms = 0.0;     // milliseconds
  double memory_mb = 0.0;  // peak memory of the runner, 10^6 bytes
};

// The configuration of `outcrop train`, CONFIG.toml.
struct TrainConfig {
  ModelConfig model;
  DataConfig data;
  LoopConfig train;
  std::optional<ReleaseConfig> release;
  std::map<std::string, Budget> budgets;  // by device class

  // What decides the weights, one "key = value" a line; the samples themselves are told apart by
  // their digests (identity.hpp). Threads, places, release and budgets are not part of it.
  [[nodiscard]] std::string fingerprint() const;
};

// Reads and checks a whole file. invalid_argument names file, line, key and what would be right
// for unknown keys, wrong types, values out of range and a missing key without default.
[[nodiscard]] Result<TrainConfig> read_config(const std::filesystem::path& file);

}  // namespace outcrop::train
