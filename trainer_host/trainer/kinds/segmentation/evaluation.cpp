#include <array>
#include <cmath>
#include <cstdio>

#include "trainer_host/trainer/kinds/segmentation/class_picture.hpp"
#include "trainer_host/trainer/kinds/segmentation/scoring.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_task.hpp"

namespace outcrop::segmentation {
namespace {

constexpr const char* output = "probability";
constexpr std::int64_t shown_samples = 3;

messages::ScoredModel scored(const Told& line) {
  return {line.name, {{output, line.confusion.score()}}};
}

std::vector<kinds::Evaluation::Column> shown_columns(const std::vector<std::string>& classes) {
  std::vector<kinds::Evaluation::Column> columns{{output, "accuracy", "accuracy", 3},
                                                 {output, "iou", "mean IoU", 3}};
  for (const std::string& name : classes) {
    columns.push_back({output, "iou of " + name, "IoU " + name, 3});
  }
  return columns;
}

kinds::Evaluation::Line shown_line(const Told& line) {
  kinds::Evaluation::Line shown{line.name, {line.confusion.accuracy(), line.confusion.mean_iou()}};
  const auto of_classes = line.confusion.iou();
  for (std::int64_t i = 0; i < of_classes.size(0); ++i) {
    const auto value = of_classes[i].item<double>();
    shown.figures.push_back(std::isfinite(value) ? std::optional(value) : std::nullopt);
  }
  return shown;
}

CellGrid grid_of(const torch::Tensor& cells) {
  const auto dense = cells.to(torch::kFloat).contiguous();
  const float* values = dense.data_ptr<float>();
  return {static_cast<std::size_t>(dense.size(0)), static_cast<std::size_t>(dense.size(1)),
          {values, values + dense.numel()}};
}

std::vector<ClassRow> rows_of(const LabelledSamples& samples, const torch::Tensor& answer) {
  std::vector<ClassRow> rows;
  for (std::int64_t i = 0; i < std::min(shown_samples, answer.size(0)); ++i) {
    rows.push_back({"sample " + std::to_string(i + 1), grid_of(samples.velocity[i][0]),
                    grid_of(samples.labels[i]), grid_of(answer[i])});
  }
  return rows;
}

std::string caption_of(const kinds::Evaluation& evaluation) {
  std::array<char, 160> text{};
  const auto& model = evaluation.variants.front().figures;
  const auto& thresholds = evaluation.baselines.back().figures;
  std::snprintf(text.data(), text.size(),
                "Of %zu maps: accuracy %.3f, mean IoU %.3f (thresholds on velocity %.3f, %.3f)",
                evaluation.samples, *model[0], *model[1], *thresholds[0], *thresholds[1]);
  return text.data();
}

}  // namespace

const LabelledSamples& SegmentationTask::judged() const {
  return data_.held_out.size() > 0 ? data_.held_out : data_.training;
}

Result<messages::Quality> SegmentationTask::judge(models::CallableModel& model) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_TRY(answer, classes_told(model, judged()));
  Told of_model{"float", Confusion(recipe_.shape.classes)};
  of_model.confusion.add(judged().labels, answer);
  messages::Quality quality;
  quality.samples = judged().size();
  quality.held_out = data_.held_out.size() > 0;
  quality.units = {{output, ""}};
  quality.judged_by = "error";
  quality.model = scored(of_model);
  for (const Told& line : baselines(data_.training, judged(), recipe_.shape.classes,
                                    bounds())) {
    quality.baselines.push_back(scored(line));
  }
  return quality;
}

Result<kinds::Evaluation> SegmentationTask::evaluate(const kinds::EvaluationRequest& request) {
  const torch::NoGradGuard no_gradient;
  kinds::Evaluation evaluation;
  evaluation.samples = judged().size();
  evaluation.columns = shown_columns(recipe_.classes);
  std::vector<ClassRow> rows;
  for (std::size_t i = 0; i < request.variants.size(); ++i) {
    const kinds::EvaluatedVariant& variant = request.variants[i];
    kinds::WatchedModel model(request, i, judged().size());
    auto answer = classes_told(model, judged());
    if (!answer) return fail(answer.error().context(variant.name));
    Told line{variant.name, Confusion(recipe_.shape.classes)};
    line.confusion.add(judged().labels, *answer);
    evaluation.variants.push_back(shown_line(line));
    if (i == 0) rows = rows_of(judged(), *answer);
  }
  for (const Told& line : baselines(data_.training, judged(), recipe_.shape.classes,
                                    bounds())) {
    evaluation.baselines.push_back(shown_line(line));
  }
  evaluation.caption = caption_of(evaluation);
  evaluation.picture = "classes.png";
  evaluation.draw = [rows, classes = recipe_.classes, bounds = bounds(),
                     caption = evaluation.caption](const std::string& title,
                                                   const std::filesystem::path& png) {
    return draw_classes(rows, classes, bounds, title, caption, png);
  };
  return evaluation;
}

}  // namespace outcrop::segmentation
