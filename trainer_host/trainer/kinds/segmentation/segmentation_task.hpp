#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/kinds/segmentation/labelled_samples.hpp"
#include "trainer_host/trainer/kinds/segmentation/network.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::segmentation {

// What a configuration says of a segmentation.
struct SegmentationRecipe final : kinds::Recipe {
  SegmentationShape shape;  // its size becomes the data's when they are opened
  // What its data must have: weights say, else whatever the data have.
  std::optional<data::Geometry> geometry{};
  std::vector<std::string> classes;  // their names, in the order of the labels
  kinds::DataPlaces data;
  bool flip = true;  // mirror half of the samples left to right

  SegmentationRecipe();  // the classes of `outcrop synth --labels`
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] const kinds::DataPlaces& places() const override { return data; }
  void set_places(kinds::DataPlaces places) override { data = std::move(places); }
  [[nodiscard]] bool mirrors() const override { return flip; }
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open(std::uint64_t seed) const override;
};

class SegmentationTask final : public kinds::Task {
 public:
  // Precondition: the recipe's shape has the size of the data's maps.
  SegmentationTask(const SegmentationRecipe& recipe, LabelledData data, std::uint64_t seed);

  [[nodiscard]] std::vector<kinds::Part> parts() const override;
  [[nodiscard]] std::string shape() const override;
  [[nodiscard]] const kinds::DataSummary& data() const override { return data_.summary; }
  [[nodiscard]] kinds::Phase phase(std::int64_t stage) const override;
  [[nodiscard]] std::vector<kinds::Column> columns() const override;
  [[nodiscard]] std::string loss_unit() const override { return "loss (cross-entropy)"; }
  void set_training(bool on) override { network_.train(on); }
  // Cross-entropy of cells, each class weighted by how rare it is.
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

 private:
  // Held-out samples, or those of training where none are held out.
  [[nodiscard]] const LabelledSamples& judged() const;
  [[nodiscard]] earth::VelocityBounds bounds() const { return earth::bounds_of(data_.geometry); }
  [[nodiscard]] torch::Tensor logits(const LabelledSamples& samples);

  SegmentationRecipe recipe_;
  LabelledData data_;
  torch::Tensor class_weights_;  // [classes], of the training samples
  models::TrainingForm network_;
};

}  // namespace outcrop::segmentation
