#include "trainer_host/trainer/train/config.hpp"

#include <algorithm>
#include <sstream>

#include "platform/config/toml_reader.hpp"
#include "protocol/messages/manifest.hpp"

namespace outcrop::train {
namespace {

using platform::TomlReader;

constexpr std::size_t most_device_classes = 64;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string read_name(TomlReader::Table& model) {
  std::string name = model.text("name", std::nullopt);
  if (!name.empty() && !is_plain_name(name)) {
    model.refuse("name", "'" + name + "' is no model name; use 1 to 63 of a-z, 0-9 and -");
  }
  return name;
}

double read_average(TomlReader::Table& table) {
  const double average = table.number("average", 0.0, 0.0, 0.99999);
  if (average > 0.0 && average < 0.5) {
    table.refuse("average", "it must be 0, which is none, or a number from 0.5 to 0.99999");
  }
  return average;
}

LoopConfig::ForInt8 read_for_int8(TomlReader::Table& table) {
  LoopConfig::ForInt8 int8;
  int8.from = table.integer("qat_from", int8.from, 0, 1'000'000);
  int8.rate = table.number("qat_rate", int8.rate, 1e-4, 1.0);
  int8.warm_up = table.number("qat_warm_up", int8.warm_up, 0.0, 0.9);
  int8.frozen_from = table.number("qat_frozen_from", std::max(int8.frozen_from, int8.warm_up), 0.0, 1.0);
  if (int8.frozen_from < int8.warm_up) {
    table.refuse("qat_frozen_from", "ranges are first chosen at the end of the warm-up, and that is after it: give a share "
                                    "of the stage from qat_warm_up to 1");
  }
  for (const char* key : {"qat_rate", "qat_warm_up", "qat_frozen_from"}) {
    if (int8.from == 0 && table.has(key)) {
      table.refuse(key, "no stage is trained for int8: say by qat_from which is the first");
    }
  }
  return int8;
}

LoopConfig read_loop(TomlReader::Table& table) {
  LoopConfig loop;
  loop.out = table.path("out", std::nullopt);
  loop.stage_epochs = table.integer("stage_epochs", loop.stage_epochs, 1, 10'000);
  loop.batch = table.integer("batch", loop.batch, 2, 1024);
  loop.learning_rate = table.number("learning_rate", loop.learning_rate, 1e-7, 1.0);
  loop.weight_decay = table.number("weight_decay", loop.weight_decay, 0.0, 1.0);
  loop.gradient_clip = table.number("gradient_clip", loop.gradient_clip, 1e-6, 1e6);
  loop.average = read_average(table);
  loop.int8 = read_for_int8(table);
  loop.seed = static_cast<std::uint64_t>(table.integer(
      "seed", static_cast<std::int64_t>(loop.seed), 0, std::numeric_limits<std::int64_t>::max()));
  loop.threads = table.integer("threads", loop.threads, 0, 256);
  loop.keep_stages = table.integer("keep_stages", loop.keep_stages, 0, 1'000'000);
  return loop;
}

void read_quantize(TomlReader::Table table, TrainConfig& config) {
  constexpr std::size_t most_variants = 16;  // as many as a manifest has room for
  config.variants = table.texts("variants", std::vector<std::string>(), most_variants);
  auto mixed = table.table("mixed");
  config.mixed = kinds::read_mixed_wishes(mixed);
  mixed.finish();
  const auto is_mixed = [](const std::string& name) { return name == "int8-mixed" || name == "mixed"; };
  if (table.has("mixed") && std::none_of(config.variants.begin(), config.variants.end(), is_mixed)) {
    table.refuse("mixed", "is what int8-mixed keeps to, and variants has no int8-mixed");
  }
  table.finish();
}

ReleaseConfig read_release(TomlReader::Table table) {
  ReleaseConfig release;
  release.keys = table.path("keys", std::nullopt);
  release.expiry = std::chrono::days(table.integer("expiry_days", release.expiry.count(), 1, 3650));
  if (table.has("policy")) release.policy = table.path("policy", std::nullopt);
  release.signed_elsewhere = table.boolean("signed_elsewhere", false);
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
  text << "model.kind = " << kind << "\nmodel.name = " << name
       << "\ndata.held_out = " << recipe->places().held_out
       << "\ntrain.stage_epochs = " << train.stage_epochs << "\ntrain.batch = " << train.batch
       << "\ntrain.learning_rate = " << train.learning_rate
       << "\ntrain.weight_decay = " << train.weight_decay
       << "\ntrain.gradient_clip = " << train.gradient_clip << "\ntrain.seed = " << train.seed
       << "\n";
  // As it was before there were averages, where there is none.
  if (train.average > 0.0) text << "train.average = " << train.average << "\n";
  if (train.int8.from > 0) {
    text << "train.qat_from = " << train.int8.from << "\ntrain.qat_rate = " << train.int8.rate
         << "\ntrain.qat_warm_up = " << train.int8.warm_up << "\ntrain.qat_frozen_from = " << train.int8.frozen_from
         << "\n";
  }
  return text.str() + recipe->fingerprint();
}

Result<TrainConfig> read_config(const std::filesystem::path& file, const kinds::Register& kinds,
                                const std::vector<std::string>& settings) {
  OUTCROP_TRY(reader, TomlReader::open(file, settings));
  auto root = reader.root();
  auto model = root.table("model");
  auto data = root.table("data");
  auto loop = root.table("train");
  TrainConfig config;
  config.name = read_name(model);
  config.kind = model.text("kind", std::string(kinds.usual().name()));
  const auto kind = kinds.find(config.kind);
  if (!kind) {
    model.refuse("kind", kind.error().message());
    return fail(reader.status().error());
  }
  config.recipe = (*kind)->read({model, data, loop});
  config.train = read_loop(loop);
  if ((*kind)->made_by_others() && root.has("release")) {
    model.refuse("kind", "'" + config.kind +
                             "' runs what others wrote, and keys do not belong into its process: leave "
                             "[release] out, and sign a stage by outcrop release create");
  }
  for (auto* table : {&model, &data, &loop}) table->finish();
  read_quantize(root.table("quantize"), config);
  const bool release = root.has("release");
  auto release_table = root.table("release");
  if (release) config.release = read_release(std::move(release_table));
  config.budgets = read_budgets(root.table("budgets"));
  root.finish();
  OUTCROP_CHECK(reader.status());
  return config;
}

}  // namespace outcrop::train
