#pragma once

#include <torch/script.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer_host/trainer/kinds/generator/gathers/gather_maker.hpp"
#include "trainer_host/trainer/kinds/generator/generator.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::generator {

// A maker of gathers from maps, as it is trained and as it is taken apart for boards. What it lays out in front
// of its network and puts together behind it is TorchScript, the same on boards; the network is one that methods
// of quantization know.
//
// Maps are [M, depth, width] in m/s, clamped to the geometry's bounds; columns [N] int64 are those of sources, of
// which any column may be one; M is N, or 1 for shots over one map. Gathers are log-scaled: sign(p)·log(1 + |p|) / log(61).
class MapGathers {
 public:
  // invalid_argument where it cannot have the geometry, with what it can. The same weights from the same seed.
  [[nodiscard]] static Result<MapGathers> make(const GeneratorShape& shape, const data::Geometry& geometry,
                                               std::uint64_t seed);

  // "gather_front" where there is one, and "gather_net"; none of a maker without weights.
  [[nodiscard]] std::vector<kinds::Part> parts() const;
  // How that part is trained; null without such a part.
  [[nodiscard]] models::TrainingForm* form(const std::string& part);
  void train(bool on);
  // [N, times, width], to be differentiated by the parts' weights.
  [[nodiscard]] torch::Tensor gathers(const torch::Tensor& maps, const torch::Tensor& columns);
  [[nodiscard]] std::optional<std::string> first_non_finite(const torch::Tensor& maps,
                                                            const torch::Tensor& columns);

  // ---- for boards
  [[nodiscard]] GatherMaker maker() const { return maker_; }
  // What each of parts() sees of them, in their order: [N, channels, rows, columns]. Of the float networks in evaluation
  // mode, whatever they are trained through.
  [[nodiscard]] std::vector<torch::Tensor> part_inputs(const torch::Tensor& maps, const torch::Tensor& columns);
  // Everything but the networks; what source() calls, which defines `gathers_over(map [1, depth, width]) ->
  // pressure [shots, times, width]` of a module that has it as `maker`, the networks by their names, and source
  // columns as `columns`.
  [[nodiscard]] const torch::jit::Module& around() const { return around_; }
  [[nodiscard]] std::string source() const;
  // Of one map's gathers, those of the networks left out.
  [[nodiscard]] std::int64_t multiply_adds_around() const { return multiply_adds_; }

 private:
  MapGathers(GatherMaker maker, torch::jit::Module around) : maker_(maker), around_(std::move(around)) {}
  [[nodiscard]] torch::Tensor held(const torch::Tensor& maps) const;
  // What the network sees, and what its answer is added to.
  [[nodiscard]] std::pair<torch::Tensor, torch::Tensor> laid(const torch::Tensor& held, const torch::Tensor& columns);
  // Of what the front answers, or the maps where there is none.
  [[nodiscard]] std::pair<torch::Tensor, torch::Tensor> laid_of(const torch::Tensor& features, const torch::Tensor& held,
                                                                const torch::Tensor& columns) const;

  GatherMaker maker_;
  torch::jit::Module around_;
  std::optional<models::TrainingForm> front_;
  std::optional<models::TrainingForm> net_;
  std::int64_t multiply_adds_ = 0;
};

}  // namespace outcrop::generator
