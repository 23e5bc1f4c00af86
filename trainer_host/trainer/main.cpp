#if OUTCROP_TRAINER
#include "trainer_host/trainer/trainer_main.hpp"

int main(int argc, char** argv) {
  const outcrop::kinds::Register kinds = outcrop::kinds::built_in();
  return outcrop::trainer_main(argc, argv, kinds);
}
#else
#include <cerrno>  // program_invocation_short_name

#include "platform/cli/verb.hpp"
#include "protocol/base/program.hpp"
#include "trainer_host/trainer/data/synth_verb.hpp"
#include "trainer_host/trainer/evaluate/draw_verb.hpp"
#include "trainer_host/trainer/kinds/sample_picture.hpp"

// What there is of it where LibTorch cannot train.
int main(int argc, char** argv) {
  return outcrop::run_main(program_invocation_short_name, [&] {
    return outcrop::cli::run_program(
        "outcrop-trainer", "The verbs of outcrop that make data and draw; this build cannot train.",
        argc, argv, {outcrop::data::add_synth, [](CLI::App& app, outcrop::cli::Action& chosen) {
           outcrop::evaluate::add_draw(app, chosen, outcrop::kinds::built_in_pictures());
         }});
  });
}
#endif
