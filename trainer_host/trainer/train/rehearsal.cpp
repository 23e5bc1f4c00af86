#include "trainer_host/trainer/train/rehearsal.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"
#include "trainer_host/trainer/kinds/draws.hpp"
#include "trainer_host/trainer/kinds/epochs.hpp"
#include "trainer_host/trainer/train/process.hpp"
#include "trainer_host/trainer/train/schedule.hpp"
#include "trainer_host/trainer/train/step.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t cold_batches = 1;  // memory is taken, kernels are chosen
constexpr std::size_t timed_batches = 4;

std::int64_t values_in(const kinds::Phase& phase) {
  std::int64_t values = 0;
  for (const kinds::Phase::Trained& trained : phase.trained) values += trained.tensor.numel();
  return values;
}

ByteCount peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return ByteCount(static_cast<std::uint64_t>(usage.ru_maxrss) * 1024);
}

Result<std::chrono::duration<double>> time_of_batch(const TrainConfig& config, kinds::Task& task, std::size_t batches) {
  const kinds::Phase phase = task.phase(1);
  Adam optimizer = make_optimizer(phase, config.train);
  const auto draws =
      kinds::draw_epoch(config.train.seed, 1, task.data().training, config.recipe->mirrors());
  if (auto* changing = dynamic_cast<kinds::ChangesWithEpochs*>(&task)) changing->begin_epoch(1);
  task.set_training(true);
  const double rate = learning_rate(config.train.learning_rate, 0.0);
  Clock::time_point start = Clock::now();
  const std::size_t tried = std::min(batches, cold_batches + timed_batches);
  for (std::size_t i = 0; i < tried; ++i) {
    if (i == cold_batches) start = Clock::now();
    OUTCROP_TRY(loss, train_step(task, phase, optimizer, kinds::batch_of(draws, i, batches), config.train, rate));
  }
  const std::size_t timed = tried > cold_batches ? tried - cold_batches : tried;
  return std::chrono::duration<double>(Clock::now() - start) / static_cast<double>(timed);
}

}  // namespace

std::int64_t Rehearsal::parameters() const {
  std::int64_t all = 0;
  for (const auto& [name, count] : parts) all += count;
  return all;
}

Result<Rehearsal> rehearse(const TrainConfig& config, std::int64_t stages) {
  (void)set_threads(config.train.threads);
  OUTCROP_TRY(task, config.recipe->open(config.train.seed));
  Rehearsal rehearsal;
  for (const kinds::Part& part : task->parts()) {
    std::int64_t count = 0;
    for (const auto& parameter : part.network.parameters()) count += parameter.numel();
    rehearsal.parts.emplace_back(part.name, count);
  }
  for (std::int64_t stage = 1; stage <= stages; ++stage) {
    const kinds::Phase phase = task->phase(stage);
    const bool int8 = config.train.int8.is(stage);
    rehearsal.stages.push_back({stage, phase.name, values_in(phase), int8,
                                config.train.learning_rate * (int8 ? config.train.int8.rate : 1.0)});
  }
  const auto batch = static_cast<std::size_t>(config.train.batch);
  rehearsal.batches = (task->data().training + batch - 1) / batch;
  OUTCROP_TRY(time, time_of_batch(config, *task, rehearsal.batches));
  rehearsal.batch = time;
  task->set_training(false);
  const Clock::time_point start = Clock::now();
  (void)task->score_held_out();
  rehearsal.scoring = Clock::now() - start;
  rehearsal.memory = peak_memory();
  rehearsal.on_disk = space_of_stage(size_of_weights(*task), config.train.average > 0.0);
  return rehearsal;
}

std::string rehearsal_text(const Rehearsal& rehearsal, const LoopConfig& loop) {
  const auto epoch = rehearsal.batch * static_cast<double>(rehearsal.batches) + rehearsal.scoring;
  const auto stage = epoch * static_cast<double>(loop.stage_epochs);
  Table table({"stage", "epochs", "trains", "parameters", "peak rate", "time"});
  for (const Rehearsal::Stage& one : rehearsal.stages) {
    std::ostringstream rate;
    rate << one.peak_rate;
    table.add_row({std::to_string(one.stage), std::to_string(loop.stage_epochs),
                   one.phase + (one.for_int8 ? ", for int8" : ""), std::to_string(one.trained), rate.str(),
                   human_duration(stage) + (one.for_int8 ? " or more" : "")});
  }
  std::ostringstream text;
  text << table.to_string() << "\n";
  text << rehearsal.parameters() << " parameters in all:";
  for (const auto& [name, count] : rehearsal.parts) {
    if (count > 0) text << " " << name << " " << count;
  }
  text << "\n" << rehearsal.batches << " batches of " << loop.batch << " an epoch, each "
       << std::lround(1000 * rehearsal.batch.count()) << " ms; " << human_duration(epoch) << " an epoch, "
       << human_duration(stage * static_cast<double>(rehearsal.stages.size())) << " in all, and what the end of each stage takes\n"
       << "memory: " << rehearsal.memory.human() << "; on disk: about " << rehearsal.on_disk.human() << " a stage"
       << (loop.keep_stages > 0 ? ", of which " + std::to_string(loop.keep_stages) + " are kept" : "") << "\n";
  return text.str();
}

}  // namespace outcrop::train
