#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "protocol/base/error.hpp"
#include "runtime/text/words.hpp"
#include "trainer_host/trainer/kinds/text/encoder.hpp"

namespace outcrop::text {

// What files beside an encoder's weights say of it, as Hugging Face's `transformers` writes them.
struct PretrainedConfig {
  // config.json
  std::optional<std::int64_t> layers;
  std::optional<std::int64_t> width;
  std::optional<std::int64_t> heads;
  std::optional<std::int64_t> hidden;
  std::optional<std::int64_t> pieces;
  std::optional<std::int64_t> places;
  std::optional<Activation> activation;
  std::optional<double> epsilon;
  // tokenizer_config.json
  std::optional<Letters> letters;
};

inline constexpr std::int64_t most_pretrained_layers = 1000;
inline constexpr const char* pretrained_config_file = "config.json";
inline constexpr const char* pretrained_tokenizer_file = "tokenizer_config.json";
inline constexpr const char* pretrained_vocabulary_file = "vocab.txt";

// Those of a folder; nothing of a file that is not there. Keys that decide nothing here are passed over. invalid_data names the
// file and the key: a value of another type or out of range. unsupported: of another model than BERT, places that are not
// counted from the text's begin, another activation, letters or ideographs treated in another way than words_of() has.
[[nodiscard]] Result<PretrainedConfig> read_pretrained_config(const std::filesystem::path& folder);

}  // namespace outcrop::text
