#include "tests/rules/include_rules.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

namespace outcrop::rules {
namespace fs = std::filesystem;
namespace {

using Prefixes = std::vector<std::string_view>;

// "a/*/" stands for every folder in "a/".
bool starts_with(std::string_view text, std::string_view prefix) {
  constexpr std::string_view any_folder = "*/";
  if (!prefix.ends_with(any_folder)) return text.starts_with(prefix);
  prefix.remove_suffix(any_folder.size());
  return text.starts_with(prefix) && text.find('/', prefix.size()) != std::string_view::npos;
}

bool starts_with_any(std::string_view text, const Prefixes& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return starts_with(text, prefix); });
}

// A file below `from` must not include what starts with one of `forbidden`; its tests, which need
// some kind of model, may where `tests_may` says so...
struct Forbids {
  std::string_view from;
  Prefixes forbidden;
  std::string_view rule;
  bool tests_may = false;
};

bool is_for_tests(std::string_view file) {
  return file.ends_with("_test.cpp") || file.ends_with("_for_tests.hpp");
}

// ...and headers that start with one of `headers` may be included below `only_in` alone.
struct Confines {
  Prefixes headers;
  Prefixes only_in;
  std::string_view rule;
};

const std::vector<Forbids>& forbids() {
  static const std::vector<Forbids> rules{
      {"protocol/",
       {"platform/", "runtime/", "agent/", "trainer_host/"},
       "protocol/ stands on its own: everybody depends on it"},
      {"platform/",
       {"runtime/", "agent/", "trainer_host/", "protocol/messages/", "protocol/trust/",
        "protocol/blob/", "protocol/transport/"},
       "platform/ is about machines, not models"},
      {"runtime/", {"agent/", "trainer_host/"}, "runtime/ knows neither host nor agent"},
      {"agent/", {"trainer_host/"}, "host and board meet only in protocol/ and runtime/"},
      {"trainer_host/", {"agent/"}, "host and board meet only in protocol/ and runtime/"},
      {"trainer_host/trainer/", {"trainer_host/fleet/"}, "the wings of the host are apart"},
      {"trainer_host/fleet/", {"trainer_host/trainer/"}, "the wings of the host are apart"},
      {"trainer_host/cli/", {"trainer_host/trainer/"}, "the command line links no LibTorch"},
      {"trainer_host/release/", {"trainer_host/trainer/"}, "signing links no LibTorch"},
      {"trainer_host/trainer/data/",
       {"trainer_host/trainer/models/", "trainer_host/trainer/kinds/",
        "trainer_host/trainer/train/", "trainer_host/trainer/quantize/",
        "trainer_host/trainer/evaluate/", "trainer_host/trainer/stage/"},
       "data is made without LibTorch"},
      {"trainer_host/trainer/weights/",
       {"torch/", "ATen/", "c10/", "caffe2/", "trainer_host/trainer/models/", "trainer_host/trainer/kinds/",
        "trainer_host/trainer/train/", "trainer_host/trainer/quantize/",
        "trainer_host/trainer/evaluate/", "trainer_host/trainer/stage/"},
       "weights of users are read without LibTorch, whose readers run what they read"},
      {"trainer_host/trainer/models/",
       {"trainer_host/trainer/kinds/", "trainer_host/trainer/train/",
        "trainer_host/trainer/quantize/", "trainer_host/trainer/stage/"},
       "building blocks know no kind of model"},
      {"trainer_host/trainer/kinds/",
       {"trainer_host/trainer/train/", "trainer_host/trainer/quantize/",
        "trainer_host/trainer/stage/"},
       "a kind says what a model is; the loop, quantization and release know it, not the other way",
       true},
      {"trainer_host/trainer/train/",
       {"trainer_host/trainer/quantize/", "trainer_host/trainer/evaluate/",
        "trainer_host/trainer/stage/", "trainer_host/trainer/kinds/*/"},
       "the training loop knows models by the interface of kinds alone",
       true},
      {"trainer_host/trainer/quantize/",
       {"trainer_host/trainer/train/", "trainer_host/trainer/evaluate/",
        "trainer_host/trainer/stage/", "trainer_host/trainer/kinds/*/"},
       "quantization knows models by the interface of kinds alone",
       true},
      {"trainer_host/trainer/exchange/",
       {"trainer_host/trainer/train/", "trainer_host/trainer/stage/", "trainer_host/trainer/kinds/*/"},
       "whatever is exported is a TorchScript module or a file of weights"},
      {"trainer_host/trainer/exchange/graph/",
       {"torch/", "ATen/", "c10/", "onnx/", "flatbuffers/", "hdf5.h", "zip.h"},
       "the graph in the middle knows neither where models come from nor where they go"},
      {"trainer_host/trainer/exchange/onnx/", {"torch/", "ATen/", "c10/"}, "formats are written without LibTorch"},
      {"trainer_host/trainer/exchange/keras/", {"torch/", "ATen/", "c10/"}, "formats are written without LibTorch"},
      {"trainer_host/trainer/exchange/tflite/", {"torch/", "ATen/", "c10/"}, "formats are written without LibTorch"},
      {"trainer_host/trainer/evaluate/",
       {"trainer_host/trainer/train/", "trainer_host/trainer/quantize/",
        "trainer_host/trainer/stage/", "trainer_host/trainer/kinds/*/"},
       "evaluation knows models by the interface of kinds alone"},
      {"trainer_host/trainer/stage/",
       {"trainer_host/trainer/kinds/*/"},
       "the end of a stage knows models by the interface of kinds alone",
       true},
  };
  return rules;
}

const std::vector<Confines>& confines() {
  static const std::vector<Confines> rules{
      {{"torch/", "ATen/", "c10/", "caffe2/"},
       {"runtime/engine/torch/", "runtime/inspect/", "trainer_host/trainer/", "tests/", "bench/"},
       "LibTorch headers stay in the torch engine and the trainer"},
      {{"mqtt/", "MQTT"}, {"protocol/transport/paho/"}, "Paho stays behind the transport"},
      {{"unicode/"}, {"runtime/text/"}, "libicu stays where texts become words"},
      {{"seccomp.h", "linux/landlock.h"},
       {"runtime/runner/", "tests/"},
       "confinement is the runner's"},
  };
  return rules;
}

std::vector<std::string> files_below(const fs::path& root, const Prefixes& extensions) {
  static constexpr std::array<std::string_view, 9> parts{
      "protocol", "platform", "runtime", "agent", "trainer_host", "tests", "bench", "toolchains", "systemd"};
  std::vector<std::string> files;
  for (std::string_view part : parts) {
    if (!fs::exists(root / part)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / part)) {
      const std::string extension = entry.path().extension().string();
      if (std::find(extensions.begin(), extensions.end(), extension) != extensions.end()) {
        files.push_back(fs::relative(entry.path(), root).string());
      }
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The name between the quotes or brackets of an include line; empty for any other line.
std::string included_name(std::string_view line) {
  const std::size_t hash = line.find_first_not_of(" \t");
  if (hash == std::string_view::npos || !line.substr(hash).starts_with("#include")) return {};
  const std::size_t open = line.find_first_of("\"<", hash);
  if (open == std::string_view::npos) return {};
  const std::size_t close = line.find_first_of("\">", open + 1);
  if (close == std::string_view::npos) return {};
  return std::string(line.substr(open + 1, close - open - 1));
}

// "generator" of a path below that kind's folder; empty for what is of no kind's folder.
std::string_view kind_of(std::string_view path) {
  constexpr std::string_view kinds = "trainer_host/trainer/kinds/";
  if (!path.starts_with(kinds)) return {};
  path.remove_prefix(kinds.size());
  const std::size_t end = path.find('/');
  return end == std::string_view::npos ? std::string_view() : path.substr(0, end);
}

// What several kinds want, of earth models and what was recorded over them and of answers that are classes, is no kind.
constexpr std::array<std::string_view, 2> common_to_kinds{"earth", "classes"};

bool leaves_its_kind(std::string_view file, std::string_view included) {
  const std::string_view from = kind_of(file);
  const std::string_view to = kind_of(included);
  return !from.empty() && !to.empty() && from != to &&
         std::find(common_to_kinds.begin(), common_to_kinds.end(), to) == common_to_kinds.end();
}

void check_include(const std::string& file, const std::string& included,
                   std::vector<Violation>& violations) {
  for (const Forbids& rule : forbids()) {
    if (rule.tests_may && is_for_tests(file)) continue;
    if (file.starts_with(rule.from) && starts_with_any(included, rule.forbidden)) {
      violations.push_back({file, included, std::string(rule.rule)});
    }
  }
  if (leaves_its_kind(file, included)) {
    violations.push_back({file, included,
                          "kinds do not know each other; what several want is in kinds/earth/ or kinds/classes/"});
  }
  for (const Confines& rule : confines()) {
    if (starts_with_any(included, rule.headers) && !starts_with_any(file, rule.only_in)) {
      violations.push_back({file, included, std::string(rule.rule)});
    }
  }
}

}  // namespace

std::vector<Violation> find_violations(const fs::path& root) {
  std::vector<Violation> violations;
  for (const std::string& file : headers_and_sources(root)) {
    std::ifstream stream(root / file);
    for (std::string line; std::getline(stream, line);) {
      const std::string included = included_name(line);
      if (!included.empty()) check_include(file, included, violations);
    }
  }
  return violations;
}

std::vector<std::string> sources(const fs::path& root) {
  return files_below(root, {".cpp"});
}

std::vector<std::string> headers_and_sources(const fs::path& root) {
  return files_below(root, {".hpp", ".cpp"});
}

}  // namespace outcrop::rules
