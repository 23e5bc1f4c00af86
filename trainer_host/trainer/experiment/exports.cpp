#include "trainer_host/trainer/experiment/exports.hpp"

#include <algorithm>
#include <cstdio>

#include "trainer_host/trainer/exchange/exported_file.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

using exchange::Format;

struct Artifact {
  std::string stem;     // "ptq_quantized_model"
  std::string variant;  // that it is made of; "" of weights
  Format format;
  bool dynamic_range = false;

  [[nodiscard]] std::string name() const { return stem + "." + std::string(exchange::to_string(format)); }
};

std::vector<Artifact> artifacts_of(const Step& step) {
  const auto wants = [&](const std::string& format) {
    return std::find(step.exports.begin(), step.exports.end(), format) != step.exports.end();
  };
  const auto makes = [&](const std::string& variant) {
    return std::find(step.variants.begin(), step.variants.end(), variant) != step.variants.end();
  };
  std::vector<Artifact> artifacts;
  for (const Format format : {Format::tflite, Format::onnx}) {
    if (!wants(std::string(exchange::to_string(format)))) continue;
    if (makes("int8-qint8")) artifacts.push_back({"ptq_quantized_model", "int8-qint8", format});
    if (makes("int8-qat")) artifacts.push_back({"qat_quantized_model", "int8-qat", format});
    if (makes("int8-dynamic") && format == Format::tflite) {
      artifacts.push_back({"dynamic_range_quantized_model", "float", format, /*dynamic_range=*/true});
    }
  }
  const std::string trained = step.name == baseline_name ? "baseline_model" : "qat_model";
  if (step.trains() && wants("keras")) artifacts.push_back({trained, "float", Format::keras});
  if (step.trains() && wants("safetensors")) artifacts.push_back({trained, "", Format::safetensors});
  return artifacts;
}

Result<exchange::ExportedFile> write(const Artifact& artifact, const fs::path& stem, const fs::path& weights, const fs::path& folder) {
  if (artifact.variant.empty()) return exchange::export_weights(weights, folder, artifact.stem);
  const fs::path file = stem.string() + "_" + artifact.variant + ".ptl";
  std::error_code error;
  if (!fs::exists(file, error)) return fail(ErrorCode::not_found, "there is no " + artifact.variant + " to make it of");
  exchange::ExportWishes wishes{.format = artifact.format, .call = {}, .tflite = {}};
  wishes.tflite.weights_in_int8 = artifact.dynamic_range;
  OUTCROP_TRY(module, exchange::load_torch_script(file));
  return exchange::export_module(module, file, wishes, folder, artifact.stem);
}

}  // namespace

const std::vector<std::string>& export_formats() {
  static const std::vector<std::string> formats{"tflite", "onnx", "keras", "safetensors"};
  return formats;
}

std::vector<std::string> exported_names(const Step& step) {
  std::vector<std::string> names;
  for (const Artifact& artifact : artifacts_of(step)) names.push_back(artifact.name());
  return names;
}

std::vector<std::pair<std::string, std::string>> export_step(const Step& step, const fs::path& stem, const fs::path& weights,
                                                             const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> left_out;
  for (const Artifact& artifact : artifacts_of(step)) {
    std::fprintf(stderr, "writing %s\n", artifact.name().c_str());
    const auto written = write(artifact, stem, weights, folder);
    if (!written) left_out.emplace_back(artifact.name(), written.error().message());
  }
  return left_out;
}

}  // namespace outcrop::experiment
