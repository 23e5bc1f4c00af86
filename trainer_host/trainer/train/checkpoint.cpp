#include "trainer_host/trainer/train/checkpoint.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/train/identity.hpp"

namespace outcrop::train {
namespace {

using Json = nlohmann::json;

// An earlier version kept the digest of the training data beside the text.
std::string identity_in(const Json& about) {
  auto text = about.at("config").get<std::string>();
  if (text.find("\ndata.train = ") == std::string::npos) {
    text += "data.train = " + about.at("data_digest").get<std::string>() + "\n";
  }
  return text;
}

std::string listed(const std::vector<Difference>& changed) {
  std::string lines;
  for (const Difference& difference : changed) lines += "\n  " + describe(difference);
  return lines;
}

Status check_kind(const std::string& there, const RunIdentity& identity) {
  if (there == identity.kind) return {};
  return fail(ErrorCode::invalid_argument,
              "it holds a model of the kind '" + there + "', and the configuration's is '" +
                  identity.kind + "': train that one into another folder (--out DIR)");
}

// What this run changes, or why it may not.
Result<std::vector<Difference>> check_identity(const Json& about, const RunIdentity& identity,
                                               bool allow_change) {
  auto changed = differences(identity_in(about), identity.text);
  if (changed.empty()) return changed;
  for (const Difference& difference : changed) {
    if (may_change(difference.key)) continue;
    return fail(ErrorCode::invalid_argument,
                "it was made with another network or under another name:" + listed(changed) +
                    "\nA run keeps both: train another one into another folder (--out DIR; with "
                    "--init WEIGHTS it begins from weights of the same network)");
  }
  if (allow_change) return changed;
  return fail(ErrorCode::invalid_argument,
              "it was made with another configuration or other data:" + listed(changed) +
                  "\nTo go on from there with what stands here, add --allow-change (the run's "
                  "lineage records it); to begin a new run from these weights, --init WEIGHTS "
                  "--out DIR");
}

Result<Progress> restore(const models::ModelFile& file, const RunIdentity& identity,
                         bool allow_change, kinds::Task& task,
                         const OptimizerOf& optimizer_of, Average& average) {
  if (file.kind != models::ModelFileKind::checkpoint) {
    return fail(ErrorCode::invalid_data,
                "it holds pure weights, no checkpoint: training cannot go on from it, but a new run "
                "can begin from it (--init WEIGHTS --out DIR)");
  }
  OUTCROP_TRY(description, models::description_in(file.about));
  OUTCROP_CHECK(check_kind(description.kind, identity));
  Progress progress;
  std::vector<Difference> changed;
  std::string history;
  std::string lineage;
  try {
    const Json about = Json::parse(file.about);
    OUTCROP_TRY(differences, check_identity(about, identity, allow_change));
    changed = std::move(differences);
    OUTCROP_TRY(epoch, json_integer(about.at("epoch"), "its epoch", 1));
    progress.epoch = epoch;
    OUTCROP_TRY(ended, json_integer(about.at("ended_stages"), "its number of ended stages", 0));
    progress.ended_stages = ended;
    history = about.at("history").get<std::string>();
    lineage = about.value("lineage", "");
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, std::string("its header is damaged: ") + error.what());
  }
  OUTCROP_TRY(rows, history_from_json(history));
  if (std::ssize(rows.rows) != progress.epoch) {
    return fail(ErrorCode::invalid_data,
                "its header is damaged: a history of " + std::to_string(rows.rows.size()) +
                    " epochs in a checkpoint of epoch " + std::to_string(progress.epoch));
  }
  progress.history = with_columns(rows, column_names(task));
  if (!lineage.empty()) {
    OUTCROP_TRY(read, lineage_from_json(lineage));
    progress.lineage = std::move(read);
  }
  for (const Difference& difference : changed) {
    progress.lineage.changes.push_back(
        {progress.epoch, difference.key, difference.there, difference.here});
  }
  OUTCROP_CHECK(models::restore(kinds::state_of(task), file.tensors));
  kinds::take_ranges(file.tensors, task);
  OUTCROP_CHECK(optimizer_of(progress.stage()).restore(file.tensors));
  OUTCROP_CHECK(average.take_up(file.tensors));
  return progress;
}

}  // namespace

std::int64_t Progress::stage() const {
  return history.rows.empty() ? 0 : history.rows.back().stage;
}

std::int64_t Progress::epochs_of(std::int64_t stage) const {
  return std::count_if(history.rows.begin(), history.rows.end(),
                       [stage](const EpochRecord& row) { return row.stage == stage; });
}

double Progress::trained_seconds() const {
  double seconds = 0.0;
  for (const EpochRecord& row : history.rows) seconds += row.seconds;
  return seconds;
}

std::vector<std::string> column_names(const kinds::Task& task) {
  std::vector<std::string> names;
  for (const kinds::Column& column : task.columns()) names.push_back(column.name);
  return names;
}

Status save_checkpoint(const std::filesystem::path& path, const RunIdentity& identity,
                       const kinds::Task& task, const Adam& optimizer, const Average& average,
                       const Progress& progress) {
  const models::ModelDescription description{
      .name = identity.model,
      .kind = identity.kind,
      .shape = task.shape(),
      .stage = std::max<std::int64_t>(progress.stage(), 1),
      .epoch = progress.epoch,
      .trained = std::chrono::duration<double>(progress.trained_seconds()),
      .data_digest = identity.data_digest};
  Json about = Json::parse(models::to_json(description));
  about["config"] = identity.text;
  about["ended_stages"] = progress.ended_stages;
  about["history"] = history_to_json(progress.history);
  about["lineage"] = lineage_to_json(progress.lineage);
  models::ModelFile file{models::ModelFileKind::checkpoint, json_text(about), kinds::state_of(task)};
  for (auto& tensor : optimizer.state()) file.tensors.push_back(std::move(tensor));
  for (auto& tensor : kinds::ranges_of(task)) file.tensors.push_back(std::move(tensor));
  for (auto& tensor : average.state()) file.tensors.push_back(std::move(tensor));
  const Status written = models::write_model_file(path, file);
  if (!written) return fail(written.error().context("saving the checkpoint"));
  return {};
}

Result<Progress> load_checkpoint(const std::filesystem::path& path, const RunIdentity& identity,
                                 bool allow_change, kinds::Task& task,
                                 const OptimizerOf& optimizer_of, Average& average) {
  OUTCROP_TRY(file, models::read_model_file(path));
  auto progress = restore(file, identity, allow_change, task, optimizer_of, average);
  if (!progress) return fail(progress.error().context("resuming from " + path.string()));
  return progress;
}

}  // namespace outcrop::train
