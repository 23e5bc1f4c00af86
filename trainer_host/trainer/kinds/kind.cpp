#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::kinds {

Status Task::set_fitted(const models::NamedTensors& tensors) {
  (void)tensors;
  return {};
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
    for (const auto& parameter : part.network.named_parameters()) {
      state.emplace_back(part.name + "." + parameter.name, parameter.value);
    }
    for (const auto& buffer : part.network.named_buffers()) {
      state.emplace_back(part.name + "." + buffer.name, buffer.value);
    }
  }
  return state;
}

Status save_weights(const std::filesystem::path& path, const Task& task,
                    const models::ModelDescription& description) {
  models::ModelFile file{models::ModelFileKind::weights, models::to_json(description),
                         state_of(task)};
  for (auto& tensor : task.fitted()) file.tensors.push_back(std::move(tensor));
  return models::write_model_file(path, file);
}

Status take_weights(const models::ModelFile& file, Task& task) {
  OUTCROP_CHECK(models::restore(state_of(task), file.tensors));
  task.set_training(false);
  if (file.kind == models::ModelFileKind::weights) return task.set_fitted(file.tensors);
  task.fit();
  return {};
}

Phase whole(const Task& task) {
  Phase phase{"whole", {}};
  for (const auto& [name, tensor] : state_of(task)) {
    if (tensor.requires_grad()) phase.trained.push_back({name, tensor});
  }
  return phase;
}

}  // namespace outcrop::kinds
