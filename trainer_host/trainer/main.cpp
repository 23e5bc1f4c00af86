#include "trainer_host/cli/verb.hpp"
#include "trainer_host/trainer/data/synth_verb.hpp"

int main(int argc, char** argv) {
  return outcrop::cli::run_program(
      "outcrop-trainer", "The verbs of outcrop that need LibTorch or make its data.", argc, argv,
      {outcrop::data::add_synth});
}
