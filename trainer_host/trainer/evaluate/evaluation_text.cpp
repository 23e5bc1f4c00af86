#include "trainer_host/trainer/evaluate/evaluation_text.hpp"

#include <array>
#include <cstdio>
#include <initializer_list>
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

std::string table_of(const std::vector<Evaluation::Column>& columns,
                     std::initializer_list<const std::vector<Evaluation::Line>*> blocks,
                     bool& all_available) {
  std::vector<std::string> headings{""};
  for (const Evaluation::Column& column : columns) {
    if (!column.heading.empty()) headings.push_back(column.heading);
  }
  Table table(headings);
  for (const auto* lines : blocks) {
    for (const Evaluation::Line& line : *lines) {
      std::vector<std::string> row{line.name};
      for (std::size_t i = 0; i < line.figures.size(); ++i) {
        if (columns[i].heading.empty()) continue;
        all_available = all_available && line.figures[i].has_value();
        row.push_back(cell(line.figures[i], columns[i].decimals));
      }
      table.add_row(row);
    }
  }
  return table.to_string();
}

}  // namespace

std::string title_of(const models::ModelDescription& model) {
  return model.name + ", stage " + std::to_string(model.stage) + ", epoch " +
         std::to_string(model.epoch) + ", trained in " + human_duration(model.trained);
}

std::string evaluation_text(const Evaluation& evaluation, const std::string& title) {
  bool all_available = true;
  std::string text = title + "\n" + table_of(evaluation.columns, {&evaluation.variants, &evaluation.baselines},
                                             all_available);
  if (!all_available) text += "–: not available of one sample, which would stand for itself\n";
  if (!evaluation.drawn_text.empty()) text += evaluation.drawn_text + "\n";
  const Evaluation::Drawn& drawn = evaluation.drawn_lines;
  if (!drawn.columns.empty()) {
    text += drawn.heading + "\n" + table_of(drawn.columns, {&drawn.variants, &drawn.baselines}, all_available);
  }
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
  if (const Evaluation::Drawn& drawn = evaluation.drawn_lines; !drawn.columns.empty()) {
    json["drawn"]["variants"] = to_json(drawn.variants, drawn.columns);
    json["drawn"]["baselines"] = to_json(drawn.baselines, drawn.columns);
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
