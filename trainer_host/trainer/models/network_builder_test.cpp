#include "trainer_host/trainer/models/network_builder.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>

#include <cmath>
#include <sstream>

#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::models {
namespace {

using torch::Tensor;

NetworkBuilder builder() {
  return NetworkBuilder("__torch__.Written", at::detail::createCPUGenerator(5));
}

Tensor some(at::IntArrayRef shape) {
  return torch::empty(shape).normal_(0.0, 1.0, at::detail::createCPUGenerator(3));
}

// A transformer block over tokens of numbers, with a loop around it, as a body of text.
torch::jit::Module transformer() {
  NetworkBuilder network = builder();
  network.embedding("words", 11, 8);
  network.layer_norm("before", 8);
  network.self_attention("attention", 2, 8);
  network.linear("out", 8, 3);
  return network.finish(R"(
def forward(self, x):
    y = self.words.forward(x)
    for i in range(2):
        y = y + self.attention.forward(self.before.forward(y))
    return self.out.forward(torch.mean(y, [1]))
)");
}

TEST(NetworkBuilder, children_compute_what_their_names_say) {
  NetworkBuilder written = builder();
  written.convolution1d("conv", {.in_channels = 4, .out_channels = 6, .stride = 2});
  written.group_norm("norm", 3, 6);
  auto network = written.finish("def forward(self, x):\n    return self.norm.forward(self.conv.forward(x))\n");
  const auto x = some({2, 4, 9});
  const auto of = [&](const char* child, const char* name) {
    return network.attr(child).toModule().attr(name).toTensor();
  };
  const auto convolved = torch::conv1d(x, of("conv", "weight"), of("conv", "bias"), 2, 1);
  const auto expected = torch::group_norm(convolved, 3, of("norm", "weight"), of("norm", "bias"));
  EXPECT_TRUE(torch::allclose(network.forward({x}).toTensor(), expected));
}

TEST(NetworkBuilder, attention_is_that_of_torch_nn) {
  NetworkBuilder written = builder();
  written.self_attention("attention", 2, 8);
  auto network = written.finish("def forward(self, x):\n    return self.attention.forward(x)\n");
  auto attention = network.attr("attention").toModule();
  const auto of = [&](const char* child, const char* name) {
    return attention.attr(child).toModule().attr(name).toTensor().detach();
  };
  torch::nn::MultiheadAttention reference(torch::nn::MultiheadAttentionOptions(8, 2));
  const torch::NoGradGuard no_gradient;
  reference->in_proj_weight.copy_(
      torch::cat({of("query", "weight"), of("key", "weight"), of("value", "weight")}));
  reference->in_proj_bias.zero_();
  reference->out_proj->weight.copy_(of("output", "weight"));
  reference->out_proj->bias.zero_();
  const auto x = some({3, 5, 8});
  const auto tokens_first = x.transpose(0, 1);
  const auto expected = std::get<0>(reference(tokens_first, tokens_first, tokens_first));
  EXPECT_TRUE(torch::allclose(network.forward({x}).toTensor(), expected.transpose(0, 1), 1e-4, 1e-5));
}

TEST(NetworkBuilder, what_is_written_is_trained_through_loops_and_sums) {
  TrainingForm form(transformer());
  form.train(true);
  const auto words = torch::tensor({{1, 2, 3}, {4, 5, 10}});
  const auto target = torch::tensor({0, 2});
  std::vector<Tensor> parameters;
  for (const auto& parameter : form.module().parameters()) parameters.push_back(parameter);
  torch::optim::Adam adam(parameters, torch::optim::AdamOptions(0.02));
  double first = 0.0, last = 0.0;
  for (int step = 0; step < 30; ++step) {
    adam.zero_grad();
    const auto loss = torch::cross_entropy_loss(form.forward(words), target);
    loss.backward();
    for (const Tensor& parameter : parameters) EXPECT_TRUE(parameter.grad().defined());
    adam.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  EXPECT_LT(last, 0.1 * first);
}

TEST(NetworkBuilder, a_layer_in_a_loop_that_is_not_finite_is_named) {
  TrainingForm form(transformer());
  {
    const torch::NoGradGuard no_gradient;
    form.module().attr("before").toModule().attr("weight").toTensor().fill_(std::nanf(""));
  }
  Tensor ignored;
  EXPECT_EQ(form.first_non_finite(torch::tensor({{1, 2, 3}}), ignored), "before");
}

TEST(NetworkBuilder, the_same_seed_gives_the_same_weights_and_a_saved_network_comes_back) {
  const auto words = torch::tensor({{1, 2, 3}});
  auto network = transformer();
  const auto answer = network.forward({words}).toTensor();
  EXPECT_TRUE(torch::equal(transformer().forward({words}).toTensor(), answer));
  std::stringstream bytes;
  network.save(bytes);
  EXPECT_TRUE(torch::equal(torch::jit::load(bytes).forward({words}).toTensor(), answer));
}

TEST(NetworkBuilder, refuses_a_name_twice_and_sizes_that_do_not_divide) {
  NetworkBuilder network = builder();
  network.linear("out", 2, 2);
  EXPECT_THROW(network.linear("out", 2, 2), c10::Error);
  EXPECT_THROW(network.self_attention("attention", 3, 8), c10::Error);
  EXPECT_THROW(network.group_norm("norm", 4, 6), c10::Error);
  EXPECT_THROW((void)network.finish("def forward(self, x):\n    return self.other.forward(x)\n"),
               std::exception);
}

}  // namespace
}  // namespace outcrop::models
