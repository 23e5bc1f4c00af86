#include "trainer_host/cli/trainer_verbs.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>

#include "platform/cli/complete.hpp"
#include "platform/cli/verb.hpp"
#include "protocol/base/processors.hpp"

namespace outcrop::cli {
namespace {

struct TrainerVerb {
  std::string_view name;
  std::string_view does;
};
constexpr auto trainer_verbs = std::to_array<TrainerVerb>({
    {"synth", "Make velocity maps and their shot gathers from the wave equation"},
    {"train", "Train a model in stages; each ends quantized, measured and released"},
    {"import", "Take a TorchScript module of yours as it is: quantized, measured, ready to be released"},
    {"quantize", "Quantize a model by one method or several: int8, 4 bits, half precision"},
    {"export", "Write a model for other runtimes: .tflite, .onnx, or its weights as .safetensors"},
    {"list", "Show all ways to quantize, what each needs, and whether this machine can"},
    {"example", "Make a small trained model to try the ways to quantize on"},
    {"recommend", "Say which ways to quantize to try first on a model"},
    {"evaluate", "Score a stage on data, beside what learned nothing, with a gallery"},
    {"analyze", "Say what a quantization did to a model, layer by layer, as a report"},
    {"compare", "Put results of quantization beside each other: error, size, speed"},
    {"condition", "Draw samples that agree with what is known, or that vary a given one"},
    {"experiment", "Train a model, quantize it in several ways, and compare them, by one command"},
    {"sweep", "Train with several values of keys of a configuration, and say which are best"},
    {"draw", "Draw samples that a board generated"},
});

}  // namespace

std::optional<int> run_trainer_verb(int argc, char** argv) {
  const auto is_trainers = [&](int at) {
    return at < argc &&
           std::any_of(trainer_verbs.begin(), trainer_verbs.end(),
                       [&](const TrainerVerb& verb) { return verb.name == argv[at]; });
  };
  // `help train`, and what a shell asks about `train --st` (platform/cli/complete.hpp).
  const std::string_view first = argc > 1 ? argv[1] : "";
  const bool about = (first == "help" && is_trainers(2)) ||
                     (first == complete_word && argc > 4 && is_trainers(3));
  if (!is_trainers(1) && !about) return std::nullopt;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto trainer = self.parent_path() / "outcrop-trainer";
  if (about && !std::filesystem::exists(trainer, error)) return std::nullopt;
  // Before libgomp is loaded: threads that spin while they wait make a busy machine ten times
  // slower at training, and an idle one hardly faster.
  ::setenv("OMP_WAIT_POLICY", "PASSIVE", /*overwrite=*/0);
  // It counts the processors of the machine, or of taskset's mask; a quota of time it does not know.
  ::setenv("OMP_NUM_THREADS", std::to_string(available_processors()).c_str(), /*overwrite=*/0);
  ::execv(trainer.c_str(), argv);
  std::fprintf(stderr,
               "outcrop: '%s' needs outcrop-trainer, which cannot be started from %s: %s\n"
               "It is part of builds with LibTorch (preset release; not no-torch).\n",
               argv[1], trainer.c_str(), std::strerror(errno));
  return static_cast<int>(ExitCode::failed);
}

void add_trainer_verbs(CLI::App& app, Action& chosen) {
  static_cast<void>(chosen);
  for (const TrainerVerb& verb : trainer_verbs) {
    app.add_subcommand(std::string(verb.name), std::string(verb.does));
  }
}

}  // namespace outcrop::cli
