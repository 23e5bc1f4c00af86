#include "trainer_host/trainer/quantize/aware_training.hpp"

#include <algorithm>

#include "trainer_host/trainer/quantize/method.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"

namespace outcrop::quantize {
namespace {

Result<torch::jit::Module> trained_network(const kinds::Task& task, const std::string& name) {
  for (const kinds::Part& part : task.parts()) {
    if (part.name == name) return part.network;
  }
  return fail(ErrorCode::unsupported, "the part '" + name + "' is not one of those that are trained");
}

Result<FakeQuantized> fake_quantized(const kinds::Task& task, const kinds::ExportPart& part) {
  if (!part.not_layered.empty()) return fail(ErrorCode::unsupported, part.not_layered);
  StaticQuantization options;
  options.activations = trained_for;
  if (!part.answers_floats) options.output_limit = part.output_limit;
  OUTCROP_TRY(network, trained_network(task, part.name));
  return FakeQuantized::make(network, first_rows(part), options);
}

}  // namespace

Status AwareTraining::choose_ranges(kinds::Task& task) { return go(task, true); }
Status AwareTraining::take_up(kinds::Task& task) { return go(task, false); }

Status AwareTraining::go(kinds::Task& task, bool choose) {
  const auto known = task.trained_ranges();
  leave(task);
  task.set_training(true);  // nothing that was computed of earlier weights is kept
  task.set_training(false);
  task.fit();
  const kinds::Export model = task.make_export();
  OUTCROP_CHECK(check_nothing_in_place(model, "what quantization-aware training rounds"));
  std::map<std::string, FakeQuantized> forms;
  std::map<std::string, models::NamedTensors> ranges;
  for (const kinds::ExportPart& part : model.parts) {
    const auto in_part = [&](const Error& error) {
      return fail(error.context("training " + spoken(part.name) + " for int8"));
    };
    auto form = fake_quantized(task, part);
    if (!form) return in_part(form.error());
    Status ranged;
    if (choose) {
      ranged = form->choose_ranges(ArgumentRows(part.calibration).evenly_chosen(rows_for_ranges));
    } else {
      const auto found = known.find(part.name);
      auto read = ranges_in(found == known.end() ? models::NamedTensors() : found->second);
      ranged = read ? form->set_ranges(*read) : Status(fail(read.error()));
    }
    if (!ranged) return in_part(ranged.error());
    ranges[part.name] = to_tensors(form->ranges());
    forms.emplace(part.name, std::move(*form));
  }
  for (const auto& [part, form] : forms) {
    if (task.train_through(part, form.form())) continue;
    return fail(ErrorCode::unsupported, "models of this kind cannot be trained for int8: it has no way to train '" + part +
                                            "' through another form of it; leave train.qat_from out");
  }
  task.set_trained_ranges(std::move(ranges));
  on_ = true;
  return {};
}

void AwareTraining::leave(kinds::Task& task) {
  for (const kinds::Part& part : task.parts()) (void)task.train_through(part.name, std::nullopt);
  task.set_trained_ranges({});
  on_ = false;
}

}  // namespace outcrop::quantize
