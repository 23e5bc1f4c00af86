#include "trainer_host/fleet/metrics/exposition.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace outcrop::fleet {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 64> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end};
}

std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return text;
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view type, std::string_view unit,
                        std::string_view help) {
  name_ = name;
  std::string shown = name_;
  if (form_ == Form::text && type == "counter") shown += "_total";
  if (form_ == Form::text && type == "info") {
    shown += "_info";
    type = "gauge";
  }
  std::string text = "# HELP " + shown + " " + escaped(help) + "\n# TYPE " + shown + " " +
                     std::string(type) + "\n";
  if (form_ == Form::open_metrics && !unit.empty()) {
    text += "# UNIT " + shown + " " + std::string(unit) + "\n";
  }
  families_.push_back(std::move(text));
}

void Exposition::series(std::string_view suffix, const Labels& labels, double value) {
  if (series_ + 1 >= most_series) {  // one is kept to say so
    ++left_out_;
    return;
  }
  ++series_;
  std::string& text = families_.back();
  text += name_;
  text += suffix;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    text += i == 0 ? "{" : ",";
    text += labels[i].first;
    text += "=\"" + escaped(labels[i].second) + "\"";
  }
  text += labels.empty() ? " " : "} ";
  text += number(value) + "\n";
}

void Exposition::histogram(const Labels& labels, const std::vector<double>& bounds,
                           const std::vector<std::uint64_t>& counts, double sum) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    below += counts[i];
    Labels all = labels;
    // A bound is written as a float, so that it is the same series whoever reads it.
    const std::string bound = i == bounds.size() ? "+Inf" : number(bounds[i]);
    const bool whole = bound.find_first_of(".eI") == std::string::npos;
    all.emplace_back("le", whole ? bound + ".0" : bound);
    series("_bucket", all, static_cast<double>(below));
  }
  series("_count", labels, static_cast<double>(below));
  series("_sum", labels, sum);
}

std::vector<std::string> Exposition::finish() {
  family("outcrop_series_left_out", "gauge", "",
         "Series that are not here because there would be more than 10000.");
  const auto left_out = static_cast<double>(left_out_);
  families_.back() += name_ + " " + number(left_out) + "\n";
  ++series_;
  if (form_ == Form::open_metrics) families_.emplace_back("# EOF\n");
  return std::move(families_);
}

}  // namespace outcrop::fleet
