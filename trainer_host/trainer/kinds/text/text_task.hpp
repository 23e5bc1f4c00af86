#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/text/tokenizer.hpp"
#include "trainer_host/trainer/kinds/answers_classes.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/kinds/text/encoded_texts.hpp"
#include "trainer_host/trainer/kinds/text/encoder.hpp"
#include "trainer_host/trainer/kinds/text/pretrained_encoder.hpp"
#include "trainer_host/trainer/kinds/text/texts.hpp"
#include "trainer_host/trainer/kinds/told_with_goldens.hpp"
#include "trainer_host/trainer/kinds/text/wanted_encoder.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::text {

// What a configuration says of a model of texts, or, `known`, weights.
struct TextRecipe final : kinds::Recipe {
  WantedEncoder encoder;
  std::filesystem::path weights;    // what it begins with (pretrained_encoder.hpp); empty: drawn
  std::optional<Letters> letters;   // small ones, where neither this nor what lies beside `weights` says it
  std::filesystem::path vocabulary;  // a file; empty: the one beside `weights`, else learned from the texts to train on, of so many
  std::int64_t pieces = 8000;
  TextColumns columns;
  kinds::DataPlaces data;
  double hidden_words = 0.1;  // share of each text's pieces that training does not show
  std::int64_t frozen_layers = 0;  // the lowest ones stay as they are, with the embeddings below them
  std::optional<TextShape> known;

  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] const kinds::DataPlaces& places() const override { return data; }
  void set_places(kinds::DataPlaces places) override { data = std::move(places); }
  [[nodiscard]] std::vector<std::filesystem::path> brought() const override;
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open(std::uint64_t seed) const override;

 private:
  [[nodiscard]] std::filesystem::path vocabulary_file() const;
  [[nodiscard]] Result<Vocabulary> open_vocabulary(const LabelledTexts& training, Letters letters) const;
  // That the pieces are as many as its embedding has rows, and written as its texts were.
  [[nodiscard]] Status check_pretrained(const PretrainedEncoder& pretrained, const Vocabulary& words) const;
};

class TextTask final : public kinds::Task, public kinds::TellsWithGoldens, public kinds::AnswersClasses {
 public:
  // `shape` must be of these texts and of the tokenizer's vocabulary.
  TextTask(const TextRecipe& recipe, TextShape shape, SplitTexts texts, Tokenizer tokenizer, std::uint64_t seed);

  [[nodiscard]] std::vector<kinds::Part> parts() const override { return {{"network", network_.module()}}; }
  [[nodiscard]] std::string shape() const override { return to_json(shape_); }
  [[nodiscard]] const kinds::DataSummary& data() const override { return texts_.summary; }
  [[nodiscard]] kinds::Phase phase(std::int64_t stage) const override;
  [[nodiscard]] std::vector<kinds::Column> columns() const override;
  [[nodiscard]] std::string loss_unit() const override { return "loss (cross-entropy)"; }
  void set_training(bool on) override { network_.train(on); }
  [[nodiscard]] kinds::Loss loss(const kinds::Phase& phase, std::span<const kinds::Draw> draws) override;
  [[nodiscard]] bool train_through(const std::string& part, std::optional<models::OtherForm> form) override;
  [[nodiscard]] std::optional<std::string> non_finite_place(std::span<const kinds::Draw> draws) override;
  [[nodiscard]] std::vector<std::optional<double>> score_held_out() override;
  [[nodiscard]] kinds::Export make_export() override;
  // protocol/messages/text_input.hpp
  [[nodiscard]] std::map<std::string, std::string> told_with_goldens() const override;
  [[nodiscard]] Result<messages::Quality> judge(models::CallableModel& model) override;
  [[nodiscard]] Result<kinds::Evaluation> evaluate(const kinds::EvaluationRequest& request) override;

  [[nodiscard]] Result<torch::Tensor> answers_of(models::CallableModel& model) const override;
  [[nodiscard]] torch::Tensor judged_labels() const override { return judged().labels; }
  // What a model is judged by: texts held out, or, without, those trained on.
  [[nodiscard]] const EncodedTexts& judged() const { return held_out_.size() > 0 ? held_out_ : training_; }
  [[nodiscard]] const SplitTexts& texts() const { return texts_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  double hidden_words_;
  std::int64_t frozen_layers_;
  TextShape shape_;
  SplitTexts texts_;
  Tokenizer tokenizer_;
  EncodedTexts training_;
  EncodedTexts held_out_;
  models::TrainingForm network_;
};

}  // namespace outcrop::text
