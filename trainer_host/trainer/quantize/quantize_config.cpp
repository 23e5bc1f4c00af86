#include "trainer_host/trainer/quantize/quantize_config.hpp"

#include "platform/config/toml_reader.hpp"
#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

namespace {

// Others' programs are configured by YAML, whose lines are nearly these.
Status check_toml(const std::filesystem::path& file) {
  const auto ending = file.extension();
  if (ending != ".yaml" && ending != ".yml") return {};
  return fail(ErrorCode::invalid_argument,
              file.string() + " is YAML, and configurations are TOML here: `method: gptq-4bit` is written method = "
                              "\"gptq-4bit\", `group_size: 128` is group_size = 128, and a nested block is a [table]");
}

// The same by the names of bitsandbytes' configuration in transformers.
void read_bitsandbytes(platform::TomlReader::Table& root, WeightOptions& weights) {
  weights.double_quant = root.boolean("bnb_4bit_use_double_quant", weights.double_quant);
  const std::string type = root.text("bnb_4bit_quant_type", "nf4");
  if (type != "nf4") root.refuse("bnb_4bit_quant_type", "is '" + type + "'; of its 4-bit types there is nf4 here");
}

}  // namespace

Result<QuantizeConfig> read_quantize_config(const std::filesystem::path& file) {
  OUTCROP_CHECK(check_toml(file));
  OUTCROP_TRY(reader, platform::TomlReader::open(file));
  auto root = reader.root();
  QuantizeConfig config;
  constexpr std::size_t most_methods = 16;
  const char* const key = root.has("methods") ? "methods" : "method";
  if (root.has("methods")) {
    config.methods = root.texts(key, std::nullopt, most_methods);
    if (config.methods.empty()) root.refuse(key, "is empty; methods = [\"static\"], say: outcrop list shows all");
  } else {
    config.methods = {root.text(key, std::nullopt)};
  }
  for (const std::string& method : config.methods) {
    if (method.empty()) continue;  // said by the reader
    if (const auto found = find_method(method); !found) {
      root.refuse(key, found.error().message());
    }
  }
  if (root.has("bits")) {
    const std::int64_t bits = root.integer("bits", std::nullopt, 2, 8);
    if (bits != 4) root.refuse("bits", "is " + std::to_string(bits) + "; codes of weights have 4 bits here, or 8 by int8-weights");
  }
  config.weights = read_weight_options(root, {});
  read_bitsandbytes(root, *config.weights);
  auto mixed = root.table("mixed");
  config.mixed = kinds::read_mixed_wishes(mixed);
  mixed.finish();
  root.finish();
  OUTCROP_CHECK(reader.status());
  return config;
}

}  // namespace outcrop::quantize
