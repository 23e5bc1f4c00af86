#include "trainer_host/trainer/experiment/experiment_config.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "platform/config/toml_reader.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/join.hpp"
#include "protocol/messages/names.hpp"
#include "trainer_host/trainer/experiment/exports.hpp"
#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::experiment {
namespace {

using platform::TomlReader;

constexpr std::size_t most_steps = 32;
constexpr std::size_t most_methods = 15;  // with float as many as a manifest has room for
constexpr std::int64_t usual_int8_epochs = 5;

// What the steps do that are known by name, where nothing else is said.
const std::map<std::string, std::vector<std::string>>& known_steps() {
  static const std::map<std::string, std::vector<std::string>> steps{
      {baseline_name, {"float-mobile"}}, {"dynamic", {"dynamic"}},           {"static", {"static"}},
      {"qat", {"qat"}},                  {"mixed", {"int8-qint8", "fp16", "int8-mixed"}}};
  return steps;
}

std::string right_names() {
  std::vector<std::string> names;
  for (const auto& [name, methods] : known_steps()) names.push_back(name);
  return "known are " + join(names) + "; any other needs a table of its own with methods";
}

bool wants_training(const std::vector<std::string>& variants) {
  const auto trained = quantize::trained_variants();
  return std::any_of(variants.begin(), variants.end(), [&](const std::string& name) {
    return std::find(trained.begin(), trained.end(), name) != trained.end();
  });
}

std::vector<std::string> read_variants(TomlReader::Table& table, const std::vector<std::string>& usual) {
  const auto methods = table.texts("methods", usual, most_methods);
  auto variants = quantize::variants_of(methods);
  if (!variants) {
    table.refuse("methods", variants.error().message());
    return {};
  }
  if (variants->empty()) table.refuse("methods", "is an empty list; name at least one (outcrop list)");
  std::erase(*variants, "float");
  return std::move(*variants);
}

std::vector<std::string> read_exports(TomlReader::Table& table, const std::vector<std::string>& usual) {
  const auto& known = export_formats();
  auto formats = table.texts("exports", usual, known.size());
  for (const std::string& format : formats) {
    if (std::find(known.begin(), known.end(), format) != known.end()) continue;
    table.refuse("exports", "'" + format + "' is no format; " + platform::did_you_mean(format, known) + "there are " + join(known));
  }
  return formats;
}

Step read_step(TomlReader::Table& root, TomlReader::Table& tables, const std::string& name, std::int64_t number,
               const std::vector<std::string>& usual_exports) {
  Step step{.name = name, .number = number};
  const auto known = known_steps().find(name);
  if (!messages::is_name(name)) root.refuse("steps", "'" + name + "' is no name: 1 to 63 of a-z, 0-9 and -");
  if (known == known_steps().end() && !tables.has(name)) {
    std::vector<std::string> names;
    for (const auto& [each, methods] : known_steps()) names.push_back(each);
    root.refuse("steps", "there is no step '" + name + "'; " + platform::did_you_mean(name, names) + right_names());
    return step;
  }
  auto table = tables.table(name);
  step.variants = read_variants(table, known == known_steps().end() ? std::vector<std::string>() : known->second);
  const bool trains = wants_training(step.variants);
  step.int8_epochs = table.integer("int8_epochs", trains ? usual_int8_epochs : 0, trains ? 1 : 0, 10'000);
  if (step.int8_epochs > 0 && !trains) {
    table.refuse("int8_epochs", "nothing of this step is made of weights that were trained for int8: add qat to its methods");
  }
  if (name == baseline_name && trains) table.refuse("methods", "the baseline is trained in float: qat is a step of its own");
  step.exports = read_exports(table, usual_exports);
  if (table.has("exports") && !step.exports.empty() && exported_names(step).empty()) {
    table.refuse("exports", "nothing of this step can be left in " + join(step.exports) +
                                ": int8-qint8, int8-dynamic and int8-qat are left as .tflite, what trains as .keras and .safetensors");
  }
  step.release = table.boolean("release", false);
  table.finish();
  return step;
}

}  // namespace

bool Step::trains() const {
  return name == baseline_name || int8_epochs > 0;
}

const Step* Experiment::find(const std::string& step) const {
  const auto found = std::find_if(steps.begin(), steps.end(), [&](const Step& one) { return one.name == step; });
  return found == steps.end() ? nullptr : &*found;
}

Status Experiment::check_step(const std::string& step) const {
  if (find(step) != nullptr) return {};
  std::vector<std::string> names;
  for (const Step& one : steps) names.push_back(one.name);
  return fail(ErrorCode::invalid_argument, "there is no step '" + step + "' in " + file.string() + "; " +
                                               platform::did_you_mean(step, names) + "its steps are " + join(names));
}

Result<Experiment> read_experiment(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, TomlReader::open(file));
  auto root = reader.root();
  auto table = root.table("experiment");
  Experiment experiment;
  experiment.file = file;
  experiment.name = table.text("name", std::nullopt);
  experiment.config = table.path("config", std::nullopt);
  experiment.settings = table.texts("set", std::vector<std::string>(), 64);
  experiment.out = table.path("out", "results");
  experiment.stages = table.integer("stages", experiment.stages, 1, 1'000'000);
  auto names = table.texts("steps", std::vector<std::string>{baseline_name, "dynamic", "static", "qat", "mixed"}, most_steps);
  std::erase(names, baseline_name);
  names.insert(names.begin(), baseline_name);
  if (std::set(names.begin(), names.end()).size() != names.size()) table.refuse("steps", "names a step twice");
  const auto exports = read_exports(table, {});
  auto tables = root.table("steps");
  for (const std::string& name : names) {
    experiment.steps.push_back(read_step(table, tables, name, static_cast<std::int64_t>(experiment.steps.size()) + 1, exports));
  }
  tables.finish("steps that experiment.steps lists may have a table each, [steps.NAME]: " + join(names));
  table.finish();
  root.finish();
  OUTCROP_CHECK(reader.status());
  return experiment;
}

}  // namespace outcrop::experiment
