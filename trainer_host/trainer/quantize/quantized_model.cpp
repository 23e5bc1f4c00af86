#include "trainer_host/trainer/quantize/quantized_model.hpp"

#include <algorithm>
#include <array>
#include <fstream>

#include "protocol/base/regular_file.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"

namespace outcrop::quantize {
namespace fs = std::filesystem;
namespace {

constexpr const char* kind_of_modules = "module";
constexpr std::int64_t only_stage = 1;

std::string readable(std::string stem) {
  std::replace_if(
      stem.begin(), stem.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_'; }, '-');
  return stem;
}

Result<OpenedModel> open_module(const NamedModel& model, const kinds::Register& kinds) {
  OUTCROP_TRY(kind, kinds.find(kind_of_modules));
  OUTCROP_TRY(recipe, kind->take({model.file, model.weights, model.loss}));
  recipe->set_places({.train = model.calibration, .validation = model.held_out});
  OUTCROP_TRY(task, recipe->open(0));
  task->set_training(false);
  const std::string name = readable(model.file.stem().string());
  return OpenedModel{std::move(task), name, only_stage, name};
}

Result<OpenedModel> open_weights(const NamedModel& model, const kinds::Register& kinds) {
  for (const auto& [given, option] : {std::pair{!model.weights.empty(), "--weights"},
                                      std::pair{!model.loss.empty(), "--loss"}}) {
    if (!given) continue;
    return fail(ErrorCode::invalid_argument, std::string(option) + " is for TorchScript; " + model.file.string() +
                                                 " is of a training, and says that itself");
  }
  OUTCROP_TRY(opened, kinds::open_trained(model.file, kinds, {.train = model.calibration, .validation = model.held_out}));
  const bool other = opened.description.data_digest != opened.task->data().digest;
  const std::string stem = opened.description.name + "_stage" + std::to_string(opened.description.stage);
  return OpenedModel{std::move(opened.task), opened.description.name, opened.description.stage, stem, other};
}

}  // namespace

Result<bool> is_torch_script(const fs::path& file) {
  OUTCROP_TRY(checked, open_regular_file(file));
  std::ifstream stream(file, std::ios::binary);
  std::array<char, 4> first{};
  if (!stream.read(first.data(), first.size())) return false;
  return first == std::array<char, 4>{'P', 'K', '\3', '\4'};  // a zip archive
}

Status enclose_named(const std::vector<NamedModel>& models, const kinds::Register& kinds, std::vector<fs::path> read,
                     std::vector<fs::path> write, bool allow_reduced) {
  std::string kind_name;
  for (const NamedModel& model : models) {
    read.push_back(model.file);
    if (!model.weights.empty()) read.push_back(model.weights);
    read.insert(read.end(), model.calibration.begin(), model.calibration.end());
    read.insert(read.end(), model.held_out.begin(), model.held_out.end());
    OUTCROP_TRY(script, is_torch_script(model.file));
    if (script) {
      kind_name = kind_of_modules;
      continue;
    }
    OUTCROP_TRY(named, models::kind_named_in(model.file));
    if (kind_name.empty()) kind_name = named;
  }
  OUTCROP_TRY(kind, kinds.find(kind_name));
  return kinds::enclose(*kind, std::move(read), std::move(write), allow_reduced);
}

Result<OpenedModel> open_named(const NamedModel& model, const kinds::Register& kinds) {
  OUTCROP_TRY(script, is_torch_script(model.file));
  return script ? open_module(model, kinds) : open_weights(model, kinds);
}

}  // namespace outcrop::quantize
