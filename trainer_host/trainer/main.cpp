#include <cerrno>  // program_invocation_short_name

#include "platform/cli/verb.hpp"
#include "protocol/base/program.hpp"
#include "trainer_host/trainer/data/synth_verb.hpp"
#include "trainer_host/trainer/evaluate/draw_verb.hpp"
#if OUTCROP_TRAINER
#include "trainer_host/trainer/evaluate/evaluate_verb.hpp"
#include "trainer_host/trainer/quantize/quantize_verb.hpp"
#include "trainer_host/trainer/stage/stage_end.hpp"
#include "trainer_host/trainer/train/train_verb.hpp"
#endif

int main(int argc, char** argv) {
  using outcrop::cli::Action;
  // What the user typed: it is usually reached as `outcrop synth`.
  return outcrop::run_main(program_invocation_short_name, [&] {
    return outcrop::cli::run_program(
        "outcrop-trainer", "The verbs of outcrop that train, quantize and evaluate, and make data.",
        argc, argv, {
          outcrop::data::add_synth, outcrop::evaluate::add_draw,
#if OUTCROP_TRAINER
              [](CLI::App& app, Action& chosen) {
                outcrop::train::add_train(app, chosen, outcrop::stage::make_stage_end);
              },
              outcrop::quantize::add_quantize, outcrop::evaluate::add_evaluate,
#endif
        });
  });
}
