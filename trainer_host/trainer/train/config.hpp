#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/mixed_wishes.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::train {

struct LoopConfig {
  std::filesystem::path out;  // checkpoint, training.csv, weights of each stage
  std::int64_t stage_epochs = 20;
  std::int64_t batch = 8;          // samples
  double learning_rate = 2e-3;     // at the peak of a stage's cycle
  double weight_decay = 1e-4;      // AdamW's, per unit of learning rate
  double gradient_clip = 1.0;      // largest Euclidean norm over all gradients
  double average = 0.0;            // decay of the weights' moving average (average.hpp); 0: none
  // Quantization-aware training (quantize/aware_training.hpp).
  struct ForInt8 {
    std::int64_t from = 0;     // the first stage that is trained for int8, and all that follow; 0: none is
    double rate = 0.1;         // their learning rate, times the others'
    double warm_up = 0.1;      // share of such a stage that is trained in float before
    double frozen_from = 0.5;  // share of it from which on the ranges of activations stay as they are
    [[nodiscard]] bool is(std::int64_t stage) const { return from > 0 && stage >= from; }
  } int8;
  std::uint64_t seed = 1;
  std::int64_t threads = 0;  // 0: as many as available_processors()
  std::int64_t keep_stages = 0;  // the newest so many stay on disk (output_folder.hpp); 0: all
};

// What a stage's end needs to sign its release; without the section no release is made.
struct ReleaseConfig {
  std::filesystem::path keys;  // folder made by `outcrop keys init`
  std::chrono::days expiry{90};
  std::optional<std::filesystem::path> policy{};  // what a release may be (release/policy.hpp)
  bool signed_elsewhere = false;  // a stage's end may leave a request for signatures, and no release
  std::string objective;  // what "best" means on a board: p50_ms, p90_ms, memory_mb or error
};

// What a board of a device class may spend on one inference.
struct Budget {
  double p90_ms = 0.0;     // milliseconds
  double memory_mb = 0.0;  // peak memory of the runner, 10^6 bytes
};

// The configuration of `outcrop train`, CONFIG.toml.
struct TrainConfig {
  std::string name;  // of the model: [a-z0-9-], pinned by boards and signing keys
  std::string kind;
  std::shared_ptr<const kinds::Recipe> recipe;
  LoopConfig train;
  // What each stage makes, float first; empty: the usual ones (quantize/method.hpp).
  std::vector<std::string> variants;
  kinds::MixedWishes mixed;  // what int8-mixed keeps to
  std::optional<ReleaseConfig> release;
  std::map<std::string, Budget> budgets;  // by device class

  // What decides the weights, one "key = value" a line; the samples themselves are told apart by
  // their digests (identity.hpp). Threads, places, release and budgets are not part of it.
  [[nodiscard]] std::string fingerprint() const;
};

// Reads and checks a whole file. invalid_argument names file, line, key and what would be right
// for unknown keys, wrong types, values out of range, a kind that there is not, and a missing key
// without default. `settings` ("train.batch=64") go before what files say (platform/config/toml_reader.hpp).
[[nodiscard]] Result<TrainConfig> read_config(const std::filesystem::path& file,
                                              const kinds::Register& kinds,
                                              const std::vector<std::string>& settings = {});

}  // namespace outcrop::train
