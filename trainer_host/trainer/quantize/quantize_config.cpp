#include "trainer_host/trainer/quantize/quantize_config.hpp"

#include "platform/config/toml_reader.hpp"
#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

Result<QuantizeConfig> read_quantize_config(const std::filesystem::path& file) {
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
  auto mixed = root.table("mixed");
  config.mixed = kinds::read_mixed_wishes(mixed);
  mixed.finish();
  root.finish();
  OUTCROP_CHECK(reader.status());
  return config;
}

}  // namespace outcrop::quantize
