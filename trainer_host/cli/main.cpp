#include "platform/cli/verb.hpp"
#include "protocol/base/program.hpp"
#include "trainer_host/cli/bench.hpp"
#include "trainer_host/cli/device.hpp"
#include "trainer_host/cli/fleet.hpp"
#include "trainer_host/cli/keys.hpp"
#include "trainer_host/cli/release.hpp"
#include "trainer_host/cli/rollout.hpp"
#include "trainer_host/cli/trainer_verbs.hpp"

int main(int argc, char** argv) {
  return outcrop::run_main("outcrop", [&] {
    if (const auto code = outcrop::cli::run_trainer_verb(argc, argv)) return *code;
    return outcrop::cli::run_program(
        "outcrop",
        "Train models in stages, quantize, sign, measure and ship "
        "them to edge boards.",
        argc, argv,
        {outcrop::cli::add_trainer_verbs, outcrop::cli::add_keys, outcrop::cli::add_release,
         outcrop::cli::add_device, outcrop::cli::add_rollout, outcrop::cli::add_fleet,
         outcrop::cli::add_bench});
  });
}
