// What holds for every LibTorch that boards are built with.
#include "runtime/engine/torch/torch_engine.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string>

#include <ATen/ATen.h>
#if __has_include(<torch/version.h>)
#include <torch/version.h>
#endif
#if !defined(BUILD_LITE_INTERPRETER)
#include <torch/csrc/jit/api/module.h>
#endif

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr float activation = -6.41771F;
constexpr float scale = 0.0444F;
constexpr float rounded = -145;
constexpr int calls = 4;  // fused kernels come in from the second or third on

std::string current_backend() {
  std::string name = c10::toString(at::globalContext().qEngine());
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

class TorchEngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = start_torch_engine();
    ASSERT_THAT(started, IsOk());
    engine_ = started->release();  // one in a process, to its end
    // torch.jit.script of `def forward(self, a, s): return torch.round(a / s)`, saved for mobile
    // by 1.13.1.
    auto file =
        read_file(OUTCROP_SOURCE "/runtime/engine/torch/golden/round.ptl", ByteCount(1 << 20));
    ASSERT_THAT(file, IsOk());
    rounding_ = new Bytes(std::move(*file));
  }
  static Engine* engine_;
  static Bytes* rounding_;
};

Engine* TorchEngineTest::engine_ = nullptr;
Bytes* TorchEngineTest::rounding_ = nullptr;

TEST_F(TorchEngineTest, says_which_version_it_is) {
  EXPECT_THAT(engine_->version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+.*"));
}

TEST_F(TorchEngineTest, rounds_alike_at_every_call) {
  for (const Backend& backend : engine_->backends()) {
    auto model = engine_->load(*rounding_, backend.name, 1);
    ASSERT_THAT(model, IsOk());
    const std::array<float, 1> a{activation};
    const std::array<float, 1> s{scale};
    const std::array<Value, 2> arguments{Tensor::of_floats("a", {}, a),
                                         Tensor::of_floats("s", {}, s)};
    auto call = (*model)->prepare("forward", arguments);
    ASSERT_THAT(call, IsOk());
    for (int i = 0; i < calls; ++i) {
      ASSERT_THAT((*call)->run(), IsOk());
      const auto outputs = (*call)->outputs();
      ASSERT_THAT(outputs, IsOk());
      ASSERT_THAT(*outputs, SizeIs(1));
      EXPECT_THAT(outputs->front().floats(), ElementsAre(rounded)) << "call " << i;
    }
    const auto watched = (*call)->run_watched();
    ASSERT_THAT(watched, IsOk());
    std::vector<std::string> names;
    for (const OperatorTime& one : *watched) {
      names.push_back(one.name);
      EXPECT_GT(one.time.count(), 0);
    }
    EXPECT_THAT(names, ElementsAre("aten::div", "aten::round"));
    ASSERT_THAT((*call)->run(), IsOk()) << "and nobody watches any more";
  }
}

#if !defined(BUILD_LITE_INTERPRETER)  // which has no compiler of TorchScript, nor its fuser
// Debian 13's LibTorch, built with LLVM, fuses this into a kernel that gives 0 from the second call
// on.
TEST_F(TorchEngineTest, leaves_compiled_code_unfused) {
  torch::jit::Module module("Rounding");
  module.define("def forward(self, a, s):\n    return torch.round(a / s)\n");
  for (int i = 0; i < calls; ++i) {
    const at::Tensor result =
        module.forward({at::scalar_tensor(activation), at::scalar_tensor(scale)}).toTensor();
    EXPECT_EQ(result.item<float>(), rounded) << "call " << i;
  }
}

TEST_F(TorchEngineTest, a_method_may_call_its_module_as_it_likes) {
  torch::jit::Module module("Rounding");
  module.define("def forward(this, a, s):\n    return torch.round(a / s)\n");
  std::ostringstream file;
  module._save_for_mobile(file);
  const std::string text = file.str();
  auto model = engine_->load(as_bytes(text),
                             engine_->backends().front().name, 1);
  ASSERT_THAT(model, IsOk());
  const std::array<float, 1> a{activation};
  const std::array<float, 1> s{scale};
  const std::array<Value, 2> arguments{Tensor::of_floats("a", {}, a),
                                       Tensor::of_floats("s", {}, s)};
  EXPECT_THAT((*model)->prepare("forward", arguments), IsOk());
  EXPECT_THAT((*model)->prepare("forward", std::span(arguments).first(1)),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("forward(Tensor a, Tensor s)")));
}
#endif

// QNNPACK's kernels, and XNNPACK's under its name, are right in every LibTorch that has them.
TEST_F(TorchEngineTest, names_the_kernels_that_are_wrong) {
  for (const Backend& backend : engine_->backends()) {
    if (backend.name == "qnnpack") {
      EXPECT_THAT(backend.failed, IsEmpty());
    }
#if TORCH_VERSION_MAJOR >= 2
    if (backend.name == "onednn") {
      EXPECT_THAT(backend.failed, Contains("quantized::conv_transpose2d"));
    }
#endif
  }
}

#if defined(__x86_64__)
// ONEDNN adds products of bytes in 16 bits, which saturate, where a CPU has no VNNI: a test of its
// own starts this program as on such a one.
TEST_F(TorchEngineTest, names_what_saturates_without_vnni) {
  if (std::getenv("ONEDNN_MAX_CPU_ISA") == nullptr) GTEST_SKIP() << "torch_engine_without_vnni's";
  const auto& backends = engine_->backends();
  const auto onednn = std::find_if(backends.begin(), backends.end(),
                                   [](const Backend& b) { return b.name == "onednn"; });
  ASSERT_NE(onednn, backends.end());
  EXPECT_THAT(onednn->failed, Contains("quantized::conv2d"));
}
#endif

// A LibTorch's default may be the engine whose kernels are wrong.
TEST_F(TorchEngineTest, sets_the_backend_that_is_named_before_it_loads) {
  for (const Backend& backend : engine_->backends()) {
    for (const at::QEngine other : at::globalContext().supportedQEngines()) {
      at::globalContext().setQEngine(other);
      ASSERT_THAT(engine_->load(*rounding_, backend.name, 1), IsOk());
      EXPECT_EQ(current_backend(), backend.name);
    }
  }
  std::string known = "none";
  if (!engine_->backends().empty()) known = engine_->backends().front().name;
  EXPECT_THAT(engine_->load(*rounding_, "fbgemm", 1),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("'fbgemm'"), HasSubstr(known))));
}

}  // namespace
}  // namespace outcrop::runtime
