#include "trainer_host/trainer/kinds/evaluation.hpp"

#include <algorithm>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::kinds {
namespace {

std::string heading(const std::string& output, const std::string& metric,
                    const std::map<std::string, std::string>& units) {
  std::string text = messages::shown_metric(metric) + " " + output;
  const auto unit = units.find(output);
  if (messages::has_unit(metric) && unit != units.end() && !unit->second.empty()) {
    text += ", " + unit->second;
  }
  return text;
}

std::vector<Evaluation::Column> columns_of(const messages::Quality& quality) {
  std::vector<Evaluation::Column> columns;
  for (const auto& [output, score] : quality.model.outputs) {
    for (const auto& [metric, value] : score.metrics) {
      columns.push_back({output, metric, heading(output, metric, quality.units)});
    }
  }
  return columns;
}

Evaluation::Line line_of(const std::string& name, const messages::ScoredModel& scored,
                         const std::vector<Evaluation::Column>& columns) {
  Evaluation::Line line{name, {}};
  for (const Evaluation::Column& column : columns) {
    const auto output = scored.outputs.find(column.output);
    const double* value =
        output == scored.outputs.end() ? nullptr : output->second.find(column.metric);
    line.figures.push_back(value == nullptr ? std::nullopt : std::optional(*value));
  }
  return line;
}

}  // namespace

Result<std::vector<torch::Tensor>> WatchedModel::call(const std::string& method, std::vector<c10::IValue> arguments) {
  const bool has_rows = !arguments.empty() && arguments.front().isTensor() && arguments.front().toTensor().dim() > 0;
  const auto rows = has_rows ? arguments.front().toTensor().size(0) : 0;
  OUTCROP_TRY(answers, request_.variants[variant_].model->call(method, std::move(arguments)));
  answered_ = std::min(samples_, answered_ + static_cast<std::size_t>(rows));
  if (request_.progress) request_.progress(variant_ * samples_ + answered_, request_.variants.size() * samples_);
  return answers;
}

Result<Evaluation> Task::evaluate(const EvaluationRequest& request) {
  const std::size_t judged = data().held_out > 0 ? data().held_out : data().training;
  Evaluation evaluation;
  for (std::size_t i = 0; i < request.variants.size(); ++i) {
    const EvaluatedVariant& variant = request.variants[i];
    WatchedModel model(request, i, judged);
    auto quality = judge(model);
    if (!quality) return fail(quality.error().context(variant.name));
    if (i == 0) {
      evaluation.samples = quality->samples;
      evaluation.columns = columns_of(*quality);
      for (const messages::ScoredModel& baseline : quality->baselines) {
        evaluation.baselines.push_back(line_of(baseline.name, baseline, evaluation.columns));
      }
    }
    evaluation.variants.push_back(line_of(variant.name, quality->model, evaluation.columns));
  }
  return evaluation;
}

}  // namespace outcrop::kinds
