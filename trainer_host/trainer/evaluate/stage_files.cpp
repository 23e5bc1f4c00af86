#include "trainer_host/trainer/evaluate/stage_files.hpp"

#include <algorithm>
#include <map>
#include <regex>

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

Result<StageFiles> single_file(const fs::path& model, const std::optional<fs::path>& encoder) {
  if (!encoder) {
    return fail(ErrorCode::invalid_argument,
                model.string() +
                    " holds decoders only: name the host's encoder too, with --encoder "
                    "<model>_stage<N>_encoder.pt, or give the stage's folder instead");
  }
  StageFiles files;
  files.model = model.stem().string();
  files.variants.push_back({files.model, model});
  files.encoder = *encoder;
  return files;
}

}  // namespace

Result<StageFiles> find_stage_files(const fs::path& model, const std::optional<fs::path>& encoder,
                                    const std::vector<std::string>& wanted) {
  std::error_code error;
  if (fs::is_regular_file(model, error)) return single_file(model, encoder);
  if (!fs::is_directory(model, error)) {
    return fail(ErrorCode::not_found,
                model.string() + ": no such stage folder (run/stage1, say) or .ptl file");
  }
  static const std::regex pattern(R"((.+)_stage([0-9]{1,9})_(.+)\.(ptl|pt))");
  static const std::regex weights(R"(.+_stage[0-9]+\.weights)");
  StageFiles files;
  std::map<std::string, fs::path> found;
  for (const auto& entry : fs::directory_iterator(model, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;  // what file managers leave, "._x.ptl"
    std::smatch parts;
    if (std::regex_match(name, weights)) files.weights = entry.path();
    if (!std::regex_match(name, parts, pattern)) continue;
    if (parts[4] == "ptl") {
      found[parts[3]] = entry.path();
    } else if (parts[3] == "encoder") {
      files.encoder = entry.path();
      files.model = parts[1];
      files.stage = std::stoll(parts[2]);
    }
  }
  if (encoder) files.encoder = *encoder;
  if (files.encoder.empty()) {
    return fail(ErrorCode::not_found, model.string() +
                                          ": no *_stage<N>_encoder.pt in it; that is no stage "
                                          "folder as `outcrop train` or `outcrop quantize` makes");
  }
  const std::vector<std::string> usual{"float", "int8-qint8"};
  for (const std::string& name : wanted.empty() ? usual : wanted) {
    if (const auto at = found.find(name); at != found.end()) {
      files.variants.push_back({name, at->second});
    } else if (!wanted.empty()) {
      std::string there;
      for (const auto& [other, file] : found) there += (there.empty() ? "" : ", ") + other;
      return fail(ErrorCode::invalid_argument,
                  model.string() + ": no variant '" + name + "'; there are: " + there);
    }
  }
  if (files.variants.empty()) {
    return fail(ErrorCode::not_found, model.string() + ": no variant (*_stage<N>_float.ptl) in it");
  }
  return files;
}

}  // namespace outcrop::evaluate
