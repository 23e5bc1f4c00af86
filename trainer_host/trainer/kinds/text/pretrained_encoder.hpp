#pragma once

#include <torch/script.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/text/words.hpp"
#include "trainer_host/trainer/kinds/text/wanted_encoder.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::text {

// An encoder that was trained elsewhere, as Hugging Face's BertModel names its tensors.
struct PretrainedEncoder {
  EncoderShape shape;
  std::int64_t pieces = 0;         // rows of its embedding
  std::optional<Letters> letters;  // how its texts were written, where a file beside it says so
  models::NamedTensors tensors;    // by the names of make_encoder()
};

// Reads `weights`, safetensors or a state_dict (weights/weights_file.hpp), and what lies beside it (pretrained_config.hpp). Sizes
// are those that the configuration wants; else those that config.json says; else those of the tensors. Heads cannot be read
// from tensors; activation and epsilon are BERT's (gelu, 1e-12) where nothing says another.
//
// Strict: each tensor of such an encoder must be there, of that shape, finite, and no other, but the pooler, heads of what
// BERT was trained by (`cls.`) and numbers of places, which are passed over by their names. All names may begin with "bert.";
// layer norms may be named as TensorFlow did (gamma, beta). Every text is of the first type of the tokens: that row is added
// to those of the places, of which the first `length` are taken.
// invalid_data names the tensor, and what is expected; invalid_argument the key of the configuration that contradicts a file.
[[nodiscard]] Result<PretrainedEncoder> read_pretrained(const std::filesystem::path& weights, const WantedEncoder& wanted);

// Copies it into a network of its shape; what decides classes stays as it is. invalid_data where they do not fit.
[[nodiscard]] Status begin_with(const models::NamedTensors& tensors, const torch::jit::Module& network);

// Of the files that read_pretrained() reads, those that are there.
[[nodiscard]] std::vector<std::filesystem::path> files_of_pretrained(const std::filesystem::path& weights);

}  // namespace outcrop::text
