#include "trainer_host/cli/trainer_verbs.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "trainer_host/cli/verb.hpp"

namespace outcrop::cli {
namespace {

constexpr std::array<std::string_view, 4> trainer_verbs{"synth", "train", "quantize", "evaluate"};

}  // namespace

std::optional<int> run_trainer_verb(int argc, char** argv) {
  if (argc < 2 ||
      std::find(trainer_verbs.begin(), trainer_verbs.end(), argv[1]) == trainer_verbs.end()) {
    return std::nullopt;
  }
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto trainer = self.parent_path() / "outcrop-trainer";
  // Before libgomp is loaded: threads that spin while they wait make a busy machine ten times
  // slower at training, and an idle one hardly faster.
  ::setenv("OMP_WAIT_POLICY", "PASSIVE", /*overwrite=*/0);
  ::execv(trainer.c_str(), argv);
  std::fprintf(stderr,
               "outcrop: '%s' needs outcrop-trainer, which cannot be started from %s: %s\n"
               "It is part of builds with LibTorch (preset release; not no-torch).\n",
               argv[1], trainer.c_str(), std::strerror(errno));
  return static_cast<int>(ExitCode::failed);
}

}  // namespace outcrop::cli
