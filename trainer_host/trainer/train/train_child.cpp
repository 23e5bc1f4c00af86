// Trains without a stage end, in a process of its own that tests can kill.
//   train_child CONFIG.toml STAGES [PATH-to-touch-at-each-stage-end [hang: no stage's end returns]]
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "trainer_host/trainer/train/trainer.hpp"

int main(int argc, char** argv) {
  using namespace outcrop;
  if (argc < 3) return 2;
  const auto config = train::read_config(argv[1], kinds::built_in());
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message().c_str());
    return 2;
  }
  train::TrainOptions options;
  options.stages = std::atol(argv[2]);
  const train::StageEnd stage_end = [&](const train::StageContext& context) -> Status {
    if (argc > 3) std::ofstream(argv[3], std::ios::app) << context.stage << std::endl;
    while (argc > 4) ::pause();
    return {};
  };
  const auto summary = train::train(*config, options, stage_end);
  if (!summary) {
    std::fprintf(stderr, "%s\n", summary.error().message().c_str());
    return 1;
  }
  return 0;
}
