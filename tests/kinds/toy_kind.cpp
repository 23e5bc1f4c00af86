// outcrop-trainer-toy: outcrop-trainer with a kind of models more, of two inputs and one output; the
// example of docs/kinds.md. It learns the sum of one list of numbers less that of another.

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/models/layers.hpp"
#include "trainer_host/trainer/models/training_form.hpp"
#include "trainer_host/trainer/trainer_main.hpp"

namespace outcrop {
namespace {

using torch::Tensor;

constexpr std::int64_t held_out = 16;

torch::jit::Module make_network(std::uint64_t seed) {
  return models::build_network(
      "__torch__.Toy",
      {{.name = "hidden", .in_channels = 8, .out_channels = 16, .kernel = {1, 1}, .padding = {0, 0}},
       {.name = "sum", .in_channels = 16, .out_channels = 1, .kernel = {1, 1}, .padding = {0, 0},
        .relu = false}},
      at::detail::createCPUGenerator(seed));
}

// Codes of an int8 network are made numbers again; a float network answers numbers.
torch::jit::Module compose(kinds::PartForm form) {
  torch::jit::Module model("__torch__.ToyModel", std::make_shared<torch::jit::CompilationUnit>());
  model.register_module("network", std::move(form.module));
  const std::string answer = "self.network.forward(torch.reshape(torch.cat([a, b], 1), [-1, 8, 1, 1]))";
  model.define("def forward(self, a: Tensor, b: Tensor) -> Tensor:\n    return torch.reshape(" +
               (form.codes ? "torch.dequantize(" + answer + ")" : answer) + ", [-1, 1])\n");
  model.register_attribute("training", c10::BoolType::get(), false);
  return model;
}

class ToyTask final : public kinds::Task {
 public:
  ToyTask(std::int64_t samples, std::uint64_t seed) : network_(make_network(seed)) {
    inputs_ = torch::empty({samples + held_out, 8})
                  .uniform_(-1.0, 1.0, at::detail::createCPUGenerator(1));
    truth_ = inputs_.slice(1, 0, 4).sum(1, true) - inputs_.slice(1, 4).sum(1, true);
    data_ = {static_cast<std::size_t>(samples), held_out, trust::sha256("toy").hex(), ""};
  }

  [[nodiscard]] std::vector<kinds::Part> parts() const override {
    return {{"network", network_.module()}};
  }
  [[nodiscard]] std::string shape() const override { return R"({"inputs":8})"; }
  [[nodiscard]] const kinds::DataSummary& data() const override { return data_; }
  [[nodiscard]] kinds::Phase phase(std::int64_t) const override { return kinds::whole(*this); }
  [[nodiscard]] std::vector<kinds::Column> columns() const override {
    return {{"squared_loss", "squared error"},
            {"held_out_mae", "held-out error", kinds::Column::Meaning::score}};
  }
  void set_training(bool on) override { network_.train(on); }

  [[nodiscard]] kinds::Loss loss(const kinds::Phase&, std::span<const kinds::Draw> draws) override {
    const auto rows = chosen(draws);
    const auto error = torch::mse_loss(answer(inputs_.index_select(0, rows)), truth_.index_select(0, rows));
    return {error, {error.item<double>()}};
  }
  [[nodiscard]] std::optional<std::string> non_finite_place(
      std::span<const kinds::Draw> draws) override {
    Tensor ignored;
    return network_.first_non_finite(pixels(inputs_.index_select(0, chosen(draws))), ignored);
  }
  [[nodiscard]] std::vector<std::optional<double>> score_held_out() override {
    return {errors(answer(last(inputs_))).abs().mean().item<double>()};
  }

  [[nodiscard]] kinds::Export make_export() override {
    kinds::Export model;
    model.parts = {{"network", network_.module(), {pixels(inputs_)}}};
    model.compose = [](std::vector<kinds::PartForm> forms) { return compose(std::move(forms[0])); };
    const messages::TensorType four{"float32", {"batch", 4}, "", messages::Range{-1, 1}};
    model.signature = {"forward",
                       {{"forward",
                         {{"a", four}, {"b", four}},
                         {{"difference", messages::TensorType{"float32", {"batch", 1}, "", {}}, {}}}}}};
    for (const std::int64_t rows : {1, 3}) {
      const auto x = inputs_.slice(0, 0, rows);
      model.goldens.push_back({"forward", {x.slice(1, 0, 4).contiguous(), x.slice(1, 4).contiguous()}});
    }
    model.bounds = {{"difference", {{1e-4, 1e-3}, {0.5, 2.0}, {1e-3, 1e-2}}}};
    return model;
  }

  [[nodiscard]] Result<messages::Quality> judge(models::CallableModel& model) override {
    const auto x = last(inputs_);
    OUTCROP_TRY(answers, model.call("forward", {x.slice(1, 0, 4).contiguous(), x.slice(1, 4).contiguous()}));
    const auto mean = truth_.slice(0, 0, -held_out).mean().expand({held_out, 1});
    const auto scored = [&](std::string name, const Tensor& prediction) {
      const auto error = errors(prediction);
      return messages::ScoredModel{
          std::move(name),
          {{"difference",
            {{{"mae", error.abs().mean().item<double>()}, {"rmse", root_mean_square(error)}}}}}};
    };
    messages::Quality quality;
    quality.samples = held_out;
    quality.held_out = true;
    quality.units = {{"difference", ""}};
    quality.model = scored("float", answers[0]);
    quality.baselines = {scored(std::string(messages::mean_baseline), mean)};
    return quality;
  }

 private:
  static Tensor pixels(const Tensor& x) { return x.reshape({-1, 8, 1, 1}); }
  static Tensor last(const Tensor& x) { return x.slice(0, -held_out); }
  static double root_mean_square(const Tensor& x) { return std::sqrt(x.pow(2).mean().item<double>()); }
  static Tensor chosen(std::span<const kinds::Draw> draws) {
    std::vector<std::int64_t> rows;
    for (const kinds::Draw& draw : draws) rows.push_back(static_cast<std::int64_t>(draw.sample));
    return torch::tensor(rows);
  }
  Tensor answer(const Tensor& x) { return network_.forward(pixels(x)).reshape({-1, 1}); }
  [[nodiscard]] Tensor errors(const Tensor& prediction) const { return prediction - last(truth_); }

  models::TrainingForm network_;
  Tensor inputs_;  // [samples + held_out, 8]
  Tensor truth_;   // [samples + held_out, 1]
  kinds::DataSummary data_;
};

struct ToyRecipe final : kinds::Recipe {
  std::int64_t samples = 64;
  kinds::DataPlaces nowhere;  // data are made, not read

  [[nodiscard]] std::string fingerprint() const override {
    return "data.samples = " + std::to_string(samples) + "\n";
  }
  [[nodiscard]] const kinds::DataPlaces& places() const override { return nowhere; }
  void set_places(kinds::DataPlaces) override {}
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open(std::uint64_t seed) const override {
    return std::unique_ptr<kinds::Task>(std::make_unique<ToyTask>(samples, seed));
  }
};

class ToyKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "toy"; }
  [[nodiscard]] std::string_view help() const override {
    return "kind = \"toy\": the difference of two sums\n  [data]\n  samples = 64";
  }
  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<ToyRecipe>();
    recipe->samples = tables.data.integer("samples", recipe->samples, 8, 1000);
    return recipe;
  }
  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(const std::string&) const override {
    return std::unique_ptr<kinds::Recipe>(std::make_unique<ToyRecipe>());
  }
};

}  // namespace
}  // namespace outcrop

int main(int argc, char** argv) {
  outcrop::kinds::Register kinds = outcrop::kinds::built_in();
  kinds.add(std::make_unique<outcrop::ToyKind>());
  return outcrop::trainer_main(argc, argv, kinds);
}
