#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::kinds {

// What `outcrop evaluate` asks of a trained model on data, and shows.

struct EvaluatedVariant {
  std::string name;  // "float", "int8-qint8"
  models::CallableModel* model = nullptr;
};

struct EvaluationRequest {
  std::vector<EvaluatedVariant> variants;  // at least one; the first one is shown in the picture
  std::size_t drawn = 32;        // samples drawn from noise (seeds 1, 2, …), by kinds that draw
  std::filesystem::path other;   // data of another sort that the picture shows as well; empty: none
  std::function<void(std::size_t done, std::size_t total)> progress;  // may be empty
};

// A variant whose answered rows are told as they come, of `samples` rows by each of the request's variants. Neither outlives it.
class WatchedModel final : public models::CallableModel {
 public:
  WatchedModel(const EvaluationRequest& request, std::size_t variant, std::size_t samples)
      : request_(request), variant_(variant), samples_(samples) {}
  [[nodiscard]] Result<std::vector<torch::Tensor>> call(const std::string& method, std::vector<c10::IValue> arguments) override;

 private:
  const EvaluationRequest& request_;
  std::size_t variant_;
  std::size_t samples_;
  std::size_t answered_ = 0;
};

struct Evaluation {
  // A figure that every line has, and its column.
  struct Column {
    std::string output;  // as the signature has it
    std::string metric;  // "ssim"; output and metric are the figure's place in JSON
    std::string heading;  // "SSIM of maps"; empty: in JSON alone
    int decimals = 4;
  };
  // How well something predicts the samples, by column. None where the figure means nothing: of one
  // sample that would be compared with itself, say.
  struct Line {
    std::string name;  // "float", "mean of the training data"
    std::vector<std::optional<double>> figures;
  };
  // A figure of the whole evaluation: "diversity_m_per_s".
  struct Figure {
    std::string name;
    std::optional<double> value;
  };

  std::size_t samples = 0;
  std::vector<Column> columns;
  std::vector<Line> variants;
  std::vector<Line> baselines;  // what a model that learned nothing reaches
  std::vector<Figure> drawn;    // of what was drawn from noise
  std::string drawn_text;       // the same in a sentence
  // How good what each variant drew is by itself, without data beside it; none: without columns.
  struct Drawn {
    std::string heading;  // what it is, above the table
    std::vector<Column> columns;
    std::vector<Line> variants;
    std::vector<Line> baselines;
  };
  Drawn drawn_lines{};
  std::vector<std::string> remarks;  // what a reader of the figures must know besides
  std::string caption;               // the figures, below the picture's title
  std::string picture = "gallery.png";
  // Draws it (errors of evaluate/gnuplot.hpp); empty for a kind without a picture.
  std::function<Status(const std::string& title, const std::filesystem::path& png)> draw;
};

}  // namespace outcrop::kinds
