#include "trainer_host/trainer/experiment/step_record.hpp"

#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

// Nothing where it is no JSON object.
Json object_in(const fs::path& file) {
  const auto text = read_text_file(file);
  if (!text) return {};
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  return json.is_object() ? json : Json();
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

// "stage3", ".stage3.making", releases, pictures, figures, exports: all that a step makes besides training and logs.
bool is_made_by_step(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with("stage") || name.starts_with(".stage") || name == "releases" || name == "metrics.json" ||
         name == "comparison.csv" || name == "quantization_performance.csv" || path.extension() == ".png" ||
         path.extension() == ".weights" || name == "export.json" || path.extension() == ".tflite" || path.extension() == ".onnx" ||
         path.extension() == ".keras" || path.extension() == ".safetensors";
}

}  // namespace

Status claim_results(const Experiment& experiment, const fs::path& out) {
  const fs::path mark = out / "experiment.json";
  std::error_code error;
  if (fs::exists(mark, error)) {
    const std::string name = text_in(object_in(mark), "name");
    if (name == experiment.name) return {};
    return fail(ErrorCode::already_exists, out.string() + " holds results of another experiment ('" + name + "', not '" +
                                               experiment.name + "'); nothing was changed. Name another folder (--out DIR)");
  }
  if (fs::exists(out, error) && !fs::is_empty(out, error)) {
    return fail(ErrorCode::already_exists, out.string() + " holds files that are no experiment's results; nothing was "
                                                          "changed. Name a new or empty folder (--out DIR)");
  }
  fs::create_directories(out, error);
  if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
  return write_file_durably(mark, json_text(Json{{"name", experiment.name}}, 2) + "\n");
}

std::string recorded_digest(const fs::path& record) {
  return text_in(object_in(record), "digest");
}

bool is_current(const ResultPaths& paths, const Step& step, const Inputs& inputs) {
  const std::string digest = digest_of(inputs);
  return recorded_digest(paths.record(step.name)) == digest &&
         recorded_digest(paths.metrics(step.name)) == digest;
}

Status begin_step(const ResultPaths& paths, const Experiment& experiment, const Step& step, const Inputs& inputs) {
  const fs::path folder = paths.step(step.name);
  std::error_code error;
  fs::create_directories(folder, error);
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_made_by_step(entry.path())) old.push_back(entry.path());
  }
  if (recorded_digest(paths.record(step.name)) != digest_of(inputs)) {
    for (const fs::path& path : old) fs::remove_all(path, error);
  } else {
    fs::remove(paths.metrics(step.name), error);  // the stage that a kill left is taken up
  }
  if (error) return fail(ErrorCode::io, "making " + folder.string() + " ready: " + error.message());
  const Json record{{"experiment", experiment.name}, {"step", step.name},          {"digest", digest_of(inputs)},
                    {"config", experiment.config.string()}, {"set", experiment.settings}, {"variants", step.variants},
                    {"int8_epochs", step.int8_epochs}, {"release", step.release},  {"made_of", inputs}};
  return write_file_durably(paths.record(step.name), json_text(record, 2) + "\n");
}

}  // namespace outcrop::experiment
