#include "trainer_host/trainer/kinds/kind.hpp"

#include <unordered_map>

#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/kinds/register.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"

namespace outcrop::kinds {

Status Task::set_fitted(const models::NamedTensors& tensors) {
  (void)tensors;
  return {};
}

Result<Conditioned> Task::condition(const Conditions& conditions) {
  (void)conditions;
  return fail(ErrorCode::unsupported, "models of this kind draw nothing from noise, which is what conditions are put on");
}

bool Task::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  (void)part;
  return !form;
}

Result<std::unique_ptr<Recipe>> Kind::take(const Brought&) const {
  return fail(ErrorCode::unsupported,
              "the kind '" + std::string(name()) + "' makes its networks itself");
}

DataPlaces read_places(platform::TomlReader::Table& data) {
  constexpr std::size_t most_folders = 1000;
  DataPlaces places;
  places.train = data.paths("train", most_folders);
  places.held_out = data.integer("held_out", 0, 0, 1'000'000);
  if (!data.has("validation")) return places;
  places.validation = data.paths("validation", most_folders);
  if (places.held_out > 0) data.refuse("held_out", "give either held_out or validation, not both");
  return places;
}

models::NamedTensors state_of(const Task& task) {
  models::NamedTensors state;
  for (const Part& part : task.parts()) {
    for (const auto& [name, tensor] : models::tensors_of(part.network)) {
      state.emplace_back(part.name + "." + name, tensor);
    }
  }
  return state;
}

Export export_of(Task& task) {
  Export model = task.make_export();
  for (ExportPart& part : model.parts) {
    const auto found = task.trained_ranges().find(part.name);
    if (found != task.trained_ranges().end()) part.trained_ranges = found->second;
  }
  return model;
}

namespace {

constexpr std::string_view range_prefix = "qat.";

}  // namespace

models::NamedTensors ranges_of(const Task& task) {
  models::NamedTensors tensors;
  for (const auto& [part, ranges] : task.trained_ranges()) {
    for (const auto& [name, range] : ranges) {
      tensors.emplace_back(std::string(range_prefix) + part + "." + name, range);
    }
  }
  return tensors;
}

void take_ranges(const models::NamedTensors& tensors, Task& task) {
  std::map<std::string, models::NamedTensors> ranges;
  for (const Part& part : task.parts()) {
    const std::string prefix = std::string(range_prefix) + part.name + ".";
    for (const auto& [name, tensor] : tensors) {
      if (name.starts_with(prefix)) ranges[part.name].emplace_back(name.substr(prefix.size()), tensor.clone());
    }
  }
  task.set_trained_ranges(std::move(ranges));
}

Status save_weights(const std::filesystem::path& path, const Task& task,
                    const models::ModelDescription& description) {
  models::ModelFile file{models::ModelFileKind::weights, models::to_json(description),
                         state_of(task)};
  for (auto& tensor : task.fitted()) file.tensors.push_back(std::move(tensor));
  for (auto& tensor : ranges_of(task)) file.tensors.push_back(std::move(tensor));
  return models::write_model_file(path, file);
}

models::NamedTensors weights_in(const models::ModelFile& file) {
  models::NamedTensors weights = file.tensors;
  if (file.kind != models::ModelFileKind::checkpoint) return weights;
  std::unordered_map<std::string_view, const torch::Tensor*> averages;
  for (const auto& [name, tensor] : file.tensors) {
    if (!name.starts_with(averaged_prefix)) continue;
    averages.emplace(std::string_view(name).substr(averaged_prefix.size()), &tensor);
  }
  for (auto& [name, tensor] : weights) {
    const auto average = averages.find(name);
    if (average != averages.end()) tensor = *average->second;
  }
  return weights;
}

Status take_weights(const models::ModelFile& file, Task& task) {
  OUTCROP_CHECK(models::restore(state_of(task), weights_in(file)));
  take_ranges(file.tensors, task);
  task.set_training(false);
  if (file.kind == models::ModelFileKind::weights) return task.set_fitted(file.tensors);
  if (task.data().training == 0) {
    return fail(ErrorCode::invalid_argument,
                "a checkpoint lacks what is fitted at the end of a stage: name the training data "
                "too, or take the stage's weights");
  }
  task.fit();
  return {};
}

Result<TrainedTask> open_trained(const std::filesystem::path& weights, const Register& kinds,
                                 DataPlaces places) {
  const auto in_file = [&](const Error& error) {
    return fail(error.context("reading " + weights.string()));
  };
  OUTCROP_TRY(file, models::read_model_file(weights));
  auto described = models::description_in(file.about);
  if (!described) return in_file(described.error());
  OUTCROP_TRY(kind, kinds.find(described->kind));
  if (kind->made_by_others() && !is_enclosed()) {
    return fail(ErrorCode::internal, "reading " + weights.string() +
                                         ": a model made by others, opened outside of its enclosure");
  }
  auto recipe = kind->recipe(described->shape);
  if (!recipe) return in_file(recipe.error());
  (*recipe)->set_places(std::move(places));
  OUTCROP_TRY(task, (*recipe)->open(0));
  if (const Status taken = take_weights(file, *task); !taken) return in_file(taken.error());
  return TrainedTask{std::move(*described), std::move(task)};
}

Phase whole(const Task& task) {
  Phase phase{"whole", {}};
  for (const auto& [name, tensor] : state_of(task)) {
    if (tensor.requires_grad()) phase.trained.push_back({name, tensor});
  }
  return phase;
}

}  // namespace outcrop::kinds
