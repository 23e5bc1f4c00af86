#include "trainer_host/trainer/kinds/text/text_task.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/text/exporting.hpp"

namespace outcrop::text {
namespace {

using torch::Tensor;

constexpr std::size_t score_batch = 64;
// A call takes a third of a step: these take about a twentieth of an epoch.
constexpr std::size_t trained_for_one_scored = 6;
constexpr std::size_t least_scored = 500;

// Of the lowest `layers`, and of the embeddings below them.
std::vector<std::string> names_up_to(std::int64_t layers) {
  if (layers == 0) return {};
  std::vector<std::string> names{"pieces.", "places.", "norm."};
  for (std::int64_t layer = 1; layer <= layers; ++layer) names.push_back("layer" + std::to_string(layer) + "_");
  return names;
}

}  // namespace

TextTask::TextTask(const TextRecipe& recipe, TextShape shape, SplitTexts texts, Tokenizer tokenizer, std::uint64_t seed)
    : hidden_words_(recipe.hidden_words),
      frozen_layers_(recipe.frozen_layers),
      shape_(std::move(shape)),
      texts_(std::move(texts)),
      tokenizer_(std::move(tokenizer)),
      training_(encode(texts_.training, tokenizer_, shape_.encoder.length, shape_.classes)),
      held_out_(encode(texts_.held_out, tokenizer_, shape_.encoder.length, shape_.classes)),
      network_(make_encoder(shape_.encoder, static_cast<std::int64_t>(shape_.pieces.size()),
                            tokenizer_.vocabulary().padding(), static_cast<std::int64_t>(shape_.classes.size()), seed)) {
  const auto frozen = names_up_to(frozen_layers_);
  for (const auto& one : network_.module().named_parameters()) {
    const bool stays = std::any_of(frozen.begin(), frozen.end(), [&](const auto& name) { return one.name.starts_with(name); });
    if (stays) one.value.set_requires_grad(false);
  }
}

kinds::Phase TextTask::phase(std::int64_t) const {
  kinds::Phase phase = kinds::whole(*this);
  if (frozen_layers_ > 0) phase.name = "above layer " + std::to_string(frozen_layers_);
  return phase;
}

std::vector<kinds::Column> TextTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  return {{"cross_entropy_loss", "cross-entropy", Meaning::loss},
          {"held_out_cross_entropy_loss", "cross-entropy, held out", Meaning::held_out_loss},
          {"held_out_accuracy", "accuracy on held-out texts", Meaning::score}};
}

kinds::Loss TextTask::loss(const kinds::Phase&, std::span<const kinds::Draw> draws) {
  const EncodedTexts batch = chosen(training_, draws, hidden_words_, tokenizer_.vocabulary());
  const Tensor loss = torch::nn::functional::cross_entropy(network_.forward(batch.ids), batch.labels);
  return {loss, {loss.item<double>()}};
}

bool TextTask::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  if (part != "network") return !form;
  network_.train_through(std::move(form));
  return true;
}

std::optional<std::string> TextTask::non_finite_place(std::span<const kinds::Draw> draws) {
  const torch::NoGradGuard no_gradient;
  const EncodedTexts batch = chosen(training_, draws, hidden_words_, tokenizer_.vocabulary());
  Tensor ignored;
  const auto layer = network_.first_non_finite(batch.ids, ignored);
  return layer ? std::optional("the output of network." + *layer) : std::nullopt;
}

std::vector<std::optional<double>> TextTask::score_held_out() {
  const torch::NoGradGuard no_gradient;
  if (held_out_.size() == 0) return {std::nullopt, std::nullopt};
  const auto draws = classes::evenly_chosen(static_cast<std::size_t>(held_out_.size()),
                                            std::max(least_scored, texts_.training.size() / trained_for_one_scored));
  double loss = 0.0;
  double right = 0.0;
  for (std::size_t first = 0; first < draws.size(); first += score_batch) {
    const auto some = std::span(draws).subspan(first, std::min(score_batch, draws.size() - first));
    const EncodedTexts batch = chosen(held_out_, some, 0.0, tokenizer_.vocabulary());
    const Tensor answers = network_.forward(batch.ids);
    loss += torch::nn::functional::cross_entropy(answers, batch.labels).item<double>() * static_cast<double>(some.size());
    right += (answers.argmax(1) == batch.labels).sum().item<double>();
  }
  if (!std::isfinite(loss)) return {std::nullopt, std::nullopt};
  const auto count = static_cast<double>(draws.size());
  return {loss / count, right / count};
}

kinds::Export TextTask::make_export() {
  return text::make_export(shape_, network_.module(), tokenizer_.vocabulary(), training_, judged());
}

std::map<std::string, std::string> TextTask::told_with_goldens() const {
  return {{messages::text_metadata_key, messages::to_json(text_input_of(shape_))}};
}

}  // namespace outcrop::text
