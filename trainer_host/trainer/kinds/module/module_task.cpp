#include "trainer_host/trainer/kinds/module/module_task.hpp"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "protocol/trust/base64.hpp"
#include "trainer_host/trainer/kinds/module/exporting.hpp"

namespace outcrop::user_module {
namespace {

using torch::Tensor;

constexpr std::size_t asked_at_once = 64;   // rows
constexpr std::size_t most_scored = 1024;   // after each epoch
constexpr double least_probability = 1e-12;

// What `ask` answers first, of all rows, some at a time.
template <class Ask>
Result<Tensor> first_output(const Rows& rows, const Ask& ask) {
  std::vector<Tensor> parts;
  for (std::size_t first = 0; first < rows.size(); first += asked_at_once) {
    Result<Tensor> part = ask(rows.slice(first, asked_at_once).inputs);
    if (!part) return fail(part.error());
    parts.push_back(std::move(*part));
  }
  return torch::cat(parts);
}

}  // namespace

ModuleTask::ModuleTask(const ModuleRecipe& recipe, ForeignModule foreign, std::string code,
                       SplitRows rows, std::optional<messages::TextInput> text)
    : code_(std::move(code)),
      objective_(recipe.objective),
      foreign_(std::move(foreign)),
      rows_(std::move(rows)),
      text_(std::move(text)) {}

const Rows& ModuleTask::judged() const {
  return rows_.held_out.size() > 0 ? rows_.held_out : rows_.training;
}

std::vector<kinds::Part> ModuleTask::parts() const {
  return {{"module", foreign_.module}};
}

std::string ModuleTask::shape() const {
  return json_text(nlohmann::json{{"code", trust::to_base64(as_bytes(code_))},
                                  {"loss", objective_ ? objective_->name() : ""}});
}

kinds::Phase ModuleTask::phase(std::int64_t) const {
  return kinds::whole(*this);
}

std::vector<kinds::Column> ModuleTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  const std::string metric = objective_ ? objective_->shown() : "rmse";
  return {{"output_loss", "training rows", Meaning::loss},
          {"held_out_output_loss", "held-out rows", Meaning::held_out_loss},
          {"held_out_" + metric, messages::shown_metric(metric) + " of held-out rows", Meaning::score}};
}

std::string ModuleTask::loss_unit() const {
  return objective_ ? "loss (" + objective_->name() + ")" : "loss";
}

bool ModuleTask::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  if (part != "module") return !form;
  other_ = std::move(form);
  return true;
}

std::vector<Tensor> ModuleTask::trained_answer(const std::vector<Tensor>& inputs) {
  return other_ ? std::vector{other_->forward(inputs.front())} : answer(foreign_.module, inputs);
}

kinds::Loss ModuleTask::loss(const kinds::Phase&, std::span<const kinds::Draw> draws) {
  const Rows batch = rows_.training.chosen(draws);
  const Tensor loss = objective_->loss(trained_answer(batch.inputs).front(), batch.target);
  return {loss, {loss.item<double>()}};
}

std::optional<std::string> ModuleTask::non_finite_place(std::span<const kinds::Draw> draws) {
  const torch::NoGradGuard no_gradient;
  const Rows batch = rows_.training.chosen(draws);
  const auto outputs = answer(foreign_.module, batch.inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!torch::isfinite(outputs[i]).all().item<bool>()) {
      return "the module's " + foreign_.outputs[i];
    }
  }
  return std::nullopt;
}

std::vector<std::optional<double>> ModuleTask::score_held_out() {
  const torch::NoGradGuard no_gradient;
  if (rows_.held_out.size() == 0 || !objective_) return {std::nullopt, std::nullopt};
  const Rows some = rows_.held_out.slice(0, most_scored);
  const auto output = first_output(some, [&](const std::vector<Tensor>& inputs) -> Result<Tensor> {
    return trained_answer(inputs).front();
  });
  const auto loss = objective_->loss(*output, some.target).item<double>();
  if (!std::isfinite(loss)) return {std::nullopt, std::nullopt};
  return {loss, *objective_->score(*output, some.target).find(objective_->shown())};
}

kinds::Export ModuleTask::make_export() {
  return user_module::make_export(foreign_, judged(), rows_.training.size() > 0 ? rows_.training : judged(), objective_);
}

std::map<std::string, std::string> ModuleTask::told_with_goldens() const {
  if (!text_) return {};
  return {{messages::text_metadata_key, messages::to_json(*text_)}};
}

Result<messages::Quality> ModuleTask::judge(models::CallableModel& model) {
  const torch::NoGradGuard no_gradient;
  const Rows& rows = judged();
  if (!objective_ || !rows.has_target()) {
    return fail(ErrorCode::not_found, objective_ ? "the data have no target to compare answers with"
                                                 : "no loss says what its answers are compared by");
  }
  OUTCROP_TRY(output, first_output(rows, [&](const std::vector<Tensor>& inputs) -> Result<Tensor> {
    OUTCROP_TRY(answers, model.call("forward", {inputs.begin(), inputs.end()}));
    // Losses of classes take logits, which logarithms of probabilities are, too.
    return text_ && objective_->of_classes() ? answers.at(0).clamp_min(least_probability).log() : answers.at(0);
  }));
  if (!torch::isfinite(output).all().item<bool>()) {
    return fail(ErrorCode::diverged, "an answer to these rows is not finite");
  }
  const std::string& name = foreign_.outputs.front();
  const Rows& learned = rows_.training.has_target() ? rows_.training : rows;
  messages::Quality quality;
  quality.samples = rows.size();
  quality.held_out = rows_.held_out.size() > 0;
  quality.units = {{name, ""}};
  quality.judged_by = objective_->judged_by();
  quality.model = {"float", {{name, objective_->score(output, rows.target)}}};
  const Tensor mean = objective_->mean_answer(learned.target, output);
  quality.baselines = {
      {std::string(messages::mean_baseline), {{name, objective_->score(mean, rows.target)}}}};
  return quality;
}

}  // namespace outcrop::user_module
