#include "runtime/runner/described_goldens.hpp"

#include <gmock/gmock.h>

#include <span>
#include <vector>

#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::HasSubstr;

TEST(DescribedGoldens, must_have_the_names_shapes_and_latents_of_the_manifest) {
  const std::vector<float> zeros(12);
  const auto tensor = [&](const char* name, std::vector<std::int64_t> shape) {
    const auto count = static_cast<std::size_t>(shape[0] * shape[1]);
    return Tensor::of_floats(name, std::move(shape), std::span(zeros).first(count));
  };
  messages::Golden described;
  described.latents = 2;
  described.inputs = {{"latent", "float32", {4}, ""}};
  described.outputs = {{"velocity", "float32", {6}, "m/s"}};
  const Goldens good{{tensor("latent", {2, 4})}, {tensor("velocity", {2, 6})}};
  EXPECT_THAT(check_goldens(described, good), IsOk());

  const auto refused = [&](const auto& change, const char* message) {
    Goldens goldens = good;
    change(goldens);
    EXPECT_THAT(check_goldens(described, goldens),
                ErrorIs(ErrorCode::untrusted, HasSubstr(message)));
  };
  refused([](auto& goldens) { goldens.inputs.clear(); }, "input tensors are none");
  refused([](auto& goldens) { goldens.outputs.clear(); }, "output tensors are none");
  refused([&](auto& goldens) { goldens.outputs.push_back(goldens.outputs[0]); },
          "velocity, velocity; the manifest names velocity");
  refused([&](auto& goldens) { goldens.outputs = {tensor("seismic", {2, 6})}; }, "'seismic'");
  refused([&](auto& goldens) { goldens.inputs = {tensor("latent", {1, 4})}; }, "[1, 4]");
  refused([&](auto& goldens) { goldens.outputs = {tensor("velocity", {2, 5})}; }, "[2, 5]");
  described.inputs.clear();
  refused([](auto& goldens) { goldens.inputs.clear(); }, "the manifest names none");
}

}  // namespace
}  // namespace outcrop::runtime
