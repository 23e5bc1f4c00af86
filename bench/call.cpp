// outcrop-bench-call: calls one variant as a board's runner would, natively or emulated. Tells what
// a call costs in instructions, by operator (with qemu's instruction plugin), and compares what
// every operator gave with what it gave on another machine.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/instruction_counter.hpp"
#include "bench/operator_trace.hpp"
#include "bench/parity.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/engine/torch/torch_engine.hpp"

namespace outcrop::bench {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  fs::path model;
  fs::path input;    // golden latents
  fs::path page;     // of the instruction plugin
  fs::path outputs;  // where to keep what every operator gave
  fs::path compare;  // what another machine kept there
  int calls = 3;
  bool network = false;
};

// Of a generator: what a user calls, and what a release is proved with.
struct Method {
  const char* name;
  std::vector<runtime::Value> arguments;
};

std::vector<Method> methods(const runtime::Tensor& latents, bool network) {
  if (network) return {{"forward", {latents.row(0)}}};
  return {{"forward", {std::int64_t{1}, std::int64_t{1}}}, {"decode", {latents.row(0)}}};
}

Json to_json(const TracedOperator& traced) {
  return {{"name", traced.name}, {"output", traced.output}, {"instructions", traced.instructions}};
}

// Calls without a watcher first: those are the ones that count. Then one that is watched.
Result<Json> measure(runtime::Model& model, const Method& method, int calls,
                     const std::optional<InstructionCounter>& counter,
                     std::vector<runtime::Tensor>* kept) {
  const auto clock = [&]() -> std::uint64_t { return counter ? counter->executed() : 0; };
  OUTCROP_TRY(call, model.prepare(method.name, method.arguments));
  Json instructions = Json::array();
  for (int i = 0; i < calls; ++i) {
    const std::uint64_t before = clock();
    OUTCROP_CHECK(call->run());
    instructions.push_back(clock() - before);
  }
  Json operators = Json::array();
  {
    const OperatorTrace trace(clock, kept != nullptr);
    OUTCROP_CHECK(call->run());
    for (const TracedOperator& traced : trace.operators()) {
      operators.push_back(to_json(traced));
      if (kept != nullptr && traced.values) kept->push_back(*traced.values);
    }
  }
  if (kept != nullptr) {
    OUTCROP_TRY(outputs, call->outputs());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].name = "output " + std::to_string(i);
      kept->push_back(std::move(outputs[i]));
    }
  }
  return Json{{"method", method.name},
              {"calls", std::move(instructions)},
              {"operators", std::move(operators)}};
}

Result<Json> compare(std::span<const runtime::Tensor> here, const fs::path& there) {
  OUTCROP_TRY(kept, runtime::read_tensor_file(there));
  auto found = differences(here, kept);
  if (!found) return fail(found.error().context(there.string()));
  Json parity = Json::array();
  for (const Difference& difference : *found) {
    parity.push_back({{"name", difference.name},
                      {"tensors", difference.tensors},
                      {"values", difference.values},
                      {"differing", difference.differing},
                      {"largest", difference.largest},
                      {"relative", difference.relative}});
  }
  return parity;
}

Status run(const Options& options) {
  std::optional<InstructionCounter> counter;
  if (!options.page.empty()) {
    OUTCROP_TRY(opened, InstructionCounter::open(options.page));
    counter.emplace(std::move(opened));
  }
  OUTCROP_TRY(inputs, runtime::read_tensor_file(options.input));
  if (inputs.empty()) return fail(ErrorCode::invalid_data, options.input.string() + " is empty");
  OUTCROP_TRY(file, read_file(options.model, ByteCount::mib(512)));
  OUTCROP_TRY(engine, runtime::start_torch_engine());
  OUTCROP_TRY(model, engine->load(file, "qnnpack", 1));
  Json measured = Json::array();
  std::vector<runtime::Tensor> kept;
  const bool keep = !options.outputs.empty() || !options.compare.empty();
  for (const Method& method : methods(inputs.front(), options.network)) {
    const bool golden = options.network || std::string(method.name) == "decode";
    auto one = measure(*model, method, options.calls, counter, keep && golden ? &kept : nullptr);
    if (!one) return fail(one.error().context(options.model.filename().string()));
    measured.push_back(*one);
  }
  Json whole{{"engine", engine->name() + " " + engine->version()}, {"methods", measured}};
  if (!options.outputs.empty()) OUTCROP_CHECK(runtime::write_tensor_file(options.outputs, kept));
  if (!options.compare.empty()) {
    OUTCROP_TRY(parity, compare(kept, options.compare));
    whole["parity"] = parity;
  }
  std::printf("%s\n", json_text(whole).c_str());
  return {};
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  outcrop::bench::Options options;
  CLI::App app{
      "Calls a variant, `forward` and `decode` of one latent, one thread, and prints as JSON what "
      "each call and each operator cost in instructions. For files of this machine's own: they are "
      "loaded without confinement."};
  app.add_option("MODEL", options.model, "A variant, *.ptl")->required()->check(CLI::ExistingFile);
  app.add_option("--input", options.input, "golden_input.safetensors of its stage")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--page", options.page,
                 "The file that qemu's instruction plugin was given; without it all counts are 0");
  app.add_option("--outputs", options.outputs, "Keep what each operator of `decode` gave, there");
  app.add_option("--compare", options.compare,
                 "Compare that with what another machine kept of the same model");
  app.add_option("--calls", options.calls, "Calls of each method that nobody watches")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--network", options.network,
               "MODEL is no generator but one network: `forward` of the input is all there is");
  CLI11_PARSE(app, argc, argv);
  const auto status = outcrop::bench::run(options);
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-call: %s\n", status.error().message().c_str());
  return 1;
}
