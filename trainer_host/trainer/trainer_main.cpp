#include "trainer_host/trainer/trainer_main.hpp"

#include <cerrno>  // program_invocation_short_name
#include <memory>

#include "platform/cli/verb.hpp"
#include "protocol/base/program.hpp"
#include "trainer_host/trainer/analyze/analyze_verb.hpp"
#include "trainer_host/trainer/analyze/compare_verb.hpp"
#include "trainer_host/trainer/data/synth_verb.hpp"
#include "trainer_host/trainer/evaluate/condition_verb.hpp"
#include "trainer_host/trainer/evaluate/draw_verb.hpp"
#include "trainer_host/trainer/evaluate/evaluate_verb.hpp"
#include "trainer_host/trainer/experiment/experiment_verb.hpp"
#include "trainer_host/trainer/exchange/export_verb.hpp"
#include "trainer_host/trainer/kinds/sample_picture.hpp"
#include "trainer_host/trainer/models/freed_memory.hpp"
#include "trainer_host/trainer/quantize/aware_training.hpp"
#include "trainer_host/trainer/quantize/example_verb.hpp"
#include "trainer_host/trainer/quantize/list_verb.hpp"
#include "trainer_host/trainer/quantize/quantize_verb.hpp"
#include "trainer_host/trainer/quantize/recommend_verb.hpp"
#include "trainer_host/trainer/stage/import_verb.hpp"
#include "trainer_host/trainer/stage/stage_end.hpp"
#include "trainer_host/trainer/sweep/sweep_verb.hpp"
#include "trainer_host/trainer/train/process.hpp"
#include "trainer_host/trainer/train/train_verb.hpp"

namespace outcrop {

int trainer_main(int argc, char** argv, const kinds::Register& kinds) {
  using cli::Action;
  train::choose_kernels_of_this_processor(argv);
  models::keep_freed_memory();  // searches for scales make and drop large tensors as training does
  // What the user typed: it is usually reached as `outcrop synth`.
  return run_main(program_invocation_short_name, [&] {
    return cli::run_program(
        "outcrop-trainer", "The verbs of outcrop that train, quantize and evaluate, and make data.",
        argc, argv,
        {data::add_synth,
         [&](CLI::App& app, Action& chosen) {
           evaluate::add_draw(app, chosen, kinds::built_in_pictures());
         },
         [&](CLI::App& app, Action& chosen) {
           train::add_train(app, chosen, kinds, stage::make_stage_end,
                            [] { return std::make_shared<quantize::AwareTraining>(); });
         },
         [&](CLI::App& app, Action& chosen) { stage::add_import(app, chosen, kinds); },
         [&](CLI::App& app, Action& chosen) { quantize::add_quantize(app, chosen, kinds); },
         [&](CLI::App& app, Action& chosen) { exchange::add_export(app, chosen, kinds); },
         quantize::add_list, quantize::add_example,
         [&](CLI::App& app, Action& chosen) { quantize::add_recommend(app, chosen, kinds); },
         [&](CLI::App& app, Action& chosen) { analyze::add_analyze(app, chosen, kinds); },
         analyze::add_compare,
         [&](CLI::App& app, Action& chosen) { evaluate::add_condition(app, chosen, kinds); },
         [&](CLI::App& app, Action& chosen) { experiment::add_experiment(app, chosen, kinds); },
         [&](CLI::App& app, Action& chosen) { sweep::add_sweep(app, chosen, kinds); },
         [&](CLI::App& app, Action& chosen) { evaluate::add_evaluate(app, chosen, kinds); }});
  });
}

}  // namespace outcrop
