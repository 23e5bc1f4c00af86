#include "trainer_host/trainer/train/config.hpp"

#include <algorithm>
#include <sstream>

#include "platform/config/toml_reader.hpp"
#include "protocol/messages/manifest.hpp"

namespace outcrop::train {
namespace {

using platform::TomlReader;

constexpr std::int64_t largest_width = 256;  // channels
constexpr std::size_t most_folders = 1000;
constexpr std::size_t most_device_classes = 64;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

ModelConfig read_model(TomlReader::Table table) {
  ModelConfig model;
  model.name = table.text("name", std::nullopt);
  if (!model.name.empty() && !is_plain_name(model.name)) {
    table.refuse("name", "'" + model.name + "' is no model name; use 1 to 63 of a-z, 0-9 and -");
  }
  auto& shape = model.shape;
  shape.latent = table.integer("latent", shape.latent, 4, 128);
  if (shape.latent % 4 != 0) {
    table.refuse("latent", std::to_string(shape.latent) + " is not a multiple of 4");
  }
  shape.encoder_width = table.integer("encoder_width", shape.encoder_width, 1, largest_width);
  shape.velocity_width = table.integer("velocity_width", shape.velocity_width, 1, largest_width);
  shape.seismic_width = table.integer("seismic_width", shape.seismic_width, 1, largest_width);
  table.finish();
  return model;
}

DataConfig read_data(TomlReader::Table table) {
  DataConfig data;
  data.train = table.paths("train", most_folders);
  data.held_out = table.integer("held_out", 0, 0, 1'000'000);
  if (table.has("validation")) {
    data.validation = table.paths("validation", most_folders);
    if (data.held_out > 0) table.refuse("held_out", "give either held_out or validation, not both");
  }
  table.finish();
  return data;
}

LoopConfig read_loop(TomlReader::Table table) {
  LoopConfig loop;
  loop.out = table.path("out", std::nullopt);
  loop.stage_epochs = table.integer("stage_epochs", loop.stage_epochs, 1, 10'000);
  loop.batch = table.integer("batch", loop.batch, 2, 1024);
  loop.learning_rate = table.number("learning_rate", loop.learning_rate, 1e-7, 1.0);
  loop.weight_decay = table.number("weight_decay", loop.weight_decay, 0.0, 1.0);
  loop.gradient_clip = table.number("gradient_clip", loop.gradient_clip, 1e-6, 1e6);
  loop.edge_weight = table.number("edge_weight", loop.edge_weight, 0.0, 100.0);
  loop.seismic_rate = table.number("seismic_rate", loop.seismic_rate, 1e-3, 1e3);
  loop.latent_penalty = table.number("latent_penalty", loop.latent_penalty, 0.0, 10.0);
  loop.seismic_in_latent = table.number("seismic_in_latent", loop.seismic_in_latent, 0.0, 1.0);
  loop.flip = table.boolean("flip", loop.flip);
  loop.seed = static_cast<std::uint64_t>(table.integer(
      "seed", static_cast<std::int64_t>(loop.seed), 0, std::numeric_limits<std::int64_t>::max()));
  loop.threads = table.integer("threads", loop.threads, 0, 256);
  table.finish();
  return loop;
}

ReleaseConfig read_release(TomlReader::Table table) {
  ReleaseConfig release;
  release.keys = table.path("keys", std::nullopt);
  release.expiry = std::chrono::days(table.integer("expiry_days", release.expiry.count(), 1, 3650));
  if (table.has("policy")) release.policy = table.path("policy", std::nullopt);
  release.objective = table.text("objective", "p90_ms");
  // Whatever a manifest may say.
  const auto objective = messages::objective_from(release.objective);
  if (!objective) table.refuse("objective", objective.error().message());
  table.finish();
  return release;
}

std::map<std::string, Budget> read_budgets(TomlReader::Table table) {
  std::map<std::string, Budget> budgets;
  for (const std::string& device_class : table.table_names()) {
    if (!is_plain_name(device_class)) {
      table.refuse(device_class, "is no device class; use 1 to 63 of a-z, 0-9 and -");
    }
    auto entry = table.table(device_class);
    Budget budget;
    budget.p90_ms = entry.number("p90_ms", std::nullopt, 1e-3, 1e7);
    budget.memory_mb = entry.number("memory_mb", std::nullopt, 1.0, 1e7);
    entry.finish();
    budgets.emplace(device_class, budget);
  }
  // As many as a manifest has room for.
  if (budgets.size() > most_device_classes) {
    table.refuse(budgets.rbegin()->first, "is one device class too many; " +
                                              std::to_string(most_device_classes) +
                                              " may have a budget");
  }
  table.finish("budgets stand in a table for each device class, [budgets.NAME]");
  return budgets;
}

}  // namespace

std::string TrainConfig::fingerprint() const {
  std::ostringstream text;
  text.precision(17);
  text << std::boolalpha << "model.name = " << model.name
       << "\nmodel.latent = " << model.shape.latent
       << "\nmodel.encoder_width = " << model.shape.encoder_width
       << "\nmodel.velocity_width = " << model.shape.velocity_width
       << "\nmodel.seismic_width = " << model.shape.seismic_width
       << "\ndata.held_out = " << data.held_out << "\ntrain.stage_epochs = " << train.stage_epochs
       << "\ntrain.batch = " << train.batch << "\ntrain.learning_rate = " << train.learning_rate
       << "\ntrain.weight_decay = " << train.weight_decay
       << "\ntrain.gradient_clip = " << train.gradient_clip
       << "\ntrain.edge_weight = " << train.edge_weight
       << "\ntrain.seismic_rate = " << train.seismic_rate
       << "\ntrain.latent_penalty = " << train.latent_penalty
       << "\ntrain.seismic_in_latent = " << train.seismic_in_latent
       << "\ntrain.flip = " << train.flip << "\ntrain.seed = " << train.seed << "\n";
  return text.str();
}

Result<TrainConfig> read_config(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, TomlReader::open(file));
  auto root = reader.root();
  TrainConfig config;
  config.model = read_model(root.table("model"));
  config.data = read_data(root.table("data"));
  config.train = read_loop(root.table("train"));
  const bool release = root.has("release");
  auto release_table = root.table("release");
  if (release) config.release = read_release(std::move(release_table));
  config.budgets = read_budgets(root.table("budgets"));
  root.finish();
  OUTCROP_CHECK(reader.status());
  return config;
}

}  // namespace outcrop::train
