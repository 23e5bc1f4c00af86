#include "trainer_host/trainer/analyze/summary.hpp"

#include <algorithm>

#include "trainer_host/trainer/analyze/figures.hpp"

namespace outcrop::analyze {
namespace {

std::string cost_sentence(const Analysis& analysis) {
  const Form& original = analysis.forms.front();
  const Form& quantized = analysis.forms.back();
  std::string text = title_of(analysis) + " is " +
                     fixed(static_cast<double>(quantized.disk) / static_cast<double>(original.disk), 2) +
                     " of float's size (" + bytes_text(quantized.disk) + " instead of " + bytes_text(original.disk) +
                     ", " + bytes_text(quantized.transfer) + " in transfer)";
  const Form* fastest = analysis.fastest_float();
  if (fastest == nullptr || !quantized.p50_ms) return text + "; its time was not measured.";
  const double ratio = *fastest->p50_ms / *quantized.p50_ms;
  text += " and takes " + milliseconds(quantized.p50_ms) + " at the median, ";
  if (ratio > 0.97 && ratio < 1.03) {
    text += "as long as";
  } else {
    text += fixed(std::max(ratio, 1 / ratio), 2) + " × as " + (ratio > 1 ? "fast" : "slow") + " as";
  }
  text += " the fastest float form (" + fastest->name + ", " + milliseconds(fastest->p50_ms) + ").";
  if (!quantized.undisturbed || !fastest->undisturbed) {
    text += " Other work disturbed these times.";
  }
  return text;
}

std::string error_sentence(const Analysis& analysis) {
  std::string text;
  for (const OutputComparison& output : analysis.outputs) {
    const std::string name = analysis.outputs.size() == 1 ? "output" : output.name;
    text += text.empty() ? "Its " : "; its ";
    if (output.distance.exact()) {
      text += name + " equals float's to the bit";
      continue;
    }
    text += name + " is " + sqnr_text(output.distance) + " above the noise that quantization adds (mean error " +
            significant(output.distance.mean()) + ", largest " + significant(output.distance.most) + ")";
    if (text.size() > 400) break;
  }
  return text + ".";
}

std::string task_sentence(const TaskComparison& task) {
  std::string text = "On " + std::to_string(task.rows) + " rows its " + task.metric + " is " +
                     interval_text(task.after, 4) + " instead of " + fixed(task.before.value, 4) +
                     ": a change of " + interval_text(task.change, 4) + " (95 % intervals";
  if (task.mcnemar) {
    text += "; McNemar's exact test: p = " + significant(task.mcnemar->p);
  }
  const bool clear = task.change.low > 0 || task.change.high < 0;
  return text + "), " + (clear ? "which these rows tell apart from none." : "which these rows do not tell apart from none.");
}

std::string coverage_sentence(const Analysis& analysis) {
  if (!analysis.unmatched.empty()) {
    return "Layers could not be matched: " + analysis.unmatched + ".";
  }
  const auto in_codes = std::count_if(analysis.layers.begin(), analysis.layers.end(),
                                      [](const Layer& layer) { return layer.computes_in_codes; });
  std::string text = std::to_string(in_codes) + " of " + std::to_string(analysis.layers.size()) +
                     " layers and " + percent(analysis.coverage.multiply_adds_in_codes) +
                     " of all multiply-adds ran on codes";
  const auto worst = analysis.worst_first();
  if (!worst.empty() && worst.front()->output->sqnr_db()) {
    text += "; the worst layer is " + worst.front()->name + " (" + worst.front()->quantized_operator + ") at " +
            sqnr_text(worst.front()->output);
  }
  return text + ".";
}

}  // namespace

std::string title_of(const Analysis& analysis) {
  if (!analysis.variant.empty()) return analysis.variant;
  return analysis.forms.empty() ? analysis.quantized : analysis.forms.back().name;
}

std::string sqnr_text(const std::optional<Distance>& distance) {
  if (!distance) return nothing;
  if (distance->exact()) return "equal";
  const auto db = distance->sqnr_db();
  return db ? fixed(*db, 1) + " dB" : "no signal";
}

std::vector<std::string> summary_of(const Analysis& analysis) {
  std::vector<std::string> sentences;
  if (!analysis.forms.empty()) sentences.push_back(cost_sentence(analysis));
  sentences.push_back(error_sentence(analysis));
  if (analysis.task) sentences.push_back(task_sentence(*analysis.task));
  sentences.push_back(coverage_sentence(analysis));
  return sentences;
}

}  // namespace outcrop::analyze
