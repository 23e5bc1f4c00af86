#include "trainer_host/trainer/quantize/observers.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using torch::jit::Module;
using Values = std::vector<double>;

// A few thousand values, skewed and with outliers, as three batches.
std::vector<torch::Tensor> skewed_batches() {
  at::Generator random = at::detail::createCPUGenerator(17);
  auto bell = torch::empty({3, 4000}).normal_(0.0, 1.0, random);
  bell = torch::where(bell > 0, bell * 3.0, bell);
  bell[1][7] = 31.0F;
  bell[2][9] = -17.0F;
  return {bell[0], bell[1], bell[2]};
}

Values all_of(const std::vector<torch::Tensor>& batches) {
  Values values;
  for (const auto& batch : batches) {
    for (std::int64_t i = 0; i < batch.numel(); ++i) values.push_back(batch[i].item<float>());
  }
  return values;
}

// As the definition says, value by value, with quint8's codes.
double error_of(const Values& values, double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  const double scale = (high - low) / 255.0;
  const double zero_point = std::nearbyint(-low / scale);
  double sum = 0.0;
  for (const double value : values) {
    const double code = std::clamp(std::nearbyint(value / scale) + zero_point, 0.0, 255.0);
    const double error = (code - zero_point) * scale - value;
    sum += error * error;
  }
  return sum / static_cast<double>(values.size());
}

CodeMap parameters_of(Module observer) {
  const auto parameters = observer.get_method("calculate_qparams")({}).toTuple();
  return {parameters->elements()[0].toTensor().item<double>(),
          parameters->elements()[1].toTensor().item<std::int64_t>()};
}

// The range that an observer of quint8 chose.
ValueRange range_of(const CodeMap& map) {
  return {-static_cast<double>(map.zero_point) * map.scale,
          static_cast<double>(255 - map.zero_point) * map.scale};
}

CodeMap observed(RangeSearch search, const std::vector<torch::Tensor>& batches,
                 ActivationType type = ActivationType::quint8) {
  Module observer =
      make_activation_observer(std::make_shared<torch::jit::CompilationUnit>(), type, search);
  for (const auto& batch : batches) {
    EXPECT_TRUE(torch::equal(observer.forward({batch}).toTensor(), batch));
  }
  return parameters_of(observer);
}

TEST(Observers, have_names_that_plans_use) {
  std::vector<std::string> names;
  for (const ObserverKind& kind : observer_kinds()) {
    names.push_back(kind.name);
    EXPECT_FALSE(kind.about.empty());
    const auto found = find_observer(kind.name);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(*found, kind.search);
    EXPECT_EQ(name_of(kind.search), kind.name);
  }
  EXPECT_THAT(names, ::testing::ElementsAre("squared-error", "min-max", "moving-average", "percentile", "kl"));
  EXPECT_THAT(find_observer("entropy"),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("'entropy'"), HasSubstr("percentile"))));
}

TEST(Observers, min_max_spreads_codes_over_all_that_was_seen) {
  const Values values = all_of(skewed_batches());
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const CodeMap map = observed(RangeSearch::min_max, skewed_batches());
  EXPECT_FLOAT_EQ(map.scale, (*high - *low) / 255.0);
  EXPECT_EQ(map.zero_point, std::lround(-*low / map.scale));
  EXPECT_EQ(observed(RangeSearch::min_max, skewed_batches(), ActivationType::qint8).zero_point,
            map.zero_point - 128);
}

TEST(Observers, moving_average_follows_the_extremes_of_batches) {
  double low = 0.0;
  double high = 0.0;
  bool first = true;
  for (const auto& batch : skewed_batches()) {
    const double least = batch.min().item<double>();
    const double most = batch.max().item<double>();
    low = first ? least : 0.9 * low + 0.1 * least;
    high = first ? most : 0.9 * high + 0.1 * most;
    first = false;
  }
  const CodeMap map = observed(RangeSearch::moving_average, skewed_batches());
  EXPECT_NEAR(map.scale, (high - low) / 255.0, 1e-6);
  EXPECT_EQ(map.zero_point, std::lround(-low / map.scale));
}

TEST(Observers, percentile_leaves_out_as_much_at_either_end) {
  Values values = all_of(skewed_batches());
  std::sort(values.begin(), values.end());
  const double beyond = static_cast<double>(values.size()) * (1.0 - kept_percentile / 100.0) / 2.0;  // 0.6 values
  const auto cut = static_cast<std::size_t>(std::floor(beyond));
  const ValueRange range = range_of(observed(RangeSearch::percentile, skewed_batches()));
  const double step = (range.high - range.low) / 255.0;
  EXPECT_NEAR(range.low, values[cut], step);
  EXPECT_NEAR(range.high, values[values.size() - 1 - cut], step);

  // A hundred times as many: sixty values at either end.
  std::vector<torch::Tensor> many;
  at::Generator random = at::detail::createCPUGenerator(19);
  for (int i = 0; i < 10; ++i) many.push_back(torch::empty({100000}).normal_(0.0, 1.0, random));
  const auto sorted = std::get<0>(torch::cat(many).sort());
  const ValueRange bell = range_of(observed(RangeSearch::percentile, many));
  const double bell_step = (bell.high - bell.low) / 255.0;
  EXPECT_NEAR(bell.low, sorted[50].item<double>(), bell_step);
  EXPECT_NEAR(bell.high, sorted[999949].item<double>(), bell_step);
}

TEST(Observers, squared_error_is_least_within_a_hair) {
  const Values values = all_of(skewed_batches());
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  // All ranges of a grid, by the definition.
  double least = error_of(values, *low, *high);
  for (double share_low = 0.02; share_low <= 1.0; share_low += 0.07) {
    for (double share_high = 0.02; share_high <= 1.0; share_high += 0.07) {
      least = std::min(least, error_of(values, *low * share_low, *high * share_high));
    }
  }
  const ValueRange range = range_of(observed(RangeSearch::squared_error, skewed_batches()));
  EXPECT_LT(error_of(values, range.low, range.high), 1.1 * least);
  EXPECT_LE(error_of(values, range.low, range.high), error_of(values, *low, *high));
}

TEST(Observers, squared_error_clips_an_outlier_only_where_that_pays) {
  at::Generator random = at::detail::createCPUGenerator(17);
  const auto bell = torch::empty({400000}).normal_(0.0, 1.0, random);
  auto outlier = bell.clone();
  outlier[0] = 20.0;
  auto far_outlier = bell.clone();  // so far that clipping it would cost more than it brings
  far_outlier[0] = 200.0;
  for (const auto& [data, gain] : {std::pair{bell, 1.0}, std::pair{outlier, 0.8}, std::pair{far_outlier, 1.0}}) {
    const auto error = [values = data](RangeSearch search) {
      const CodeMap map = observed(search, {values}, ActivationType::qint8);
      const auto codes = torch::quantize_per_tensor(values, map.scale, map.zero_point, torch::kQInt8);
      return (codes.dequantize() - values).square().mean().item<double>();
    };
    EXPECT_LE(error(RangeSearch::squared_error), error(RangeSearch::min_max) * gain);
  }
}

// KL(P ‖ Q) of a range by the definition, over bins of `width`: P with what lies beyond at its ends, Q from
// what lies within, evenly over the filled bins of each code. Zeros have a code of their own anyway.
double divergence_of(const Values& values, double width, double low, double high) {
  std::map<std::int64_t, double> bins;
  for (const double value : values) {
    const auto bin = static_cast<std::int64_t>(std::floor(value / width));
    if (bin != 0) bins[bin] += 1.0;
  }
  const double scale = (high - low) / 255.0;
  const auto code_of = [&](std::int64_t bin) {
    return std::nearbyint((static_cast<double>(bin) + 0.5) * width / scale) + std::nearbyint(-low / scale);
  };
  std::map<std::int64_t, double> within;
  double all = 0.0;
  for (const auto& [bin, count] : bins) {
    all += count;
    const double middle = (static_cast<double>(bin) + 0.5) * width;
    if (middle + width / 2.0 > low && middle - width / 2.0 < high) within[bin] = count;
  }
  std::map<double, double> mass;
  std::map<double, double> filled;
  double kept = 0.0;
  for (const auto& [bin, count] : within) {
    const double code = std::clamp(code_of(bin), 0.0, 255.0);
    mass[code] += count;
    filled[code] += 1.0;
    kept += count;
  }
  double divergence = 0.0;
  double below = 0.0;
  double above = 0.0;
  for (const auto& [bin, count] : bins) {
    if (bin < within.begin()->first) below += count;
    if (bin > within.rbegin()->first) above += count;
  }
  for (const auto& [bin, count] : within) {
    const double p = count + (bin == within.begin()->first ? below : 0.0) + (bin == within.rbegin()->first ? above : 0.0);
    const double code = std::clamp(code_of(bin), 0.0, 255.0);
    divergence += p / all * std::log(p / all / (mass[code] / filled[code] / kept));
  }
  return divergence;
}

TEST(Observers, kl_keeps_most_of_the_distribution_whichever_way_it_leans) {
  at::Generator random = at::detail::createCPUGenerator(23);
  auto leaning = torch::empty({30000}).exponential_(1.0, random) - 0.5;
  leaning[11] = 60.0F;
  const Values values = all_of({leaning});
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  SeenValues seen;
  const std::vector<float> floats(values.begin(), values.end());
  seen.see(floats, *low, *high, -1e30, 1e30, true);
  const ValueRange range = choose_range(seen, RangeSearch::kl);
  const double chosen = divergence_of(values, seen.bin_width(), range.low, range.high);
  // No range of the same family keeps more.
  for (int i = 0; i < 80; i += 10) {
    const double share = 1.0 - 0.01 * i;
    EXPECT_LE(chosen, divergence_of(values, seen.bin_width(), *low * share, *high * share) + 1e-9) << i;
  }
  EXPECT_LT(range.high, 30.0);
  EXPECT_GT(range.high, 3.0);
  EXPECT_GE(range.low, *low - 1e-6);
  // Mirrored, it leans the other way.
  const ValueRange mirrored = range_of(observed(RangeSearch::kl, {-leaning}));
  const ValueRange straight = range_of(observed(RangeSearch::kl, {leaning}));
  EXPECT_NEAR(-mirrored.low, straight.high, 0.2 * straight.high);
}

// As images have it: a background at the very end of what is seen.
TEST(Observers, kl_keeps_what_many_values_are) {
  at::Generator random = at::detail::createCPUGenerator(31);
  const auto background = torch::full({20000}, -0.81);
  const auto picture = torch::empty({20000}).uniform_(-0.81, 2.3, random);
  const ValueRange range = range_of(observed(RangeSearch::kl, {torch::cat({background, picture})}));
  EXPECT_NEAR(range.low, -0.81, 0.03);
  EXPECT_GT(range.high, 2.0);
}

TEST(Observers, kl_behind_a_relu_does_not_see_zeros) {
  at::Generator random = at::detail::createCPUGenerator(29);
  const auto bell = torch::empty({20000}).normal_(0.0, 1.0, random);
  const auto positive = bell.abs();
  const auto with_zeros = torch::cat({positive, torch::zeros({80000})});
  EXPECT_DOUBLE_EQ(observed(RangeSearch::kl, {positive}).scale, observed(RangeSearch::kl, {with_zeros}).scale);
}

// Bins merge when a range grows: in which order batches came makes no difference.
TEST(Observers, do_not_depend_on_the_order_of_batches) {
  auto batches = skewed_batches();
  auto reversed = batches;
  std::reverse(reversed.begin(), reversed.end());
  for (const RangeSearch search : {RangeSearch::min_max, RangeSearch::percentile, RangeSearch::kl, RangeSearch::squared_error}) {
    const CodeMap one = observed(search, batches);
    const CodeMap other = observed(search, reversed);
    // The width of bins is that of the widest range seen, wherever it came.
    EXPECT_EQ(one.scale, other.scale) << name_of(search);
    EXPECT_EQ(one.zero_point, other.zero_point) << name_of(search);
  }
}

TEST(SeenValues, counts_each_value_in_its_bin) {
  const Values values = all_of(skewed_batches());
  SeenValues seen;
  for (const auto& batch : skewed_batches()) {
    seen.see({batch.data_ptr<float>(), 4000}, batch.min().item<double>(), batch.max().item<double>(), -1e30, 1e30, true);
  }
  std::map<double, double> bins;
  for (const double value : values) {
    bins[(std::floor(value / seen.bin_width()) + 0.5) * seen.bin_width()] += 1.0;
  }
  const auto histogram = seen.histogram();
  ASSERT_EQ(histogram.size(), bins.size());
  for (const auto& bin : histogram) EXPECT_EQ(bin.count, bins[bin.value]) << bin.value;
  EXPECT_GE((seen.high() - seen.low()) / seen.bin_width(), 2047.0);
  EXPECT_LE((seen.high() - seen.low()) / seen.bin_width(), 4096.0);
}

TEST(Observers, answer_valid_parameters_whatever_they_saw) {
  const std::vector<std::pair<std::vector<torch::Tensor>, std::string>> cases{
      {{}, "never saw it"},
      {{torch::zeros({0})}, "never saw it"},
      {{torch::zeros({9})}, "one value only, 0"},
      {{torch::full({9}, 3.5)}, "one value only, 3.5"},
      {{torch::full({9}, -2.0)}, "one value only, -2"},
      {{torch::full({9}, 1e-35)}, "one value only"},
      {{torch::tensor({1000.0F, 1001.0F})}, "away from zero, from 1000 to 1001"},
      {{torch::tensor({-6.0F, -5.0F})}, "43 of 256 codes are used"},
      {{torch::tensor({-1e-5F, 1e-5F})}, "narrow"},
      {{torch::tensor({0.0F, 2.0F})}, ""},
      {{torch::tensor({-1e30F, 1e30F})}, ""}};
  for (const auto& [batches, why] : cases) {
    for (const ObserverKind& kind : observer_kinds()) {
      for (const ActivationType type : {ActivationType::quint8, ActivationType::qint8}) {
        Module observer =
            make_activation_observer(std::make_shared<torch::jit::CompilationUnit>(), type, kind.search);
        for (const auto& batch : batches) observer.forward({batch});
        const CodeMap map = parameters_of(observer);
        const std::int64_t first = type == ActivationType::quint8 ? 0 : -128;
        EXPECT_GE(map.scale, smallest_scale);
        EXPECT_TRUE(std::isfinite(map.scale));
        EXPECT_GE(map.zero_point, first);
        EXPECT_LE(map.zero_point, first + 255);
        const std::string said = degeneracy_of(statistics_of(observer)->seen());
        if (why.empty()) {
          EXPECT_EQ(said, "");
        } else {
          EXPECT_THAT(said, HasSubstr(why)) << kind.name;
        }
        // One value is met exactly.
        if (batches.empty() || batches[0].numel() == 0 || why.find("one value only, ") == std::string::npos) continue;
        const double value = batches[0][0].item<double>();
        const double code = std::clamp(std::nearbyint(value / map.scale) + static_cast<double>(map.zero_point),
                                       static_cast<double>(first), static_cast<double>(first + 255));
        if (kind.search == RangeSearch::min_max) {
          EXPECT_NEAR((code - static_cast<double>(map.zero_point)) * map.scale, value, 1e-6);
        }
      }
    }
  }
}

TEST(Observers, spend_no_codes_below_a_relu) {
  Module observer = make_activation_observer(std::make_shared<torch::jit::CompilationUnit>(),
                                             ActivationType::qint8, RangeSearch::min_max);
  statistics_of(observer)->limit(0.0, 1e30);
  observer.forward({torch::tensor({-8.0F, 2.55F})});
  const CodeMap map = parameters_of(observer);
  EXPECT_NEAR(map.scale, 0.01, 1e-6);
  EXPECT_EQ(map.zero_point, -128);
}

TEST(Observers, weights_are_symmetric_and_never_finer_than_the_kernels_allow) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  // Two transposed-convolution channels (axis 1): one ordinary, one next to nothing.
  auto weight = torch::zeros({1, 2, 1, 2});
  weight[0][0][0][0] = -1.27F;
  weight[0][1][0][1] = 1e-6F;
  Module observer = make_weight_observer(unit, 1);
  observer.forward({weight});
  const auto parameters = observer.get_method("calculate_qparams")({}).toTuple();
  const auto scales = parameters->elements()[0].toTensor();
  EXPECT_NEAR(scales[0].item<double>(), 0.01, 1e-6);
  EXPECT_EQ(scales[1].item<double>(), smallest_scale);
  EXPECT_TRUE(parameters->elements()[1].toTensor().eq(0).all().item<bool>());
}

TEST(Observers, weights_take_scales_that_are_given) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  const auto weight = torch::tensor({{1.0F, -2.0F}, {0.5F, 0.25F}});
  const auto chosen = choose_weight_scales(weight, 0);
  EXPECT_EQ(chosen.size(0), 2);
  EXPECT_EQ(choose_weight_scales(weight, std::nullopt).numel(), 1);
  Module observer = make_weight_observer(unit, 0, chosen * 2.0);
  observer.forward({weight});
  const auto parameters = observer.get_method("calculate_qparams")({}).toTuple();
  EXPECT_TRUE(torch::equal(parameters->elements()[0].toTensor(), chosen * 2.0));
}

// A network of two convolutions, "inner" and "outer", with `body` as its forward.
Module two_convolutions(const std::string& body) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module network("__torch__.Network", unit, /*shouldMangle=*/true);
  network.register_attribute("training", c10::BoolType::get(), false);
  at::Generator random = at::detail::createCPUGenerator(3);
  for (const char* name : {"inner", "outer"}) {
    Module layer("__torch__.torch.nn.modules.conv.Conv2d", unit, /*shouldMangle=*/true);
    layer.register_parameter("weight", torch::empty({4, 4, 3, 3}).normal_(0.0, 0.3, random), false);
    layer.register_parameter("bias", torch::full({4}, 0.1), false);
    layer.define(
        "def forward(self, x):\n"
        "    return torch.conv2d(x, self.weight, self.bias, [1, 1], [1, 1], [1, 1], 1)\n");
    network.register_module(name, layer);
  }
  network.define("def forward(self, x):\n" + body);
  return network;
}

const char* const chain = "    return self.outer.forward(torch.relu(self.inner.forward(x)))\n";

TEST(Calibration, names_the_layer_whose_answers_are_not_finite) {
  const torch::NoGradGuard no_grad;
  const auto images = torch::ones({20, 4, 5, 5});
  for (const char* layer : {"inner", "outer"}) {
    Module network = two_convolutions(chain);
    network.attr(layer).toModule().setattr("weight", torch::full({4, 4, 3, 3}, 1e38));
    EXPECT_THAT(quantize_static(network, images, {}),
                ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("'" + std::string(layer) + "'"), HasSubstr("not finite"))));
  }
  auto holed = images.clone();
  holed[18][1][2][2] = std::nanf("");
  EXPECT_THAT(quantize_static(two_convolutions(chain), holed, {}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("inputs to calibrate with")));
}

TEST(Calibration, says_what_few_far_values_leave_for_the_others) {
  at::Generator random = at::detail::createCPUGenerator(5);
  auto values = torch::empty({100'000}).normal_(0.0, 1.0, random);
  const auto said = [&](const torch::Tensor& seen, RangeSearch search) {
    Module observer = make_activation_observer(std::make_shared<torch::jit::CompilationUnit>(), ActivationType::qint8, search);
    observer.forward({seen});
    return crowding_of(statistics_of(observer)->seen(), parameters_of(observer).scale);
  };
  EXPECT_EQ(said(values, RangeSearch::squared_error), "");
  EXPECT_EQ(said(values.relu(), RangeSearch::squared_error), "") << "zeros have a code of their own";
  values.slice(0, 0, 300).fill_(190.0);  // as MiniLM has them: too many and too far to be clipped
  EXPECT_THAT(said(values, RangeSearch::squared_error), AllOf(HasSubstr("99 % of its values"), HasSubstr("of 256 codes"), HasSubstr("190")));
  EXPECT_EQ(said(values, RangeSearch::min_max), "") << "which counts nothing";
}

TEST(Calibration, names_ranges_that_degenerate) {
  const torch::NoGradGuard no_grad;
  at::Generator random = at::detail::createCPUGenerator(5);
  const auto images = torch::empty({8, 4, 6, 6}).normal_(0.0, 1.0, random);
  for (const ActivationType type : {ActivationType::quint8, ActivationType::qint8}) {
    StaticQuantization options;
    options.activations = type;
    auto fine = quantize_static(two_convolutions(chain), images, options);
    ASSERT_THAT(fine, IsOk());
    EXPECT_TRUE(fine->degenerate_ranges.empty());

    Module dead = two_convolutions(chain);
    dead.attr("inner").toModule().setattr("bias", torch::full({4}, -1000.0));
    auto quantized = quantize_static(dead, images, options);
    ASSERT_THAT(quantized, IsOk());
    ASSERT_EQ(quantized->degenerate_ranges.size(), 2U);
    EXPECT_EQ(quantized->degenerate_ranges[0].layer, "inner");
    EXPECT_THAT(quantized->degenerate_ranges[0].why, HasSubstr("one value only, 0"));
    EXPECT_EQ(quantized->degenerate_ranges[1].layer, "outer");
    const auto truth = dead.forward({images}).toTensor();
    EXPECT_LT((quantized->module.forward({images}).toTensor() - truth).abs().max().item<double>(), 1e-3);
  }
}

}  // namespace
}  // namespace outcrop::quantize
