#include "trainer_host/trainer/evaluate/stage_files.hpp"

#include <algorithm>
#include <map>
#include <regex>

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

Result<StageFiles> single_file(const fs::path& model, const fs::path& weights) {
  if (weights.empty()) {
    return fail(ErrorCode::invalid_argument,
                model.string() +
                    " is what boards get: name the weights that it was made of too, with --weights "
                    "<model>_stage<N>.weights, or give the stage's folder instead");
  }
  return StageFiles{{{model.stem().string(), model}}, weights};
}

}  // namespace

Result<StageFiles> find_stage_files(const fs::path& model, const fs::path& weights,
                                    const std::vector<std::string>& wanted) {
  std::error_code error;
  if (fs::is_regular_file(model, error)) return single_file(model, weights);
  if (!fs::is_directory(model, error)) {
    return fail(ErrorCode::not_found,
                model.string() + ": no such stage folder (run/stage1, say) or .ptl file");
  }
  static const std::regex variant_name(R"(.+_stage[0-9]{1,9}_(.+)\.ptl)");
  static const std::regex weights_name(R"(.+_stage[0-9]{1,9}\.weights)");
  StageFiles files{{}, weights};
  std::map<std::string, fs::path> found;
  for (const auto& entry : fs::directory_iterator(model, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;  // what file managers leave, "._x.ptl"
    std::smatch parts;
    if (weights.empty() && std::regex_match(name, weights_name)) files.weights = entry.path();
    if (std::regex_match(name, parts, variant_name)) found[parts[1]] = entry.path();
  }
  if (files.weights.empty()) {
    return fail(ErrorCode::not_found, model.string() +
                                          ": no *_stage<N>.weights in it; that is no stage folder "
                                          "as `outcrop train` makes; after `outcrop quantize` name "
                                          "what it read, with --weights");
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
