#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/analyze/statistics.hpp"

// What is found out about a quantized model beside the float one that it was made of. Data alone: how
// they are had is in examine.hpp, how they are told in analysis_text.hpp and analysis_page.hpp.
namespace outcrop::analyze {

// How far one set of values is from another, over all that were compared.
struct Distance {
  double signal = 0;  // sum of the squares of the true values
  double noise = 0;   // sum of the squares of the differences
  double sum = 0;     // of the absolute differences
  double most = 0;    // the largest absolute difference
  std::int64_t values = 0;

  void add(const Distance& other);
  // 10·log10(signal / noise). Nothing where nothing was compared, where all values are equal (exact()),
  // or where the true values are all zero, to which no ratio can be had.
  [[nodiscard]] std::optional<double> sqnr_db() const;
  [[nodiscard]] bool exact() const { return values > 0 && noise == 0; }
  [[nodiscard]] double mean() const { return values > 0 ? sum / static_cast<double>(values) : 0.0; }
};

// Values counted in equal steps from `least` to `most`; what is beyond an end counts in the last bin there.
struct Histogram {
  static constexpr std::size_t bins = 48;
  double least = 0;
  double most = 0;
  std::array<std::uint64_t, bins> counts{};

  [[nodiscard]] std::uint64_t total() const;
};

// Values of a layer before and after, over one range.
struct HistogramPair {
  Histogram before;
  Histogram after;
};

// A layer: what has weights and multiplies by them, in the order of execution.
struct Layer {
  std::string name;       // of the plan, or of the module that owns its weight: "module.features_0"
  std::string operation;  // "conv2d"
  std::string format;     // of the plan: "int8"; else "int8" or "float", by what ran
  std::string float_operator;      // "aten::conv2d"
  std::string quantized_operator;  // what ran instead: "quantized::conv2d_relu"
  std::string compared_after;      // "relu" where that was fused into it; "batch_norm, relu"
  bool computes_in_codes = false;  // whether it multiplied quantized values
  std::int64_t weights = 0;
  std::int64_t biases = 0;
  std::int64_t multiply_adds = 0;  // for one row
  std::optional<Distance> output;  // nothing where it cannot be compared: `not_compared` says why
  std::optional<Distance> weight;
  std::string not_compared;
  std::optional<HistogramPair> activations;
  std::optional<HistogramPair> weight_values;

  [[nodiscard]] bool is_float() const { return format == "float"; }
};

// Operators that ran on floats between two places where values are codes.
struct FloatIsland {
  std::string place;                          // "between a and b", "before a", "after b"
  bool enclosed = false;                      // codes stand before and behind it
  std::vector<std::string> layers;            // float layers in it
  std::map<std::string, int> operators;       // all in it that computes: "aten::layer_norm"
  std::int64_t multiply_adds = 0;
};

// What share of a model each format has, 0 to 1.
struct Share {
  std::string format;  // "int8"
  double modules = 0;
  double parameters = 0;
};

struct Coverage {
  std::vector<Share> formats;          // the largest in parameters first
  double below_float_modules = 0;      // of all layers
  double below_float_parameters = 0;   // of all values stored
  double multiply_adds_in_codes = 0;   // of all of one row, products without weights too
  std::int64_t parameters = 0;
  std::int64_t multiply_adds = 0;
  std::int64_t product_multiply_adds = 0;  // of these, without weights: attention, say
};

// One file as boards would get it, and what its runs cost.
struct Form {
  std::string name;  // "float", "float-mobile", "int8-qint8"
  std::string role;  // "original", "fast float" or "quantized"
  std::uint64_t disk = 0;      // bytes
  std::uint64_t transfer = 0;  // bytes, by zstd
  std::uint64_t memory = 0;    // bytes, the runner's peak; 0 where it was not measured
  std::uint64_t engine_memory = 0;  // of these, before a model was loaded
  std::optional<double> p50_ms;
  std::optional<double> p90_ms;
  std::size_t calls = 0;
  bool undisturbed = true;
  std::string unmeasured;  // why there are no times; empty where there are
};

struct OutputComparison {
  std::string name;
  Distance distance;
};

// How well both do what they are for, row by row of the same rows.
struct TaskComparison {
  std::string metric;  // "accuracy", "rmse"
  bool more_is_better = true;
  std::size_t rows = 0;
  Interval before;
  Interval after;
  Interval change;  // of after - before, the same rows drawn for both
  std::optional<McNemar> mcnemar;
  std::string no_mcnemar;  // why there is none
  std::optional<double> logits_db;  // where answers are probabilities of classes (class_comparison.hpp)
};

struct Analysis {
  std::string original;   // names of files
  std::string quantized;
  std::string variant;    // of the plan: "int8-qint8"; "" without one
  std::string method;     // of the plan: "static"
  std::string called;     // "forward(Tensor images)"
  std::string rows_from;  // "golden inputs", or the folder
  std::size_t rows = 0;   // that layers were compared on
  std::map<std::string, int> float_operators;  // that ran for one row, by others or not
  std::map<std::string, int> quantized_operators;
  std::vector<Layer> layers;  // in the order of execution
  std::string unmatched;      // why layers could not be matched; then there are none
  int quantizations = 0;      // quantize and dequantize calls that ran for one row
  int dequantizations = 0;
  Coverage coverage;
  std::vector<FloatIsland> islands;
  std::vector<OutputComparison> outputs;
  std::vector<Form> forms;  // the original first, the quantized one last
  std::optional<TaskComparison> task;
  std::vector<std::string> remarks;

  // Of `layers` those that were compared, the worst SQNR first.
  [[nodiscard]] std::vector<const Layer*> worst_first() const;
  [[nodiscard]] const Form* quantized_form() const;
  // Of the measured float forms the one with the least median; null where none was measured.
  [[nodiscard]] const Form* fastest_float() const;
};

}  // namespace outcrop::analyze
