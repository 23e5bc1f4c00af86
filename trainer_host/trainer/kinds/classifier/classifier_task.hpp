#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/answers_classes.hpp"
#include "trainer_host/trainer/kinds/classifier/images.hpp"
#include "trainer_host/trainer/kinds/classifier/network.hpp"
#include "trainer_host/trainer/kinds/classifier/pixels.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::classifier {

// What a configuration says of a classifier, or, `known`, weights.
struct ClassifierRecipe final : kinds::Recipe {
  std::vector<std::int64_t> widths = ClassifierShape().widths;
  std::int64_t hidden = ClassifierShape().hidden;
  std::vector<std::string> classes;  // names; none: what the data say, or numbers
  kinds::DataPlaces data;
  bool mirror = true;            // half of the images, left to right
  std::int64_t shift = 2;        // rows and columns that an image is moved by at most
  double label_smoothing = 0.1;  // share of the answer that belongs to all classes alike
  std::optional<ClassifierShape> known;

  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] const kinds::DataPlaces& places() const override { return data; }
  void set_places(kinds::DataPlaces places) override { data = std::move(places); }
  [[nodiscard]] bool mirrors() const override { return mirror; }
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open(std::uint64_t seed) const override;
};

class ClassifierTask final : public kinds::Task, public kinds::AnswersClasses {
 public:
  // `shape` must be one that check_shape() takes and fit the images.
  ClassifierTask(const ClassifierRecipe& recipe, ClassifierShape shape, SplitImages images,
                 std::uint64_t seed);

  [[nodiscard]] std::vector<kinds::Part> parts() const override;
  [[nodiscard]] std::string shape() const override { return to_json(shape_); }
  [[nodiscard]] const kinds::DataSummary& data() const override { return images_.summary; }
  [[nodiscard]] kinds::Phase phase(std::int64_t stage) const override;
  [[nodiscard]] std::vector<kinds::Column> columns() const override;
  [[nodiscard]] std::string loss_unit() const override { return "loss (cross-entropy)"; }
  void set_training(bool on) override { network_.train(on); }
  [[nodiscard]] kinds::Loss loss(const kinds::Phase& phase,
                                 std::span<const kinds::Draw> draws) override;
  [[nodiscard]] bool train_through(const std::string& part, std::optional<models::OtherForm> form) override;
  [[nodiscard]] std::optional<std::string> non_finite_place(
      std::span<const kinds::Draw> draws) override;
  [[nodiscard]] std::vector<std::optional<double>> score_held_out() override;
  [[nodiscard]] kinds::Export make_export() override;
  [[nodiscard]] Result<messages::Quality> judge(models::CallableModel& model) override;
  [[nodiscard]] Result<kinds::Evaluation> evaluate(
      const kinds::EvaluationRequest& request) override;

  [[nodiscard]] const SplitImages& images() const { return images_; }
  [[nodiscard]] const std::vector<std::string>& classes() const { return shape_.classes; }
  [[nodiscard]] Result<torch::Tensor> answers_of(models::CallableModel& model) const override;
  [[nodiscard]] torch::Tensor judged_labels() const override;
  // What a model of these classes is judged by: images held out, or, without, those trained on.
  [[nodiscard]] const data::LabelledImages& judged() const {
    return images_.held_out.size() > 0 ? images_.held_out : images_.training;
  }

 private:
  [[nodiscard]] torch::Tensor logits(const torch::Tensor& images);  // [B, classes]
  [[nodiscard]] torch::Tensor cross_entropy(const torch::Tensor& logits,
                                            const torch::Tensor& labels) const;

  ClassifierRecipe recipe_;
  ClassifierShape shape_;
  SplitImages images_;
  torch::jit::Module pixel_scale_;
  models::TrainingForm network_;
};

}  // namespace outcrop::classifier
