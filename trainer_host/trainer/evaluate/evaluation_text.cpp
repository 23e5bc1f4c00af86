#include "trainer_host/trainer/evaluate/evaluation_text.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::evaluate {
namespace {

using Json = nlohmann::ordered_json;
using kinds::Evaluation;

std::string cell(const std::optional<double>& value, int decimals) {
  if (!value) return "–";
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", decimals, *value);
  return text.data();
}

Json to_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json to_json(const std::vector<Evaluation::Line>& lines,
             const std::vector<Evaluation::Column>& columns) {
  Json json = Json::array();
  for (const Evaluation::Line& line : lines) {
    Json entry{{"name", line.name}};
    for (std::size_t i = 0; i < columns.size(); ++i) {
      entry[columns[i].output][columns[i].metric] = to_json(line.figures[i]);
    }
    json.push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string title_of(const models::ModelDescription& model) {
  return model.name + ", stage " + std::to_string(model.stage) + ", epoch " +
         std::to_string(model.epoch) + ", trained in " + human_duration(model.trained);
}

std::string evaluation_text(const Evaluation& evaluation, const std::string& title) {
  std::vector<std::string> headings{""};
  for (const Evaluation::Column& column : evaluation.columns) {
    if (!column.heading.empty()) headings.push_back(column.heading);
  }
  Table table(headings);
  bool all_available = true;
  for (const auto* lines : {&evaluation.variants, &evaluation.baselines}) {
    for (const Evaluation::Line& line : *lines) {
      std::vector<std::string> row{line.name};
      for (std::size_t i = 0; i < line.figures.size(); ++i) {
        if (evaluation.columns[i].heading.empty()) continue;
        all_available = all_available && line.figures[i].has_value();
        row.push_back(cell(line.figures[i], evaluation.columns[i].decimals));
      }
      table.add_row(row);
    }
  }
  std::string text = title + "\n" + table.to_string();
  if (!all_available) text += "–: not available of one sample, which would stand for itself\n";
  if (!evaluation.drawn_text.empty()) text += evaluation.drawn_text + "\n";
  for (const std::string& remark : evaluation.remarks) text += remark + "\n";
  return text;
}

std::string evaluation_json(const Evaluation& evaluation, const models::ModelDescription& model,
                            const DrawnPicture& picture, int indent) {
  Json json{{"model", model.name},
            {"kind", model.kind},
            {"stage", model.stage},
            {"epoch", model.epoch},
            {"trained_seconds", model.trained.count()},
            {"samples", evaluation.samples},
            {"variants", to_json(evaluation.variants, evaluation.columns)},
            {"baselines", to_json(evaluation.baselines, evaluation.columns)}};
  for (const Evaluation::Figure& figure : evaluation.drawn) {
    json["drawn"][figure.name] = to_json(figure.value);
  }
  json["remarks"] = evaluation.remarks;
  if (!picture.name.empty()) json["picture"] = picture.name;
  if (!picture.why_not.empty()) {
    json["picture"] = nullptr;
    json["no_picture"] = picture.why_not;
  }
  return json_text(json, indent);
}

}  // namespace outcrop::evaluate
