#include "trainer_host/trainer/train/checkpoint.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/train/schedule.hpp"

namespace outcrop::train {
namespace {

using Json = nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Both texts name the same keys in the same order, unless another version wrote one of them.
std::string difference(const std::string& there, const std::string& here) {
  const auto old_lines = lines_of(there);
  const auto new_lines = lines_of(here);
  std::string text;
  for (std::size_t i = 0; i < std::max(old_lines.size(), new_lines.size()); ++i) {
    const std::string before = i < old_lines.size() ? old_lines[i] : "nothing";
    const std::string now = i < new_lines.size() ? new_lines[i] : "nothing";
    if (before != now) text += "\n  there: " + before + "\n  here:  " + now;
  }
  return text;
}

Status check_identity(const Json& about, const RunIdentity& identity) {
  const auto config = about.at("config").get<std::string>();
  if (config != identity.config) {
    return fail(ErrorCode::invalid_argument,
                "it was made with another configuration:" + difference(config, identity.config));
  }
  const auto data = about.at("data_digest").get<std::string>();
  if (data != identity.data_digest) {
    return fail(ErrorCode::invalid_argument, "it was made with other training data (digest " +
                                                 data.substr(0, 12) + "… there, " +
                                                 identity.data_digest.substr(0, 12) + "… here)");
  }
  return {};
}

Result<Progress> restore(const models::ModelFile& file, const RunIdentity& identity,
                         const models::Generator& generator, Adam& optimizer) {
  if (file.kind != models::ModelFileKind::checkpoint) {
    return fail(ErrorCode::invalid_data,
                "it holds pure weights, no checkpoint: training cannot go on from it");
  }
  Progress progress;
  std::string history;
  try {
    const Json about = Json::parse(file.about);
    OUTCROP_CHECK(check_identity(about, identity));
    progress.epoch = about.at("epoch").get<std::int64_t>();
    progress.ended_stages = about.at("ended_stages").get<std::int64_t>();
    history = about.at("history").get<std::string>();
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, std::string("its header is damaged: ") + error.what());
  }
  OUTCROP_TRY(rows, history_from_json(history));
  if (progress.epoch < 1 || std::ssize(rows) != progress.epoch) {
    return fail(ErrorCode::invalid_data,
                "its header is damaged: a history of " + std::to_string(rows.size()) +
                    " epochs in a checkpoint of epoch " + std::to_string(progress.epoch));
  }
  progress.history = std::move(rows);
  OUTCROP_CHECK(models::restore_state(generator, file.tensors));
  OUTCROP_CHECK(optimizer.restore(file.tensors));
  return progress;
}

}  // namespace

double Progress::trained_seconds() const {
  double seconds = 0.0;
  for (const EpochRecord& row : history) seconds += row.seconds;
  return seconds;
}

Status save_checkpoint(const std::filesystem::path& path, const RunIdentity& identity,
                       const models::Generator& generator, const Adam& optimizer,
                       const Progress& progress) {
  models::TrainedModel model;
  model.name = identity.model;
  model.stage = stage_of(std::max<std::int64_t>(progress.epoch, 1), identity.stage_epochs);
  model.epoch = progress.epoch;
  model.trained = std::chrono::duration<double>(progress.trained_seconds());
  model.data_digest = identity.data_digest;
  model.generator = generator;
  Json about = Json::parse(models::describe_model(model));
  about["config"] = identity.config;
  about["ended_stages"] = progress.ended_stages;
  about["history"] = history_to_json(progress.history);
  models::ModelFile file{models::ModelFileKind::checkpoint, about.dump(),
                         models::state_of(generator)};
  for (auto& tensor : optimizer.state()) file.tensors.push_back(std::move(tensor));
  const Status written = models::write_model_file(path, file);
  if (!written) return fail(written.error().context("saving the checkpoint"));
  return {};
}

Result<Progress> load_checkpoint(const std::filesystem::path& path, const RunIdentity& identity,
                                 const models::Generator& generator, Adam& optimizer) {
  OUTCROP_TRY(file, models::read_model_file(path));
  auto progress = restore(file, identity, generator, optimizer);
  if (!progress) return fail(progress.error().context("resuming from " + path.string()));
  return progress;
}

}  // namespace outcrop::train
