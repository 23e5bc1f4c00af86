#include "trainer_host/trainer/data/synth_source.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_integer.hpp"

namespace outcrop::data {
namespace {

Result<SynthSource> parsed(const nlohmann::json& json) {
  try {
    OUTCROP_TRY(family, parse_family(json.at("source").at("family").get<std::string>()));
    OUTCROP_TRY(samples, json_integer(json.at("samples"), "samples", 1));
    if (!json.at("seed").is_number_unsigned()) return fail(ErrorCode::invalid_data, "its seed is no whole number");
    return SynthSource{family, json.at("seed").get<std::uint64_t>(), static_cast<std::uint64_t>(samples)};
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::invalid_data, error.what());
  }
}

}  // namespace

Result<SynthSource> synth_source_of(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "dataset.json";
  std::error_code ignored;
  nlohmann::json json;
  if (std::filesystem::exists(file, ignored)) {
    OUTCROP_TRY(text, read_text_file(file));
    json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) return fail(ErrorCode::invalid_data, file.string() + ": not JSON");
  }
  if (!json.is_object() || !json.contains("source") || !json["source"].is_object() || !json["source"].contains("family")) {
    return fail(ErrorCode::unsupported, folder.string() + " was not made by `outcrop synth --family`, so there is no saying "
                                                          "what more of the same would be: name a folder that was");
  }
  auto source = parsed(json);
  if (!source) return fail(source.error().context(file.string()));
  return source;
}

}  // namespace outcrop::data
