// outcrop-bench-int4: one product of a linear layer and one vector, its weights in 4 bits as they are (outcrop::linear_int4),
// beside LibTorch's int8 (dynamic by QNNPACK's kernels, static by XNNPACK's) and float32, and beside what reading the weights
// alone takes.

#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/median.hpp"
#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/operator_scope.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"
#include "trainer_host/trainer/quantize/storage/stored_tensor.hpp"

namespace outcrop::bench {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using torch::Tensor;

constexpr std::int64_t group = 128;

struct Way {
  std::string name;
  double bytes;
  std::function<void()> run;
  std::vector<double> ms{};
};

double milliseconds(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

// Every 64th byte: what reading costs where nothing is computed.
void read_all(const Tensor& bytes) {
  const auto* at = static_cast<const std::uint8_t*>(bytes.data_ptr());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i + 8 <= bytes.nbytes(); i += 64) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + i, sizeof word);
    sum += word;
  }
  volatile std::uint64_t kept = sum;
  (void)kept;
}

Json measure(std::int64_t rows, std::int64_t columns, int rounds) {
  const torch::NoGradGuard no_grad;
  const Tensor weight = torch::randn({rows, columns}) * 0.05;
  const Tensor x = torch::randn({1, columns});
  auto codes = quantize::round_groups(weight, {.group = group});
  auto kept = quantize::store_groups(*codes, {{rows, columns}});
  const Tensor groups = kept->parts.front();
  kept->values = Tensor();
  const Tensor scales = weight.abs().amax(1).to(torch::kDouble) / 127;
  const Tensor int8 = torch::quantize_per_channel(weight, scales, torch::zeros({rows}, torch::kLong), 0, torch::kQInt8);
  const c10::IValue packed = models::call_operator("quantized::linear_prepack", {int8, c10::IValue()});
  const auto values = static_cast<double>(rows * columns);
  const Tensor whole = torch::quantize_per_tensor(weight, scales.max().item<double>(), 0, torch::kQInt8);
  const c10::IValue static_packed = models::call_operator("quantized::linear_prepack", {whole, c10::IValue()});
  const Tensor coded = torch::quantize_per_tensor(x, 0.03, 0, torch::kQInt8);
  std::vector<Way> ways{
      {"float32", 4 * values, [&] { (void)torch::linear(x, weight); }},
      {"static int8", values,
       [&] { (void)models::call_operator("quantized::linear", {coded, static_packed, 0.1, std::int64_t{0}}); }},
      {"dynamic int8", values, [&] { (void)models::call_operator("quantized::linear_dynamic", {x, packed, false}); }},
      {"int4", static_cast<double>(groups.nbytes()),
       [&] { (void)models::call_operator(runtime::int4_operator, {x, groups, columns, group, 1.0}); }},
      {"reading int4", static_cast<double>(groups.nbytes()), [&] { read_all(groups); }}};
  const int calls = static_cast<int>(std::clamp(2e8 / values, 1.0, 500.0));
  for (int round = 0; round <= rounds; ++round) {
    for (Way& way : ways) {
      const double ms = milliseconds([&] {
        for (int i = 0; i < calls; ++i) way.run();
      });
      if (round > 0) way.ms.push_back(ms / calls);
    }
  }
  Json row{{"rows", rows}, {"columns", columns}};
  const double int8_ms = std::min(median(ways[1].ms), median(ways[2].ms));
  std::printf("%7ld x %-5ld", static_cast<long>(rows), static_cast<long>(columns));
  for (const Way& way : ways) {
    const double ms = median(way.ms);
    std::printf("  %9.3f ms", ms);
    row[way.name + "_ms"] = ms;
    row[way.name + "_bytes"] = way.bytes;
  }
  std::printf("  %5.2f x\n", int8_ms / median(ways[3].ms));
  return row;
}

int run(int argc, char** argv) {
  CLI::App app{"One linear layer and one vector: weights in 4 bits beside int8 and float32, on one thread."};
  bool quick = false;
  fs::path json;
  app.add_flag("--quick", quick, "fewer repetitions, no layer above 20 million weights");
  app.add_option("--json", json, "figures for machines");
  CLI11_PARSE(app, argc, argv);
  models::prepare_engine();
  torch::set_num_threads(1);
  std::printf("%-13s  %12s  %12s  %12s  %12s  %12s  %s\n", "rows x columns", "float32", "static int8", "dynamic int8", "int4",
              "reading it", "int8 : int4");
  Json table = Json::array();
  for (const auto& [rows, columns] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {256, 256}, {512, 512}, {1024, 1024}, {4096, 1024}, {4096, 4096}, {350000, 640}}) {
    if (quick && rows * columns > 20'000'000) continue;
    table.push_back(measure(rows, columns, quick ? 7 : 21));
  }
  if (!json.empty()) {
    const Status written = write_file_durably(json, json_text(table, 1) + "\n");
    if (!written) {
      std::fprintf(stderr, "outcrop-bench-int4: %s\n", written.error().message().c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) { return outcrop::bench::run(argc, argv); }
