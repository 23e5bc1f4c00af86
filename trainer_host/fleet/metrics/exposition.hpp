#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outcrop::fleet {

// Metrics as text, families one after the other, each series once: OpenMetrics 1.0 (openmetrics.io), or what
// Prometheus read before it (0.0.4: other names for families of counters, no units, no end). However many
// classes and variants a fleet has, there are at most `most_series`: what is beyond is left out, and said by
// outcrop_series_left_out.
class Exposition {
 public:
  enum class Form { open_metrics, text };
  explicit Exposition(Form form) : form_(form) {}
  using Labels = std::vector<std::pair<std::string_view, std::string>>;
  static constexpr std::size_t most_series = 10'000;

  // Begins a family; `type` is gauge, counter, histogram or info, `unit` "" or what its name ends in.
  void family(std::string_view name, std::string_view type, std::string_view unit, std::string_view help);
  // A series of the family that was begun; `suffix` "" or "_total", "_bucket", "_count", "_sum", "_info".
  void series(std::string_view suffix, const Labels& labels, double value);

  // Of values, into buckets with these upper bounds, in order; one more takes all.
  void histogram(const Labels& labels, const std::vector<double>& bounds,
                 const std::vector<std::uint64_t>& counts, double sum);

  [[nodiscard]] std::vector<std::string> finish();  // the families, to be sent one by one
  [[nodiscard]] std::size_t series_count() const { return series_; }

 private:
  Form form_;
  std::vector<std::string> families_;
  std::string name_;
  std::size_t series_ = 0;
  std::size_t left_out_ = 0;
};

}  // namespace outcrop::fleet
