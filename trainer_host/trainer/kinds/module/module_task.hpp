#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/kinds/module/foreign_module.hpp"
#include "trainer_host/trainer/kinds/module/objective.hpp"
#include "trainer_host/trainer/kinds/module/rows.hpp"
#include "trainer_host/trainer/kinds/module/texts.hpp"
#include "trainer_host/trainer/kinds/told_with_goldens.hpp"

namespace outcrop::user_module {

// What is said of a user's module, by a configuration, `outcrop import`, or weights.
struct ModuleRecipe final : kinds::Recipe, kinds::TakesTexts {
  std::filesystem::path file;                    // TorchScript; empty: `code` has it
  std::filesystem::path values{};                // weights beside it: a state_dict or safetensors; or empty
  std::string digests{};                         // SHA-256 of both, as text: what the model begins with
  std::string code{};                            // without_values() of it, for weights
  std::optional<Objective> objective{};          // none: only to be shipped
  bool trained = true;                           // else only shipped: must be in evaluation mode
  kinds::DataPlaces data{};
  std::optional<kinds::TextWords> texts{};       // where boards are to be asked by texts

  void take_texts(kinds::TextWords words) override { texts = std::move(words); }
  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] const kinds::DataPlaces& places() const override { return data; }
  void set_places(kinds::DataPlaces places) override { data = std::move(places); }
  [[nodiscard]] std::vector<std::filesystem::path> brought() const override;
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open(std::uint64_t seed) const override;
};

class ModuleTask final : public kinds::Task, public kinds::TellsWithGoldens {
 public:
  ModuleTask(const ModuleRecipe& recipe, ForeignModule foreign, std::string code, SplitRows rows,
             std::optional<messages::TextInput> text);

  [[nodiscard]] std::vector<kinds::Part> parts() const override;
  [[nodiscard]] std::string shape() const override;
  [[nodiscard]] const kinds::DataSummary& data() const override { return rows_.summary; }
  [[nodiscard]] kinds::Phase phase(std::int64_t stage) const override;
  [[nodiscard]] std::vector<kinds::Column> columns() const override;
  [[nodiscard]] std::string loss_unit() const override;
  void set_training(bool on) override { foreign_.module.train(on); }
  [[nodiscard]] kinds::Loss loss(const kinds::Phase& phase,
                                 std::span<const kinds::Draw> draws) override;
  [[nodiscard]] bool train_through(const std::string& part, std::optional<models::OtherForm> form) override;
  [[nodiscard]] std::optional<std::string> non_finite_place(
      std::span<const kinds::Draw> draws) override;
  [[nodiscard]] std::vector<std::optional<double>> score_held_out() override;
  [[nodiscard]] kinds::Export make_export() override;
  // protocol/messages/text_input.hpp, of one that takes texts
  [[nodiscard]] std::map<std::string, std::string> told_with_goldens() const override;
  [[nodiscard]] Result<messages::Quality> judge(models::CallableModel& model) override;

 private:
  // Held-out rows, or those to train on where none are held out.
  [[nodiscard]] const Rows& judged() const;
  // As it is trained.
  [[nodiscard]] std::vector<torch::Tensor> trained_answer(const std::vector<torch::Tensor>& inputs);

  std::optional<models::OtherForm> other_;
  std::string code_;
  std::optional<Objective> objective_;
  ForeignModule foreign_;
  SplitRows rows_;
  std::optional<messages::TextInput> text_;
};

}  // namespace outcrop::user_module
