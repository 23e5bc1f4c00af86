#pragma once

#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::text {

// A BERT of drawn weights by Hugging Face's names, small enough for a test; and what such a one answers, written down from
// the paper (Devlin et al. 2019, section 3; Vaswani et al. 2017) by plain operators.
struct SmallBert {
  static constexpr std::int64_t layers = 2, width = 8, heads = 2, hidden = 12, pieces = 7, places = 20;
  std::map<std::string, torch::Tensor> tensors;

  explicit SmallBert(std::uint64_t seed) {
    torch::manual_seed(seed);
    const auto draw = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
      tensors[name + ".weight"] = torch::randn(shape);
      if (!name.ends_with("embeddings")) tensors[name + ".bias"] = torch::randn({shape.front()});
    };
    draw("embeddings.word_embeddings", {pieces, width});
    draw("embeddings.position_embeddings", {places, width});
    draw("embeddings.token_type_embeddings", {2, width});
    draw("embeddings.LayerNorm", {width});
    for (int layer = 0; layer < layers; ++layer) {
      const std::string name = "encoder.layer." + std::to_string(layer) + ".";
      for (const char* projection : {"query", "key", "value"}) draw(name + "attention.self." + projection, {width, width});
      draw(name + "attention.output.dense", {width, width});
      draw(name + "attention.output.LayerNorm", {width});
      draw(name + "intermediate.dense", {hidden, width});
      draw(name + "output.dense", {width, hidden});
      draw(name + "output.LayerNorm", {width});
    }
    draw("pooler.dense", {width, width});
    tensors["embeddings.position_ids"] = torch::arange(places).unsqueeze(0);
  }

  [[nodiscard]] torch::Tensor linear(const torch::Tensor& x, const std::string& name) const {
    return torch::matmul(x, tensors.at(name + ".weight").t()) + tensors.at(name + ".bias");
  }
  [[nodiscard]] torch::Tensor norm(const torch::Tensor& x, const std::string& name) const {
    const auto centred = x - x.mean(-1, true);
    const auto deviation = (centred.pow(2).mean(-1, true) + 1e-12).sqrt();
    return centred / deviation * tensors.at(name + ".weight") + tensors.at(name + ".bias");
  }
  [[nodiscard]] torch::Tensor attention(const torch::Tensor& x, const std::string& name) const {
    std::vector<torch::Tensor> seen;
    for (std::int64_t head = 0; head < heads; ++head) {
      const auto of_head = [&](const char* projection) {
        return linear(x, name + "self." + projection).slice(-1, head * width / heads, (head + 1) * width / heads);
      };
      const auto likeness = torch::matmul(of_head("query"), of_head("key").t()) / std::sqrt(static_cast<double>(width / heads));
      seen.push_back(torch::matmul(torch::softmax(likeness, -1), of_head("value")));
    }
    return norm(x + linear(torch::cat(seen, -1), name + "output.dense"), name + "output.LayerNorm");
  }
  // Of the ids of one text without filling: [pieces of it, width].
  [[nodiscard]] torch::Tensor answer(const torch::Tensor& ids) const {
    torch::Tensor x = norm(tensors.at("embeddings.word_embeddings.weight").index_select(0, ids) +
                               tensors.at("embeddings.position_embeddings.weight").slice(0, 0, ids.size(0)) +
                               tensors.at("embeddings.token_type_embeddings.weight").select(0, 0),
                           "embeddings.LayerNorm");
    for (int layer = 0; layer < layers; ++layer) {
      const std::string name = "encoder.layer." + std::to_string(layer) + ".";
      x = attention(x, name + "attention.");
      const auto wide = linear(x, name + "intermediate.dense");
      const auto gelu = wide * 0.5 * (1.0 + torch::erf(wide / std::sqrt(2.0)));
      x = norm(x + linear(gelu, name + "output.dense"), name + "output.LayerNorm");
    }
    return x;
  }

  // As `transformers` saves it.
  void save(const std::filesystem::path& folder) const {
    std::vector<runtime::Tensor> plain;
    for (const auto& [name, tensor] : tensors) plain.push_back(models::plain_tensor(name, tensor));
    std::filesystem::create_directories(folder);
    (void)runtime::write_tensor_file(folder / "model.safetensors", plain);
    std::ofstream(folder / "vocab.txt") << "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsoup\nrain\ngoal\n";
    std::ofstream(folder / "config.json") << R"({"model_type": "bert", "num_attention_heads": 2, "num_hidden_layers": 2,
      "hidden_act": "gelu", "layer_norm_eps": 1e-12, "transformers_version": "4.8.2"})";
  }
};

}  // namespace outcrop::text
