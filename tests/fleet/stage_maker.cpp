// outcrop-test-stage FOLDER MODEL STAGE CLASS P90_MS [wrong]: a stage folder as a trainer leaves
// it, with small real generators for the model "small" and a budget for one device class. "wrong":
// one variant, and its file is not what made the golden outputs.

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "protocol/messages/artifact.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner.hpp"
#include "tests/hostile/hostile_models.hpp"
#include "tests/support/good_quality.hpp"
#include "tests/support/value_of.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

// What the variant really shows on this machine, as the quantizer would have recorded it.
std::map<std::string, messages::ShownError> shown(const fs::path& file,
                                                  const hostile::SmallGenerator& goldens) {
  const auto reference =
      value_of(messages::reference_file(file.parent_path(), file.filename().string()));
  const auto blob = value_of(trust::verify_blob(file, reference.sha256, reference.size));
  runtime::RunnerOptions options;
  options.program = fs::path(OUTCROP_BIN) / "outcrop-runner-torch";
  auto runner = value_of(runtime::Runner::start(options));
  runtime::LoadRequest load;
  load.allowed_operators = value_of(runner.inspect(blob)).operators;
  value_of(runner.load(blob, load));
  std::map<std::string, messages::ShownError> errors;
  const auto proof =
      value_of(runtime::prove(runner, goldens.proofs));
  for (const auto& output : proof.outputs) {
    errors[output.name] = {output.mean_abs_error, output.max_abs_error};
  }
  return errors;
}

void make_stage(const fs::path& folder, const std::string& model, std::uint64_t stage,
                const messages::Budget& budget, bool wrong) {
  fs::create_directories(folder);
  const auto goldens = hostile::write_small_generator(folder / "float.ptl", hostile::Form::float32);
  check(runtime::write_tensor_file(folder / "golden_input.safetensors", goldens.golden_inputs));
  check(runtime::write_tensor_file(folder / "golden_output.safetensors", goldens.golden_outputs));
  messages::StageArtifact artifact;
  artifact.model = model;
  artifact.stage = stage;
  artifact.epoch = 20 * stage;
  artifact.data_digest = trust::sha256("data");
  artifact.code_version = "0.1.0";
  artifact.about = {{"latent", "fixed numbers"}};
  artifact.signature = goldens.signature;
  artifact.golden_calls = goldens.golden_calls;
  artifact.budgets = {budget};
  artifact.quality = good_quality();
  artifact.golden_input = value_of(messages::reference_file(folder, "golden_input.safetensors"));
  artifact.golden_output = value_of(messages::reference_file(folder, "golden_output.safetensors"));
  const auto add = [&](const std::string& name,
                       const std::map<std::string, messages::ShownError>& errors) {
    artifact.variants.push_back({name, value_of(messages::reference_file(folder, name + ".ptl")),
                                 "torch", "qnnpack", errors});
  };
  const fs::path quantized = folder / "int8-qint8.ptl";
  hostile::write_small_generator(quantized, hostile::Form::qint8);
  if (wrong) {
    const auto errors = shown(quantized, goldens);
    hostile::write_tampered_generator(quantized);
    fs::remove(folder / "float.ptl");
    add("int8-qint8", errors);
  } else {
    add("float", shown(folder / "float.ptl", goldens));
    add("int8-qint8", shown(quantized, goldens));
  }
  check(messages::write_artifact(folder, artifact));
}

}  // namespace
}  // namespace outcrop

int main(int argc, char** argv) try {
  if (argc < 6) {
    std::fputs("outcrop-test-stage FOLDER MODEL STAGE CLASS P90_MS [wrong]\n", stderr);
    return 2;
  }
  const outcrop::messages::Budget budget{argv[4], std::stod(argv[5]), 4000};
  outcrop::make_stage(argv[1], argv[2], std::stoull(argv[3]), budget,
                      argc > 6 && std::string(argv[6]) == "wrong");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "outcrop-test-stage: %s\n", error.what());
  return 1;
}
